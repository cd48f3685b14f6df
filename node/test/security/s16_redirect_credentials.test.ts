// S16: credentials do not follow a redirect to another origin.

import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Agent, fetch, getGlobalDispatcher, interceptors, request } from '../../src/index';
import { httpOrigin, httpsOrigin, type Origin } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SECRETS = {
  authorization: 'Bearer secret',
  cookie: 'session=secret',
  'proxy-authorization': 'Basic secret',
};
const REDIRECTS = [301, 302, 303, 307, 308];

interface Seen {
  readonly origin: string;
  readonly path: string;
  readonly headers: Record<string, unknown>;
}

let seen: Seen[];
let first: Origin;
let second: Origin;
let secure: Origin;
/** The response of `/go`. */
let go: { status: number; location: string };

beforeAll(async () => {
  const listen =
    (name: string) =>
    (...[incoming, response]: Parameters<Parameters<typeof createServer>[1] & object>) => {
      const path = incoming.url as string;
      seen.push({ origin: name, path, headers: incoming.headers });
      const hop = /^\/to\/(.*)$/.exec(path);
      if (hop) response.writeHead(302, { location: decodeURIComponent(hop[1]!) }).end();
      else if (path === '/go') response.writeHead(go.status, { location: go.location }).end();
      else response.end('arrived');
    };
  first = await httpOrigin(listen('first'));
  second = await httpOrigin(listen('second'));
  secure = await httpsOrigin(listen('secure'));
});
afterAll(() => Promise.all([first, second, secure].map((origin) => origin.close())));
beforeEach(() => (seen = []));

function secretsOf({ headers }: Seen): string[] {
  return Object.keys(SECRETS).filter((name) => headers[name] !== undefined);
}

/** Ways to follow a redirect over our Agent. */
const WAYS: Record<string, (url: string, headers: object) => Promise<unknown>> = {
  async 'interceptors.redirect()'(url, headers) {
    const agent = new Agent(secure.options);
    cleanup.add(() => agent.destroy());
    const dispatcher = agent.compose(interceptors.redirect({ maxRedirections: 5 }));
    const { body } = await request(url, { dispatcher, headers: headers as never });
    return body.text();
  },
  async 'interceptors.redirect() beside retry() and cache()'(url, headers) {
    const agent = new Agent(secure.options);
    cleanup.add(() => agent.destroy());
    const dispatcher = agent.compose(
      interceptors.redirect({ maxRedirections: 5 }),
      interceptors.retry(),
      interceptors.cache(),
    );
    const { body } = await request(url, { dispatcher, headers: headers as never });
    return body.text();
  },
  async fetch(url, headers) {
    const agent = new Agent(secure.options);
    cleanup.add(() => agent.destroy());
    return (await fetch(url, { dispatcher: agent, headers: headers as never })).text();
  },
};

describe.each(Object.keys(WAYS))('s16 by %s', (way) => {
  const follow = (url: string, headers: object = SECRETS) => WAYS[way]!(url, headers);

  it.each(REDIRECTS)(
    'a %i to another port, host or scheme takes no credentials along',
    async (status) => {
      const targets = [
        `${second.url}/other-port`,
        `${first.url.replace('localhost', '127.0.0.1')}/other-host`,
        `${secure.url}/other-scheme`,
        `${second.url.replace('http:', '')}/no-scheme`,
        `${second.url.replace('localhost', 'LOCALHOST')}/case`,
      ];
      for (const location of targets) {
        seen = [];
        go = { status, location };
        expect(await follow(`${first.url}/go`)).toBe('arrived');
        expect(secretsOf(seen[0]!)).toEqual(Object.keys(SECRETS));
        expect([location, secretsOf(seen.at(-1)!)]).toEqual([location, []]);
        expect(seen).toHaveLength(2);
      }
    },
  );

  it.each(REDIRECTS)(
    'a %i within the origin, however it is written, keeps them',
    async (status) => {
      const targets = [
        '/relative',
        `${first.url}/absolute`,
        `${first.url.replace('localhost', 'LocalHost')}/case`,
        `${first.url.replace('localhost', 'ⓛocalhost')}/idn`,
        `${first.url.replace('http:', '')}/no-scheme`,
      ];
      for (const location of targets) {
        seen = [];
        go = { status, location: Buffer.from(location).toString('latin1') };
        // Only fetch decodes bytes that are not ASCII.
        if (way !== 'fetch' && location.includes('ⓛ')) continue;
        expect(await follow(`${first.url}/go`)).toBe('arrived');
        expect([location, secretsOf(seen.at(-1)!)]).toEqual([location, Object.keys(SECRETS)]);
      }
    },
  );

  it('credentials are not restored on A → B → A', async () => {
    const back = encodeURIComponent(`${first.url}/home`);
    expect(await follow(`${first.url}/to/${encodeURIComponent(`${second.url}/to/${back}`)}`)).toBe(
      'arrived',
    );
    expect(seen.map((each) => [each.origin, secretsOf(each).length])).toEqual([
      ['first', 3],
      ['second', 0],
      ['first', 0],
    ]);
  });

  it('credentials are not sent from https to http', async () => {
    go = { status: 307, location: `${first.url}/plain` };
    expect(await follow(`${secure.url}/go`)).toBe('arrived');
    expect(seen.map((each) => [each.origin, secretsOf(each).length])).toEqual([
      ['secure', 3],
      ['first', 0],
    ]);
  });

  it('credentials in a target’s userinfo are in no header of the next request', async () => {
    go = { status: 302, location: second.url.replace('//', '//user:password@') + '/userinfo' };
    await follow(`${first.url}/go`, {}).catch(() => {});
    for (const { headers } of seen.filter(({ origin }) => origin === 'second')) {
      expect(JSON.stringify(headers)).not.toMatch(/password|user:|dXNlcj/);
    }
    expect(seen[0]!.origin).toBe('first');
  });

  it.each([
    ['a flat list', (headers: object) => Object.entries(headers).flat()],
    [
      'other case',
      (headers: object) =>
        Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]),
        ),
    ],
    ['a Map', (headers: object) => new Map(Object.entries(headers))],
  ])('credentials given as %s are dropped too', async (form, give) => {
    // Only dispatchers accept one.
    if (way !== 'interceptors.redirect()' && form === 'a flat list') return;
    go = { status: 302, location: `${second.url}/target` };
    expect(await follow(`${first.url}/go`, give(SECRETS))).toBe('arrived');
    expect(seen.map((each) => secretsOf(each).length)).toEqual([3, 0]);
  });
});

it('s16 a Referer has no userinfo', async () => {
  go = { status: 302, location: '/target' };
  const response = await fetch(`${first.url}/go`, {
    dispatcher: getGlobalDispatcher(),
    referrer: first.url.replace('//', '//user:password@') + '/from?query#fragment',
    referrerPolicy: 'unsafe-url',
  });
  await response.text();
  expect(seen).toHaveLength(2);
  for (const { headers } of seen) {
    expect(String(headers['referer'])).not.toMatch(/password|user|fragment/);
  }
});

it('s16 a name with a trailing dot is another origin', async () => {
  const port = (second.server.address() as AddressInfo).port;
  const agent = new Agent();
  cleanup.add(() => agent.destroy());
  const asked: unknown[] = [];
  // The resolver decides where it leads; the request is inspected before the connect.
  const dispatcher = agent.compose(
    (dispatch) => (options, handler) => {
      asked.push([String(options.origin), JSON.stringify(options.headers).includes('secret')]);
      return dispatch(options, handler);
    },
    interceptors.redirect({ maxRedirections: 1 }),
  );
  go = { status: 302, location: `http://localhost.:${port}/dot` };
  await request(`${first.url}/go`, { dispatcher, headers: SECRETS }).catch(() => {});
  expect(asked).toEqual([
    [first.url, true],
    [`http://localhost.:${port}`, false],
  ]);
});
