// S21: what errors, events and debug output must never show.

import { inspect } from 'node:util';

import { afterEach, describe, expect, it } from 'vitest';

import {
  Agent,
  BalancedPool,
  Client,
  EnvHttpProxyAgent,
  fetch,
  Pool,
  ProxyAgent,
  RetryAgent,
  RoundRobinPool,
  Socks5ProxyAgent,
} from '../../src/index';
import { Authority, selfSigned } from '../support/certificates';
import { httpOrigin, rawOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SECRETS = [
  's3cr3t-user',
  's3cr3t-password',
  's3cr3t-token',
  's3cr3t-cookie',
  's3cr3t-phrase',
];
const headers = { authorization: 'Bearer s3cr3t-token', cookie: 'a=s3cr3t-cookie' };

/** Everything that a log could print of a value. */
function shown(value: unknown): string {
  const parts = [
    inspect(value),
    inspect(value, { depth: 12, showHidden: true, getters: true, maxArrayLength: 1000 }),
    String(value),
  ];
  if (value instanceof Error) parts.push(value.stack ?? '', value.message);
  try {
    parts.push(JSON.stringify(value) ?? '');
  } catch {
    // Circular: nothing to show.
  }
  return parts.join('\n');
}

function expectNoSecret(...values: unknown[]): void {
  for (const value of values) {
    const text = shown(value);
    for (const secret of SECRETS) expect(text).not.toContain(secret);
  }
}

function withCredentials(url: string): string {
  return url.replace('://', '://s3cr3t-user:s3cr3t-password@');
}

const user = new Authority().issue({ purposes: ['client'] });
const connect = { ...user, passphrase: 's3cr3t-phrase' };

const kinds = {
  Client: (url: string) => new Client(withCredentials(url), { connect }),
  Pool: (url: string) => new Pool(withCredentials(url), { connect }),
  Agent: () => new Agent({ connect }),
};

/** Runs a request, and returns everything reported about it. */
async function observed(kind: keyof typeof kinds, origin: Origin | string): Promise<unknown[]> {
  const url = typeof origin === 'string' ? origin : origin.url;
  const dispatcher = kinds[kind](url);
  cleanup.add(() => dispatcher.destroy());
  const said: unknown[] = [];
  for (const event of ['connect', 'disconnect', 'connectionError', 'drain', 'error']) {
    dispatcher.on(event as 'connect', (...values: unknown[]) => {
      said.push(...values);
      // During the request: a dispatcher also holds requests in flight.
      expectNoSecret(dispatcher);
    });
  }
  await new Promise<void>((resolve) => {
    dispatcher.dispatch(
      { origin: withCredentials(url), path: '/', method: 'POST', headers, body: 's3cr3t-token' },
      {
        onRequestStart(controller) {
          said.push(controller);
          expectNoSecret(dispatcher, controller);
        },
        onResponseStart(controller) {
          expectNoSecret(dispatcher, controller);
        },
        onResponseData() {},
        onResponseEnd: () => resolve(),
        onResponseError(_controller, error) {
          said.push(error, (error as { cause?: unknown }).cause);
          resolve();
        },
      },
    );
    expectNoSecret(dispatcher);
  });
  expectNoSecret(dispatcher, dispatcher.stats);
  await dispatcher.destroy();
  expectNoSecret(dispatcher);
  return said;
}

for (const kind of Object.keys(kinds) as (keyof typeof kinds)[]) {
  describe(`s21 no credential appears in what ${kind} exposes`, () => {
    it('of a request that succeeds', async () => {
      const seen: (string | undefined)[] = [];
      const origin = await httpOrigin((request, response) => {
        seen.push(request.headers.authorization, request.headers.cookie);
        response.end();
      });
      cleanup.add(() => origin.close());
      const said = await observed(kind, origin);
      expect(seen).toEqual(Object.values(headers));
      expect(said.length).toBeGreaterThan(4);
      expectNoSecret(...said);
    });

    it('of a server that sends an invalid response', async () => {
      const origin = await rawOrigin((socket) =>
        socket.on('data', () => socket.write('NO HTTP\r\n')),
      );
      cleanup.add(() => origin.close());
      const said = await observed(kind, origin);
      expect(said.some((value) => value instanceof Error)).toBe(true);
      expectNoSecret(...said);
    });

    it('of a server that goes away', async () => {
      const origin = await rawOrigin((socket) => socket.on('data', () => socket.destroy()));
      cleanup.add(() => origin.close());
      expectNoSecret(...(await observed(kind, origin)));
    });

    it('of a server that refuses connections', async () => {
      const origin = await rawOrigin(() => {});
      await origin.close();
      const said = await observed(kind, origin);
      expect(said.some((value) => (value as any)?.code === 'ECONNREFUSED')).toBe(true);
      expectNoSecret(...said);
    });

    it('of a name that does not exist', async () => {
      expectNoSecret(...(await observed(kind, 'http://does-not-exist.invalid')));
    });
  });
}

describe('s21 no credential appears in errors', () => {
  it('of invalid arguments', async () => {
    const client = new Client('http://localhost');
    cleanup.add(() => client.destroy());
    const refused = [
      { headers: { authorization: 'Bearer s3cr3t-token\n' } },
      { headers: { cookie: ['s3cr3t-cookie\0'] } },
      { path: '/?token=s3cr3t-token \n' },
      { method: 's3cr3t-token\n' },
    ];
    for (const options of refused) {
      const error = await client
        .request({ path: '/', method: 'GET', ...options })
        .catch((e: unknown) => e);
      expect(error).toBeInstanceOf(Error);
      expectNoSecret(error);
    }
  });

  it('of constructors', () => {
    const attempts = [
      () => new Client('http://s3cr3t-user:s3cr3t-password@localhost/path'),
      () => new Client('ftp://s3cr3t-user:s3cr3t-password@localhost/'),
      () => new Agent({ origins: Object.fromEntries([[withCredentials('http://localhost'), {}]]) }),
      () => {
        const connect = { ...selfSigned(), key: 's3cr3t-phrase' };
        return new Agent({ origins: { 'https://localhost': { connect } } });
      },
    ];
    for (const construct of attempts) {
      expect(construct).toThrow();
      try {
        construct();
      } catch (error) {
        expectNoSecret(error);
      }
    }
  });

  it('of fetch', async () => {
    const origin = await rawOrigin((socket) => socket.on('data', () => socket.destroy()));
    cleanup.add(() => origin.close());
    const dispatcher = new Agent();
    cleanup.add(() => dispatcher.destroy());
    const error = await fetch(origin.url, { dispatcher, headers }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(TypeError);
    expectNoSecret(error, (error as Error).cause);
  });
});

it('s21 no credential appears in what is printed of any class', async () => {
  const origin = await httpOrigin((_request, response) => response.end());
  cleanup.add(() => origin.close());
  const uri = withCredentials(origin.url);
  const made = [
    new BalancedPool(origin.url, { connect }),
    new RoundRobinPool(origin.url, { connect }),
    new RetryAgent(new Agent({ connect })),
    new ProxyAgent({ uri, proxyTunnel: false, token: 's3cr3t-token', requestTls: connect }),
    new Socks5ProxyAgent(uri.replace('http', 'socks5'), { requestTls: connect }),
    new EnvHttpProxyAgent({ httpProxy: uri, noProxy: '*', connect }),
  ];
  for (const dispatcher of made) {
    cleanup.add(() => dispatcher.destroy());
    expectNoSecret(dispatcher);
    if (dispatcher instanceof Socks5ProxyAgent) continue;
    const given = { origin: origin.url, path: '/', method: 'GET', headers } as const;
    await (await dispatcher.request(given)).body.dump();
    expectNoSecret(dispatcher);
    await dispatcher.close();
    expectNoSecret(dispatcher);
  }
});
