// Several concurrent requests on one connection, on the wire, compared with undici: each
// case runs with undici's class and with ours, and both must behave the same.

import type { Socket } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';
import { Client as PeerClient, Pool as PeerPool } from 'undici';

import { Client, Pool } from '../../src/index';
import { Recorder } from '../support/recorder';
import { type Origin, rawOrigin } from '../support/servers';

let origin: Origin | undefined;
let dispatcher: Client | Pool | undefined;

afterEach(async () => {
  await dispatcher?.destroy();
  await origin?.close();
});

/** What one connection of the origin received, and how it responds. */
interface Served {
  readonly heads: string[];
  closed: boolean;
}

/**
 * An origin of raw connections: `answer` is called with the targets of all requests so far, whenever
 * one more has arrived.
 */
async function serve(
  answer: (socket: Socket, targets: string[], index: number) => void,
): Promise<Served[]> {
  const connections: Served[] = [];
  origin = await rawOrigin((socket) => {
    const served: Served = { heads: [], closed: false };
    const index = connections.push(served) - 1;
    let seen = '';
    socket.on('close', () => (served.closed = true));
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1');
      for (let end = seen.indexOf('\r\n\r\n'); end !== -1; end = seen.indexOf('\r\n\r\n')) {
        served.heads.push(seen.slice(0, end).split('\r\n')[0]!);
        seen = seen.slice(end + 4);
        answer(
          socket,
          served.heads.map((line) => line.split(' ')[1]!),
          index,
        );
      }
    });
  });
  return connections;
}

const reply = (body: string, fields = '') =>
  `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;

const get = (path: string) => ({ path, method: 'GET', blocking: false }) as const;

async function text(path: string, options: object = {}): Promise<string> {
  const { body } = await dispatcher!.request({ ...get(path), ...options });
  return body.text();
}

for (const [name, classes] of [
  [
    'undici',
    { Client: PeerClient as unknown as typeof Client, Pool: PeerPool as unknown as typeof Pool },
  ],
  ['dodici', { Client, Pool }],
] as const) {
  describe(name, () => {
    it('writes as many requests as its depth allows before the first response', async () => {
      const connections = await serve((socket, targets) => {
        if (targets.length === 3) socket.write(targets.map((target) => reply(target)).join(''));
        if (targets.length === 5)
          socket.write(
            targets
              .slice(3)
              .map((t) => reply(t))
              .join(''),
          );
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 3 });
      const paths = ['/0', '/1', '/2', '/3', '/4'];
      expect(await Promise.all(paths.map((path) => text(path)))).toEqual(paths);
      expect(connections.length).toBe(1);
    });

    it('writes one request at a time with the default depth', async () => {
      const most: number[] = [];
      let answered = 0;
      const connections = await serve((socket, targets) => {
        most.push(targets.length - answered);
        setImmediate(() => {
          answered++;
          socket.write(reply(targets.at(-1)!));
        });
      });
      dispatcher = new classes.Client(origin!.url);
      expect(await Promise.all([text('/0'), text('/1'), text('/2')])).toEqual(['/0', '/1', '/2']);
      expect(most).toEqual([1, 1, 1]);
      expect(connections.length).toBe(1);
    });

    it('writes more immediately on an open connection when its depth is raised', async () => {
      const connections = await serve((socket, targets) => {
        // The others arrive although the first request is unanswered.
        if (targets.length === 1) client.pipelining = 3;
        if (targets.length === 3) socket.write(targets.map((target) => reply(target)).join(''));
        if (targets.length === 4) socket.write(reply('/3'));
      });
      const client = (dispatcher = new classes.Client(origin!.url));
      const paths = ['/0', '/1', '/2', '/3'];
      expect(await Promise.all(paths.map((path) => text(path)))).toEqual(paths);
      expect(connections.length).toBe(1);
    });

    it.each([
      ['connection: close', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\n'],
      ['no length', 'HTTP/1.1 200 OK\r\n\r\n'],
      ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n'],
    ])('sends nothing after a head with %s, and starts each request once', async (_, head) => {
      const connections = await serve((socket, targets, index) => {
        if (index > 0) socket.write(reply(targets.at(-1)!));
        else {
          socket.write(head);
          // A request sent on this connection would arrive before its end.
          setTimeout(() => socket.end('hello'), 50);
        }
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 3 });
      const recorders = ['/0', '/1', '/2'].map((path) => {
        const recorder = new Recorder();
        dispatcher!.dispatch({ path, method: 'GET' }, recorder);
        return recorder;
      });
      for (const recorder of recorders) {
        await expect.poll(() => recorder.names.at(-1)).toBe('end');
        expect(recorder.names.filter((name) => name === 'start')).toHaveLength(1);
      }
      const lines = connections.map(({ heads }) => heads.map((line) => line.split(' ')[1]));
      expect(lines).toEqual([['/0'], ['/1', '/2']]);
    });

    it('opens no unneeded connection after an upgrade', async () => {
      const connections = await serve((socket) =>
        socket.write('HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
      );
      const client = (dispatcher = new classes.Client(origin!.url, { pipelining: 3 }));
      const events: string[] = [];
      client.on('connect', () => events.push('connect'));
      client.on('disconnect', () => events.push('disconnect'));
      const { socket } = await client.upgrade({ path: '/', protocol: 'x' });
      socket.on('error', () => {});
      const closed = new Promise((resolve) => socket.on('close', resolve));
      socket.destroy();
      await closed;
      await client.close();
      expect(events).toEqual(['connect', 'disconnect']);
      expect(connections).toHaveLength(1);
    });

    it('closes its connection after the next request when its depth is lowered to zero', async () => {
      const connections = await serve((socket, targets) => socket.write(reply(targets.at(-1)!)));
      const client = (dispatcher = new classes.Client(origin!.url));
      expect(await text('/0')).toBe('/0');
      const gone = new Promise((resolve) => client.once('disconnect', resolve));
      client.pipelining = 0;
      expect(await text('/1')).toBe('/1');
      await gone;
      expect(connections.map((served) => served.heads.length)).toEqual([2]);
    });

    it('waits for the head of a blocking request, which is the default', async () => {
      await serve((socket, targets) => {
        if (targets.length === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
        else socket.write(`/0${reply('/1')}`);
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 10 });
      const both = Promise.all([text('/0', { blocking: true }), text('/1')]);
      expect(await both).toEqual(['/0', '/1']);
    });

    it('sends a non-idempotent request alone, and an upgrade last', async () => {
      const seen: string[][] = [];
      await serve((socket, targets) => {
        seen.push(targets.slice());
        const target = targets.at(-1)!;
        if (target === '/1') socket.write(reply('/0') + reply('/1'));
        if (target === '/post') socket.write(reply('/post'));
        if (target === '/up') {
          socket.write(
            'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n',
          );
        }
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 10 });
      const answers = [text('/0'), text('/1'), text('/post', { method: 'POST' })];
      const upgrade = dispatcher.upgrade({ path: '/up', protocol: 'echo' });
      expect(await Promise.all(answers)).toEqual(['/0', '/1', '/post']);
      const { socket } = await upgrade;
      socket.destroy();
      expect(seen.at(-1)).toEqual(['/0', '/1', '/post', '/up']);
    });

    it('continues on another connection behind an upgrade', async () => {
      const connections = await serve((socket, targets) => {
        const target = targets.at(-1)!;
        if (target !== '/up') socket.write(reply(target));
        else {
          socket.write(
            'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n',
          );
        }
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 3 });
      expect(await text('/0')).toBe('/0');
      const upgrade = dispatcher.upgrade({ path: '/up', protocol: 'echo' });
      expect(await text('/1')).toBe('/1');
      (await upgrade).socket.destroy();
      expect(connections.length).toBe(2);
    });

    it('fails the oldest request with the connection, emits disconnect, and sends the others', async () => {
      const order: string[] = [];
      const connections = await serve((socket, targets, index) => {
        if (index > 0) {
          order.push(`sent ${targets.at(-1)}`);
          socket.write(reply(targets.at(-1)!));
        } else if (targets.length === 3) socket.end();
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 3 });
      dispatcher.on('disconnect', () => order.push('disconnect'));
      const failing = text('/0').catch((error: unknown) => {
        order.push(`failed ${(error as { code: string }).code}`);
      });
      const others = Promise.all([text('/1'), text('/2')]);
      await failing;
      expect(await others).toEqual(['/1', '/2']);
      // The server is in this process, and may see the others before the events are delivered.
      const [events, sent] = [false, true].map((isSent) =>
        order.filter((what) => what.startsWith('sent') === isSent),
      );
      expect(events!.sort()).toEqual(['disconnect', 'failed UND_ERR_SOCKET']);
      expect(sent).toEqual(['sent /1', 'sent /2']);
      expect(connections.length).toBe(2);
    });

    it('calls the handler of the oldest request before it emits disconnect', async () => {
      const order: unknown[] = [];
      await serve((socket, targets) => {
        if (targets.length === 2) socket.end();
      });
      const client = (dispatcher = new classes.Client(origin!.url, { pipelining: 2 }));
      const gone = new Promise<void>((resolve) => {
        client.on('disconnect', () => {
          order.push('disconnect', client.stats.running, client.stats.pending);
          client.removeAllListeners('disconnect');
          resolve();
        });
      });
      const recorder = new Recorder();
      recorder.during = (event) => {
        if (event === 'error') order.push('error');
      };
      client.dispatch(get('/0'), recorder);
      client.dispatch(get('/1'), new Recorder());
      await gone;
      expect(order).toEqual(['error', 'disconnect', 0, 1]);
    });

    it('sends requests again that followed a response with connection: close', async () => {
      const connections = await serve((socket, targets, index) => {
        if (index > 0) socket.write(reply(targets.at(-1)!));
        else if (targets.length === 3)
          socket.write(reply('/0') + reply('/1', 'Connection: close\r\n'));
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 3 });
      const paths = ['/0', '/1', '/2'];
      expect(await Promise.all(paths.map((path) => text(path)))).toEqual(paths);
      expect(connections.map((served) => served.heads.length)).toEqual([3, 1]);
    });

    it('fails a written request with its connection, and sends the others again', async () => {
      const abort = new AbortController();
      const connections = await serve((socket, targets, index) => {
        if (index > 0) socket.write(reply(targets.at(-1)!));
        else if (targets.length === 3) abort.abort();
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 3 });
      const first = text('/0');
      const second = text('/1', { signal: abort.signal });
      const third = text('/2');
      await expect(second).rejects.toMatchObject({ name: 'AbortError' });
      expect(await Promise.all([first, third])).toEqual(['/0', '/2']);
      expect(connections.map((served) => served.heads.length)).toEqual([3, 2]);
    });

    it('calls a handler when its request is sent, and for each attempt', async () => {
      const connections = await serve((socket, targets, index) => {
        if (index > 0) socket.write(reply(targets.at(-1)!));
        else if (targets.length === 2) socket.write(reply('/0', 'Connection: close\r\n'));
      });
      const client = (dispatcher = new classes.Client(origin!.url, { pipelining: 2 }));
      const recorders = [new Recorder(), new Recorder()];
      const done = recorders.map(
        (recorder, index) =>
          new Promise<void>((resolve) => {
            recorder.during = (event) => {
              if (event === 'end') resolve();
            };
            client.dispatch(get(`/${index}`), recorder);
          }),
      );
      expect(recorders.map(({ names }) => names)).toEqual([[], []]);
      await Promise.all(done);
      expect(recorders.map(({ names }) => names)).toEqual([
        ['start', 'head', 'data', 'end'],
        ['start', 'start', 'head', 'data', 'end'],
      ]);
      expect(connections.map((served) => served.heads.length)).toEqual([2, 1]);
    });

    it('closes the connection when a request is aborted as it is about to be sent', async () => {
      const events: string[] = [];
      await serve((socket, targets, index) => {
        if (index > 0) socket.write(reply(targets.at(-1)!));
      });
      const client = (dispatcher = new classes.Client(origin!.url, { pipelining: 3 }));
      client.on('disconnect', (_origin, _targets, error) => {
        events.push(`disconnect ${(error as Error).message}`);
      });
      const [kept, aborted] = [new Recorder(), new Recorder()];
      const done = new Promise<void>((resolve) => {
        kept.during = (event) => {
          if (event === 'end') resolve();
        };
      });
      aborted.during = (event) => {
        events.push(event);
        if (event === 'start') aborted.controller.abort();
      };
      client.dispatch(get('/0'), kept);
      client.dispatch(get('/1'), aborted);
      await done;
      expect(events).toEqual(['start', 'error', 'disconnect aborted']);
      expect(kept.names).toEqual(['start', 'start', 'head', 'data', 'end']);
    });

    it('sends a request dispatched in onRequestStart after the one that started', async () => {
      const connections = await serve((socket, targets) => {
        socket.write(reply(targets.at(-1)!));
      });
      const client = (dispatcher = new classes.Client(origin!.url, { pipelining: 3 }));
      let nested: Promise<string> | undefined;
      const first = new Recorder();
      first.during = (event) => {
        if (event === 'start') nested = text('/nested');
      };
      client.dispatch(get('/0'), first);
      await text('/1');
      expect(await nested).toBe('/nested');
      const [served] = connections;
      expect(served!.heads.map((line) => line.split(' ')[1])).toEqual(['/0', '/1', '/nested']);
    });

    it('fails the next request when invalid bytes follow a response', async () => {
      await serve((socket, targets, index) => {
        socket.write(reply(targets.at(-1)!) + (index === 0 ? '1111\r\n' : ''));
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: true as unknown as number });
      const [first, second] = [text('/0'), text('/1')];
      expect(await first).toBe('/0');
      await expect(second).rejects.toMatchObject({ name: 'HTTPParserError' });
      expect(await text('/2')).toBe('/2');
    });

    it('holds back later responses while the handler of the oldest has paused', async () => {
      // More than is buffered for a paused handler.
      const large = 'x'.repeat(4 * 1024 * 1024);
      await serve((socket, targets) => {
        if (targets.length === 2) socket.write(reply(large) + reply('/1'));
      });
      dispatcher = new classes.Client(origin!.url, { pipelining: 2 });
      const [paused, next] = [new Recorder(), new Recorder()];
      const halted = new Promise<void>((resolve) => {
        paused.during = (event) => {
          if (event !== 'head') return;
          paused.controller.pause();
          resolve();
        };
      });
      const ended = new Promise<void>((resolve) => {
        next.during = (event) => {
          if (event === 'end') resolve();
        };
      });
      dispatcher.dispatch(get('/0'), paused);
      dispatcher.dispatch(get('/1'), next);
      await halted;
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      expect(paused.names).toEqual(['start', 'head']);
      expect(next.names.filter((event) => event !== 'start')).toEqual([]);
      paused.controller.resume();
      await ended;
      expect(next.names).toEqual(['start', 'head', 'data', 'end']);
      expect(paused.names.at(-1)).toBe('end');
    });

    it('pipelines on each connection of a pool', async () => {
      const connections = await serve((socket, targets) => {
        socket.write(reply(targets.at(-1)!));
      });
      dispatcher = new classes.Pool(origin!.url, { connections: 2, pipelining: 5 });
      const paths = Array.from({ length: 200 }, (_, index) => `/${index}`);
      expect(await Promise.all(paths.map((path) => text(path)))).toEqual(paths);
      expect(connections.length).toBe(2);
    });
  });
}

describe('differences from undici', () => {
  // In undici, a request can be aborted only once it is its turn.
  it('aborts a waiting request immediately, without closing a connection', async () => {
    const connections = await serve((socket, targets) => {
      if (targets.at(-1) === '/go') socket.write(targets.map((target) => reply(target)).join(''));
    });
    const client = (dispatcher = new Client(origin!.url, { pipelining: 2 }));
    const running = [text('/0'), text('/go')];
    const abort = new AbortController();
    const waiting = text('/waits', { signal: abort.signal });
    abort.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    const late = text('/late', { signal: AbortSignal.abort() });
    await expect(late).rejects.toMatchObject({ name: 'AbortError' });
    expect(client.stats.size).toBe(2);
    expect(await Promise.all(running)).toEqual(['/0', '/go']);
    expect(connections.map(({ heads }) => heads.length)).toEqual([2]);
  });

  // Not compared with undici, whose parser fails when several responses arrive together.
  it('writes one at a time again when its depth is lowered', async () => {
    const most: number[] = [];
    const connections = await serve((socket, targets) => {
      if (targets.length < 3) return;
      if (targets.length === 3) {
        client.pipelining = 1;
        socket.write(['/0', '/1', '/2'].map((target) => reply(target)).join(''));
        return;
      }
      const count = targets.length;
      setImmediate(() => {
        most.push(connections[0]!.heads.length - count + 1);
        socket.write(reply(targets.at(-1)!));
      });
    });
    const client = (dispatcher = new Client(origin!.url, { pipelining: 3 }));
    const paths = ['/0', '/1', '/2', '/3', '/4', '/5'];
    expect(await Promise.all(paths.map((path) => text(path)))).toEqual(paths);
    expect(most).toEqual([1, 1, 1]);
    expect(connections.length).toBe(1);
  });
});

it('a depth that is set before the first connection applies in the engine, too', async () => {
  let seen = 0;
  const origin = await rawOrigin((socket) => {
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1').split('GET ').length - 1;
      // No response until all have arrived.
      if (seen === 3) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'.repeat(3));
    });
  });
  const client = new Client(origin.url);
  client.pipelining = 3;
  const requests = ['/1', '/2', '/3'].map((path) =>
    client.request({ path, method: 'GET', blocking: false }),
  );
  for (const { statusCode, body } of await Promise.all(requests)) {
    expect(statusCode).toBe(200);
    await body.dump();
  }
  await client.destroy();
  await origin.close();
});
