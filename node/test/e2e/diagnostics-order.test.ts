// The order of undici's diagnostics messages, and the sockets in them, when a response closes its
// connection and the next request uses another one.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { EventEmitter } from 'node:events';
import { createServer } from 'node:net';
import { Readable } from 'node:stream';

import { afterEach, describe, expect, it } from 'vitest';

import { Agent, Client, type Dispatcher, fetch } from '../../src/index';
import { peer, peerMajor } from '../../src/undici/undici';
import { listening, rawOrigin } from '../support/servers';
import { attempt, Cleanup, wireOrigin } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Message {
  readonly request?: { readonly path: string };
  readonly socket?: { readonly localPort: number };
}

const NAMES = [
  ...['client:beforeConnect', 'client:connected', 'client:sendHeaders'],
  ...['request:create', 'request:bodySent', 'request:headers', 'request:trailers'],
  ...['request:bodyChunkSent', 'request:error', 'client:connectError'],
];

/** Collects messages, with paths and with sockets as numbers, and the events of `dispatcher`. */
function record(dispatcher: Dispatcher): string[] {
  const log: string[] = [];
  const ports: number[] = [];
  for (const name of NAMES) {
    const listener = (message: unknown): void => {
      const { request, socket } = message as Message;
      if (socket !== undefined && !ports.includes(socket.localPort)) ports.push(socket.localPort);
      const number = socket === undefined ? '' : ` #${ports.indexOf(socket.localPort) + 1}`;
      log.push(`${name} ${request?.path ?? ''}${number}`);
    };
    subscribe(`undici:${name}`, listener);
    cleanup.add(() => unsubscribe(`undici:${name}`, listener));
  }
  for (const name of ['connect', 'disconnect']) {
    (dispatcher as EventEmitter).on(name, () => log.push(`(${name})`));
  }
  return log;
}

const OK = 'HTTP/1.1 200 OK\r\n';
const BODY = 'content-length: 2\r\n\r\nok';

interface Case {
  readonly title: string;
  readonly answer?: string;
  /** The server closes the connection after the response. */
  readonly closes?: boolean;
  readonly options?: object;
  readonly request?: object;
}

const CASES: Case[] = [
  { title: 'the connection stays' },
  { title: 'a hint of one second', answer: `${OK}keep-alive: timeout=1\r\n${BODY}` },
  { title: 'a hint of three seconds', answer: `${OK}keep-alive: timeout=3\r\n${BODY}` },
  { title: 'connection: close', answer: `${OK}connection: close\r\n${BODY}`, closes: true },
  { title: 'no length', answer: `${OK}\r\nok`, closes: true },
  { title: 'HTTP/1.0', answer: `HTTP/1.0 200 OK\r\n${BODY}` },
  {
    title: 'HTTP/1.0 with keep-alive',
    answer: `HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n${BODY}`,
  },
  { title: 'HEAD', answer: `${OK}content-length: 2\r\n\r\n`, request: { method: 'HEAD' } },
  { title: 'reset', request: { reset: true } },
  { title: 'no pipelining', options: { pipelining: 0 } },
  // undici 7 uses one connection for all three.
  ...(peerMajor === 7
    ? []
    : [{ title: 'two requests at most', options: { maxRequestsPerClient: 2 } }]),
];

async function play(
  make: (url: string, options: object) => Dispatcher,
  { answer = OK + BODY, closes = false, options = {}, request = {} }: Case,
): Promise<string[]> {
  const origin = await wireOrigin((socket) => {
    if (closes) socket.end(answer, 'latin1');
    else socket.write(answer, 'latin1');
  });
  const dispatcher = make(origin.url, options);
  const log = record(dispatcher);
  for (const path of ['/1', '/2', '/3']) {
    const outcome = await attempt(dispatcher, { origin: origin.url, path, ...request });
    expect(outcome).toEqual({ status: 200 });
  }
  await dispatcher.close();
  await cleanup.run();
  await origin.close();
  return log;
}

describe('diagnostics messages of consecutive requests', () => {
  it.each(CASES)('are published as undici’s, with the same sockets: $title', async (scenario) => {
    const theirs = await play((url, options) => new peer.Client(url, options), scenario);
    const ours = await play((url, options) => new Client(url, options), scenario);
    expect(ours).toEqual(theirs);
  });

  it('of an Agent name the connection that a request uses', async () => {
    const answer = `${OK}keep-alive: timeout=1\r\n${BODY}`;
    const log = await play(() => new Agent(), { title: '', answer });
    const each = (number: number): string[] => [
      ...['client:beforeConnect ', `client:connected  #${number}`, '(connect)'],
      `client:sendHeaders /${number} #${number}`,
      ...[`request:bodySent /${number}`, `request:headers /${number}`],
      ...[`request:trailers /${number}`],
    ];
    expect(log).toEqual([
      ...['request:create /1', ...each(1)],
      ...['request:create /2', '(disconnect)', ...each(2)],
      ...['request:create /3', '(disconnect)', ...each(3), '(disconnect)'],
    ]);
  });
});

type Library = Pick<typeof peer, 'Agent' | 'Client' | 'fetch'>;
const LIBRARIES = [peer, { Agent, Client, fetch }] as unknown as [Library, Library];

/** What `play` logs with undici and with us. */
async function both(play: (library: Library) => Promise<string[]>): Promise<string[][]> {
  const logs: string[][] = [];
  for (const library of LIBRARIES) logs.push(await play(library));
  return logs;
}

describe('diagnostics messages of a body', () => {
  const bodies: [string, () => unknown][] = [
    ['text', () => 'abc'],
    ['a stream', () => Readable.from(['ab', 'c'])],
  ];

  it.each(bodies)('follow its head and the connection: %s', async (_kind, body) => {
    const [theirs, ours] = await both(async (library) => {
      const origin = await wireOrigin();
      cleanup.add(() => origin.close());
      const client = new library.Client(origin.url);
      cleanup.add(() => client.destroy());
      const log = record(client);
      for (const path of ['/1', '/2']) {
        await attempt(client, { path, method: 'POST', body: body() });
      }
      await cleanup.run();
      return log;
    });
    expect(ours).toEqual(theirs);
  });

  it('name the connection of the request after one that was answered early', async () => {
    const [theirs, ours] = await both(async (library) => {
      const origin = await rawOrigin((socket) => {
        socket.on('data', (chunk) => {
          if (String(chunk).startsWith('POST')) socket.write(OK + BODY);
        });
      });
      cleanup.add(() => origin.close());
      const agent = new library.Agent();
      cleanup.add(() => agent.destroy());
      const log = record(agent);
      for (const path of ['/1', '/2', '/3']) {
        let answered = (): void => {};
        const isAnswered = new Promise<void>((resolve) => (answered = resolve));
        const body = Readable.from(
          (async function* () {
            yield 'ab';
            await isAnswered;
          })(),
        );
        const options = { origin: origin.url, path, method: 'POST' as const, body };
        const response = await agent.request(options);
        expect(await response.body.text()).toBe('ok');
        answered();
      }
      await cleanup.run();
      return log.filter((message) => /^(client:|request:create)/.test(message));
    });
    expect(ours).toEqual(theirs);
    expect(ours).toContain('client:sendHeaders /3 #3');
  });
});

describe('diagnostics messages of a connection that is not opened', () => {
  const calls: [string, (library: Library, url: string) => Promise<unknown>][] = [
    ['request', (library, url) => attempt(watched(new library.Client(url)), { path: '/' })],
    ['fetch', (library, url) => library.fetch(url, { dispatcher: watched(new library.Agent()) })],
  ];

  /** Destroyed with the test. */
  function watched<Some extends { destroy(): Promise<void> }>(dispatcher: Some): Some {
    cleanup.add(() => dispatcher.destroy());
    return dispatcher;
  }

  it.each(calls)('report the attempt before the request: %s', async (_name, call) => {
    const { port, close } = await listening(createServer());
    await close();
    const [theirs, ours] = await both(async (library) => {
      const log = record(new library.Agent());
      await call(library, `http://127.0.0.1:${port}`).catch(() => undefined);
      // The attempt may be reported to us later than the request.
      await new Promise((resolve) => setImmediate(resolve));
      await cleanup.run();
      return log;
    });
    expect(ours).toEqual(theirs);
  });

  it.skipIf(peerMajor === 7)('report one that no request waits for', async () => {
    const [theirs, ours] = await both(async (library) => {
      const client = watched(
        new library.Client('http://localhost:1', { connect: { lookup: () => {} } }),
      );
      const log = record(client);
      client.on('connectionError', () => log.push('(connectionError)'));
      for (const path of ['/1', '/2']) {
        const abort = new AbortController();
        const request = client.request({ path, method: 'GET', signal: abort.signal });
        const failed = new Promise<any>((resolve) => {
          subscribe('undici:client:connectError', resolve);
          cleanup.add(() => unsubscribe('undici:client:connectError', resolve));
        });
        await new Promise((resolve) => setImmediate(resolve));
        abort.abort();
        await expect(request).rejects.toThrow('aborted');
        const { error } = await failed;
        log.push(`${error.name} ${error.message}`);
      }
      await cleanup.run();
      return log;
    });
    expect(ours).toEqual(theirs);
  });
});
