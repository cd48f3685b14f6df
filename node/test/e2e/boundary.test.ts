// What crosses the boundary besides requests and responses: pauses, byte streams that outlive
// their pool, counters.

import { once } from 'node:events';
import type { Duplex } from 'node:stream';

import { afterEach, describe, expect, it } from 'vitest';
import { Client as UndiciClient } from 'undici';

import { Agent, Client, counters, errors, Pool, request } from '../../src/index';
import { Recorder } from '../support/recorder';
import { answer, ca, httpOrigin, rawOrigin, tlsOptions, type Origin } from '../support/servers';

it('the counters are zero before the first request', () => {
  const names = Object.keys(counters());
  expect(names).toContain('submitCalls');
  expect(names).toContain('completions');
  expect(Object.values(counters()).every((value) => value === 0)).toBe(true);
});

const cleanup: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of cleanup.splice(0).reverse()) await close();
});

/** Dispatches with `recorder`; resolves when its callback `name` is called. */
function dispatched(
  dispatcher: Client | Agent,
  recorder: Recorder,
  name: string,
  options: object,
): Promise<Recorder> {
  const inner = recorder.during;
  return new Promise((resolve) => {
    recorder.during = (told, self) => {
      inner(told, self);
      if (told === name) queueMicrotask(() => resolve(self));
    };
    dispatcher.dispatch({ path: '/', method: 'GET', ...options }, recorder);
  });
}

describe('a paused handler', () => {
  it('gets no BodyTimeoutError, and the timeout restarts when it resumes', async () => {
    let finish: (() => void) | undefined;
    const origin = await httpOrigin((request, response) => {
      response.write('first');
      if (request.url === '/paused') finish = () => response.end(' last');
    });
    const agent = new Agent({ bodyTimeout: 200 });
    cleanup.push(
      () => origin.close(),
      () => agent.destroy(),
    );

    const paused = new Recorder();
    paused.during = (name, { controller }) => {
      if (name === 'data') controller.pause();
    };
    await dispatched(agent, paused, 'data', { origin: origin.url, path: '/paused' });
    // Requests started later have timed out: the paused one's timeout has long passed.
    for (let i = 0; i < 2; i++) {
      const silent = await dispatched(agent, new Recorder(), 'error', { origin: origin.url });
      expect(silent.last('error')[1]).toBeInstanceOf(errors.BodyTimeoutError);
    }
    expect(paused.names).toEqual(['start', 'head', 'data']);
    paused.during = () => {};
    const ended = new Promise((resolve) => {
      paused.during = (name) => {
        if (name === 'end' || name === 'error') resolve(name);
      };
    });
    paused.controller.resume();
    finish?.();
    expect(await ended).toBe('end');
    expect(paused.events.slice(2, 4)).toEqual([
      ['data', 'first'],
      ['data', ' last'],
    ]);
  });

  it('gets its BodyTimeoutError when the peer is silent after resume()', async () => {
    const origin = await httpOrigin((_request, response) => response.write('first'));
    const client = new Client(origin.url, { bodyTimeout: 50 });
    cleanup.push(
      () => origin.close(),
      () => client.destroy(),
    );
    const recorder = new Recorder();
    const told = dispatched(client, recorder, 'error', {});
    recorder.during = ((inner) => (name, self) => {
      if (name === 'data') {
        self.controller.pause();
        setImmediate(() => setImmediate(() => self.controller.resume()));
      }
      inner(name, self);
    })(recorder.during);
    expect((await told).last('error')[1]).toBeInstanceOf(errors.BodyTimeoutError);
  });
});

describe('a byte stream', () => {
  const echo = (): Promise<Origin> =>
    rawOrigin((socket) => {
      let text = '';
      const onHead = (chunk: Buffer) => {
        text += chunk.toString('latin1');
        if (!text.includes('\r\n\r\n')) return;
        socket.removeListener('data', onHead);
        socket.write(
          text.startsWith('CONNECT')
            ? 'HTTP/1.1 200 Fine\r\n\r\n'
            : 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n',
        );
        socket.pipe(socket);
      };
      socket.on('data', onHead);
    });

  async function opened(client: Client, kind: 'upgrade' | 'connect'): Promise<Duplex> {
    const data: any =
      kind === 'upgrade'
        ? await client.upgrade({ path: '/', protocol: 'echo' })
        : await client.connect({ path: 'example.com:443' });
    return data.socket;
  }

  async function said(stream: Duplex, text: string): Promise<string> {
    stream.write(text);
    const [chunk] = (await once(stream, 'data')) as [Buffer];
    return chunk.toString();
  }

  for (const kind of ['upgrade', 'connect'] as const) {
    for (const end of ['close', 'destroy'] as const) {
      it(`of ${kind}() outlives ${end}() of its client, until it ends itself`, async () => {
        const origin = await echo();
        cleanup.push(() => origin.close());
        const client = new Client(origin.url);
        const socket = await opened(client, kind);
        expect(await said(socket, 'before')).toBe('before');
        await client[end]();
        expect(await said(socket, 'after')).toBe('after');
        const [accepted] = [...origin.sockets];
        const gone = once(accepted!, 'close');
        socket.end();
        await Promise.all([once(socket, 'close'), gone]);
      });
    }
  }

  it('delivers what was written just before destroy()', async () => {
    const origin = await echo();
    const client = new Client(origin.url);
    cleanup.push(
      () => origin.close(),
      () => client.destroy(),
    );
    const socket = await opened(client, 'upgrade');
    await said(socket, 'before');
    const [accepted] = [...origin.sockets];
    accepted!.unpipe();
    let received = '';
    accepted!.on('data', (chunk: Buffer) => (received += chunk.toString()));
    accepted!.resume();
    const gone = once(accepted!, 'close');
    socket.write('last words');
    socket.destroy();
    await gone;
    expect(received).toBe('last words');
  });

  it('that ends with its head emits end to listeners added a little later', async () => {
    const head = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n';
    const origin = await rawOrigin((socket) => socket.once('data', () => socket.end(head)));
    const client = new Client(origin.url);
    cleanup.push(
      () => origin.close(),
      () => client.destroy(),
    );
    const { socket } = await client.upgrade({ path: '/', protocol: 'echo' });
    // As many promises as fetch has between the upgrade and its user.
    for (let i = 0; i < 50; i++) await Promise.resolve();
    await once(socket, 'close');
  });

  it('that the peer ends after close() of its client ends with all its bytes', async () => {
    const origin = await echo();
    cleanup.push(() => origin.close());
    const client = new Client(origin.url);
    const socket = await opened(client, 'upgrade');
    await client.close();
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const ended = once(socket, 'end');
    const [accepted] = [...origin.sockets];
    accepted!.unpipe();
    accepted!.end(Buffer.alloc(600_000, 'x'));
    await ended;
    expect(Buffer.concat(chunks).length).toBe(600_000);
  });
});

it('a complete response to a paused handler does not delay the end of its connection', async () => {
  const origin = await rawOrigin(answer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  const client = new Client(origin.url);
  cleanup.push(
    () => origin.close(),
    () => client.destroy(),
  );
  const recorder = new Recorder();
  recorder.during = (name, { controller }) => {
    if (name === 'head') {
      controller.pause();
      setImmediate(() => setImmediate(() => controller.resume()));
    }
  };
  await dispatched(client, recorder, 'end', {});
  expect(recorder.names).toEqual(['start', 'head', 'data', 'end']);
});

it('requests share calls and wake-ups, as the counters show', async () => {
  const origin = await httpOrigin((_request, response) => response.end('ok'));
  const agent = new Agent({ connections: 20 });
  cleanup.push(
    () => origin.close(),
    () => agent.destroy(),
  );
  const before = counters();
  const requests = 400;
  let left = requests;
  const worker = async () => {
    while (left-- > 0) await (await request(origin.url, { dispatcher: agent })).body.text();
  };
  await Promise.all(Array.from({ length: 20 }, worker));
  const after = counters();
  const grown = (name: keyof typeof after) => after[name] - before[name];
  expect(grown('submissions')).toBeGreaterThanOrEqual(requests);
  expect(grown('submitCalls')).toBeLessThan(grown('submissions'));
  // Head, data and end of each response.
  expect(grown('completions')).toBeGreaterThanOrEqual(3 * requests);
  expect(grown('doorbells')).toBeLessThan(grown('completions') / 3);
  expect(grown('submissionBytes')).toBeGreaterThan(0);
});

describe('unusable certificates and keys', () => {
  const { cert, key } = tlsOptions;
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const brokenKey = '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n';
  const cases: [string, object, RegExp][] = [
    ['ca', { ca: broken }, /connect\.ca/],
    ['cert', { cert: broken, key }, /connect\.cert/],
    ['key', { cert, key: brokenKey }, /connect\.key/],
  ];
  const refused = (construct: () => unknown, message: RegExp) => {
    expect(construct).toThrow(errors.InvalidArgumentError);
    expect(construct).toThrow(message);
  };

  it.each(cases)('make the constructor throw in origins: %s', (_name, connect, message) => {
    refused(() => new Agent({ origins: { 'https://*.internal': { connect } } }), message);
  });

  it.each(cases)(
    'fail the first connection elsewhere, as in undici: %s',
    async (_name, connect) => {
      const url = 'https://localhost:1';
      const verdict = async (dispatcher: { destroy(): Promise<void> }) => {
        const error: unknown = await request(url, { dispatcher: dispatcher as never }).catch(
          (failure: unknown) => failure,
        );
        await dispatcher.destroy();
        return (error as NodeJS.ErrnoException).code;
      };
      const theirs = await verdict(new UndiciClient(url, { connect }));
      expect(theirs).toBeDefined();
      expect(await verdict(new Client(url, { connect }))).toBe(theirs);
      expect(await verdict(new Pool(url, { connect }))).toBe(theirs);
      expect(await verdict(new Agent({ connect }))).toBe(theirs);
    },
  );

  it('are reported with the origin pattern they belong to', () => {
    const origins = { 'https://*.internal': { connect: { ca: broken } } };
    refused(() => new Agent({ origins }), /origins\["https:\/\/\*\.internal"\]/);
  });

  it('are distinguished from usable ones', async () => {
    const connect = { ca, cert, key };
    await new Client('https://localhost', { connect }).destroy();
    await new Agent({ connect, origins: { 'https://*.internal': { connect: { ca } } } }).destroy();
  });
});
