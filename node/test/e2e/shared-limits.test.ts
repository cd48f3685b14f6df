// `maxConnections`, a limit that undici does not have (its issues 3268, 3221 and 4365): sockets as the
// servers count them, who is served when, and what makes room.
import type { Socket } from 'node:net';

import { afterEach, describe, expect, it } from 'vitest';

import {
  Agent,
  type AgentOptions,
  Client,
  EnvHttpProxyAgent,
  Pool,
  ProxyAgent,
  Socks5ProxyAgent,
} from '../../src/index';
import { peer } from '../../src/undici/undici';
import { http2Origin, type Origin, rawOrigin } from '../support/servers';

interface UpgradeData {
  socket: { destroy(): unknown };
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Servers that count the sockets that are open at a time. */
class Servers {
  readonly origins: Origin[] = [];
  open = 0;
  most = 0;
  accepted = 0;
  /** Number of the server that was asked, for each request. */
  readonly served: number[] = [];

  async add(count: number, answer: (socket: Socket) => void = (socket) => socket.write(OK)) {
    for (let i = 0; i < count; i++) {
      const index = this.origins.length;
      this.origins.push(await rawOrigin((socket) => this.#accept(socket, index, answer)));
    }
    return this;
  }

  #accept(socket: Socket, index: number, answer: (socket: Socket) => void): void {
    this.open++;
    this.accepted++;
    let isOpen = true;
    const ended = () => {
      if (isOpen) this.open--;
      isOpen = false;
    };
    socket.on('end', ended).on('close', ended);
    // A connection that made room may be reported as ended after the one it made room for.
    setImmediate(() => (this.most = Math.max(this.most, this.open)));
    let head = '';
    socket.on('data', (chunk) => {
      head += chunk.toString('latin1');
      for (let end = head.indexOf('\r\n\r\n'); end !== -1; end = head.indexOf('\r\n\r\n')) {
        head = head.slice(end + 4);
        this.served.push(index);
        answer(socket);
      }
    });
  }

  urls(): string[] {
    return this.origins.map(({ url }) => url);
  }

  close = () => Promise.all(this.origins.map((origin) => origin.close()));
}

let servers = new Servers();
let agent: { destroy(): Promise<void> } | undefined;

afterEach(async () => {
  await agent?.destroy();
  await servers.close();
  servers = new Servers();
});

async function ask(dispatcher: Agent, origin: string, path = '/'): Promise<string> {
  const { body } = await dispatcher.request({ origin, path, method: 'GET' });
  return body.text();
}

function limited(maxConnections: number, options: AgentOptions = {}): Agent {
  const made = new Agent({ ...options, maxConnections });
  agent = made;
  return made;
}

/**
 * Servers that answer as if every request took equally long: not before each of `connections` has one, or
 * as many as are left of `requests`. `beforeAnswers` is called when nothing moves.
 */
function inStep(connections: number, requests: number, beforeAnswers: () => void = () => {}) {
  const waiting: Socket[] = [];
  let left = requests;
  return (socket: Socket): void => {
    if (waiting.push(socket) !== Math.min(connections, left)) return;
    // Whatever else has arrived is read in between.
    setImmediate(() =>
      setImmediate(() => {
        beforeAnswers();
        left -= waiting.length;
        for (const next of waiting.splice(0)) next.write(OK);
      }),
    );
  };
}

describe('maxConnections', () => {
  it('limits the connections to fifty origins together, and every request settles', async () => {
    const open: number[] = [];
    const answer = inStep(7, 300, () => open.push(servers.open));
    await servers.add(50, answer);
    const own = limited(7);
    const urls = servers.urls();
    const asked = urls.flatMap((url) => Array.from({ length: 6 }, () => ask(own, url)));
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['ok']));
    expect(open.length).toBe(Math.ceil(300 / 7));
    expect(Math.max(...open)).toBe(7);
    expect(servers.served.length).toBe(300);
  });

  it('undici has no such limit', async () => {
    await servers.add(5, () => {});
    const options = { maxConnections: 2 } as ConstructorParameters<typeof peer.Agent>[0];
    const theirs = new peer.Agent(options);
    agent = theirs;
    for (const origin of servers.urls()) {
      theirs.request({ origin, path: '/', method: 'GET' }).catch(() => {});
    }
    while (servers.served.length < 5) await new Promise(setImmediate);
    expect(servers.open).toBe(5);
  });

  it('origins take turns', async () => {
    await servers.add(10, inStep(3, 10 * 40));
    const own = limited(3);
    const asked = servers.urls().flatMap((url) => Array.from({ length: 40 }, () => ask(own, url)));
    await Promise.all(asked);
    // A turn is eight requests.
    const bound = 8 * 10 + 2 * 3;
    servers.origins.forEach((_, index) => {
      let last = 0;
      servers.served.forEach((served, at) => {
        if (served !== index) return;
        expect(at - last).toBeLessThanOrEqual(bound);
        last = at;
      });
    });
  });

  it('the connection of another origin that has been idle longest makes room', async () => {
    await servers.add(3);
    const own = limited(2);
    const closed: unknown[] = [];
    own.on('disconnect', (origin, _targets, error, info) =>
      closed.push([origin.origin, info?.reason, error.code]),
    );
    const [a, b, c] = servers.urls() as [string, string, string];
    await ask(own, a);
    await ask(own, b);
    await ask(own, a);
    await ask(own, c);
    expect(closed).toEqual([[b, 'made room', 'UND_ERR_INFO']]);
    expect(servers.accepted).toBe(3);
  });

  it('an attempt counts from its beginning, and one that fails makes room', async () => {
    await servers.add(1);
    const refusing = await rawOrigin(() => {});
    await refusing.close();
    const own = limited(1);
    const [url] = servers.urls() as [string];
    const asked = [ask(own, refusing.url), ask(own, url), ask(own, refusing.url), ask(own, url)];
    const settled = await Promise.allSettled(asked);
    expect(settled.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    expect(servers.most).toBe(1);
  });

  it('an upgraded connection counts until it closes', async () => {
    await servers.add(1, (socket) =>
      socket.write('HTTP/1.1 101 OK\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    );
    await servers.add(1);
    const own = limited(1);
    const [a, b] = servers.urls() as [string, string];
    const { socket }: UpgradeData = await own.upgrade({
      origin: a,
      path: '/',
      protocol: 'x',
    } as never);
    const waiting = ask(own, b);
    await new Promise(setImmediate);
    expect(servers.served).toEqual([0]);
    socket.destroy();
    expect(await waiting).toBe('ok');
    expect(servers.most).toBe(1);
  });

  it('an HTTP/2 connection counts as one, whatever its streams', async () => {
    await servers.add(1);
    let sessions = 0;
    const h2 = await http2Origin((stream) => {
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
    h2.server.on('session', () => sessions++);
    servers.origins.push(h2);
    const own = limited(2, {
      ...h2.options,
      allowH2: true,
      connect: { ...(h2.options as any).connect, preferH2: true },
    });
    const [plain] = servers.urls() as [string];
    const asked = Array.from({ length: 20 }, () => ask(own, h2.url));
    expect(new Set(await Promise.all([...asked, ask(own, plain)]))).toEqual(new Set(['ok']));
    expect(sessions).toBe(1);
  });

  it('holds for a pool that is dropped and made again', async () => {
    await servers.add(3);
    const own = limited(1, { keepAliveTimeout: 1 });
    for (let round = 0; round < 3; round++) {
      for (const url of servers.urls()) expect(await ask(own, url)).toBe('ok');
    }
    expect(servers.most).toBe(1);
  });

  it('leaves maxOrigins as undici has it', async () => {
    await servers.add(2);
    const own = limited(1, { maxOrigins: 1 });
    const [a, b] = servers.urls() as [string, string];
    expect(await ask(own, a)).toBe('ok');
    await expect(ask(own, b)).rejects.toMatchObject({ code: 'UND_ERR_MAX_ORIGINS_REACHED' });
  });

  it('a waiting request is aborted, and destroying the agent settles all', async () => {
    await servers.add(2, () => {});
    const own = limited(1);
    const [a, b] = servers.urls() as [string, string];
    const hanging = ask(own, a);
    const signal = AbortSignal.timeout(20);
    const aborted = own.request({ origin: b, path: '/', method: 'GET', signal });
    await expect(aborted).rejects.toMatchObject({ name: 'TimeoutError' });
    const waiting = ask(own, b);
    const settled = Promise.allSettled([hanging, waiting]);
    await own.destroy();
    const destroyed = { status: 'rejected', reason: { code: 'UND_ERR_DESTROYED' } };
    expect(await settled).toMatchObject([destroyed, destroyed]);
    expect(servers.accepted).toBe(1);
  });

  it('a closing agent finishes what waits', async () => {
    await servers.add(4);
    const own = limited(1);
    const asked = servers.urls().map((url) => ask(own, url));
    const closed = own.close();
    expect(await Promise.all(asked)).toEqual(['ok', 'ok', 'ok', 'ok']);
    await closed;
    expect(servers.most).toBe(1);
  });

  it('is an option of agents only, and must be a positive integer', () => {
    const makers = {
      Agent: (options: object) => new Agent(options),
      ProxyAgent: (options: object) => new ProxyAgent({ uri: 'http://localhost:1', ...options }),
      'ProxyAgent over SOCKS': (options: object) =>
        new ProxyAgent({ uri: 'socks5://localhost:1', ...options }),
      EnvHttpProxyAgent: (options: object) => new EnvHttpProxyAgent(options),
      Socks5ProxyAgent: (options: object) => new Socks5ProxyAgent('socks5://localhost:1', options),
    };
    for (const [name, make] of Object.entries(makers)) {
      for (const value of [0, -1, 1.5, NaN, Infinity, '3', true, {}, []]) {
        expect(() => make({ maxConnections: value }), `${name} ${String(value)}`).toThrow(
          'maxConnections must be a positive integer',
        );
      }
      for (const value of [null, undefined, 1]) make({ maxConnections: value });
    }
    const url = 'http://localhost';
    expect(() => new Pool(url, { maxConnections: 1 } as object)).toThrow(
      'maxConnections is an option of Agent, not of Pool',
    );
    expect(() => new Client(url, { maxConnections: 1 } as object)).toThrow(
      'maxConnections is an option of Agent, not of Client',
    );
    const origins = { [url]: { maxConnections: 1 } as object };
    expect(() => new Agent({ origins })).toThrow('maxConnections is not a per-origin option');
  });

  it('an agent without it is not limited by another one', async () => {
    await servers.add(2, () => {});
    const own = limited(1);
    const other = new Agent();
    const [a, b] = servers.urls() as [string, string];
    own.request({ origin: a, path: '/', method: 'GET' }).catch(() => {});
    other.request({ origin: b, path: '/', method: 'GET' }).catch(() => {});
    while (servers.served.length < 2) await new Promise(setImmediate);
    await other.destroy();
  });
});
