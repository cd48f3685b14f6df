// S4: a path never becomes part of the authority, however it is sent: forwarded by a proxy, in a
// tunnel, over HTTP/2.

import type { Socket } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Agent, Client, EnvHttpProxyAgent, ProxyAgent } from '../../src/index';
import { http2Origin, httpOrigin, type Origin } from '../support/servers';
import { attempt, headLines, wireOrigin, type WireOrigin } from '../support/wire';

const OK = 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n';
const GOOD = 'http://good.invalid:8080';

let proxy: WireOrigin;
let origin: Origin;

beforeAll(async () => {
  proxy = await wireOrigin((socket: Socket) => socket.write(OK));
  origin = await httpOrigin((_request, response) => response.end());
});

afterAll(async () => {
  await Promise.all([proxy.close(), origin.close()]);
});

const lookup = (_name: string, _options: unknown, done: (...given: unknown[]) => void): void =>
  done(null, [{ address: '127.0.0.1', family: 4 }]);

const FORWARDING: Record<string, () => ProxyAgent | EnvHttpProxyAgent> = {
  'a ProxyAgent': () => new ProxyAgent({ uri: proxy.url, proxyTunnel: false }),
  'a ProxyAgent of undici': () =>
    new ProxyAgent({ uri: proxy.url, proxyTunnel: false, proxyTls: { lookup } } as never),
  'an EnvHttpProxyAgent': () =>
    new EnvHttpProxyAgent({ httpProxy: proxy.url, proxyTunnel: false, noProxy: '' }),
};

const FOREIGN = [
  '@evil.invalid/x',
  '.evil.invalid/x',
  ':81@evil.invalid/',
  ':81/x',
  '0/x',
  'http://evil.invalid/',
  'https://user@evil.invalid/',
  '\\\\evil.invalid',
  '?x',
  '#x',
  ' /x',
  '\t/x',
  '*',
  '',
];

describe('s04 a path that would become part of the authority is rejected before anything is sent', () => {
  for (const [name, make] of Object.entries(FORWARDING)) {
    for (const path of FOREIGN) {
      for (const method of ['GET', 'CONNECT', 'POST']) {
        it(`by ${name}: ${method} ${JSON.stringify(path)}`, async () => {
          const agent = make();
          const before = proxy.connections;
          const headers = { authorization: 'Bearer for-good-only' };
          const outcome = await attempt(agent, { origin: GOOD, path, method, headers });
          expect(outcome).toMatchObject({ code: 'UND_ERR_INVALID_ARG' });
          expect(proxy.connections).toBe(before);
          await agent.destroy();
        });
      }
    }

    it(`by ${name}: a path that begins with a slash stays one`, async () => {
      const agent = make();
      for (const path of [
        '/',
        '/x',
        '//evil.invalid/',
        '/@evil.invalid',
        '/\\evil.invalid',
        '/:81',
      ]) {
        const before = proxy.requests.length;
        expect(await attempt(agent, { origin: GOOD, path })).toEqual({ status: 200 });
        const [line, ...fields] = headLines(proxy.requests[before]!);
        expect(line).toBe(`GET ${GOOD}${path} HTTP/1.1`);
        expect(fields).toContain('host: good.invalid:8080');
      }
      await agent.destroy();
    });

    it(`by ${name}: OPTIONS * is sent with the origin alone, as in RFC 9112`, async () => {
      const agent = make();
      const before = proxy.requests.length;
      const options = { origin: GOOD, path: '*', method: 'OPTIONS' };
      expect(await attempt(agent, options)).toEqual({ status: 200 });
      expect(headLines(proxy.requests[before]!)[0]).toBe(`OPTIONS ${GOOD} HTTP/1.1`);
      await agent.destroy();
    });
  }
});

it('s04 an absolute path over HTTP/2 does not change the authority', async () => {
  const seen: unknown[] = [];
  const h2 = await http2Origin((stream, headers) => {
    seen.push([headers[':authority'], headers[':path']]);
    stream.respond({ ':status': 200 });
    stream.end();
  });
  const { host } = new URL(h2.url);
  const client = new Client(h2.url, { ...h2.options, allowH2: true });
  const agent = new Agent({ ...h2.options, allowH2: true });
  for (const [dispatcher, options] of [
    [client, {}],
    [agent, { origin: h2.url }],
  ] as const) {
    const absolute = { ...options, path: 'http://evil.invalid/x' };
    expect(await attempt(dispatcher, absolute)).toMatchObject({ code: 'UND_ERR_INVALID_ARG' });
    expect(seen).toEqual([]);
    for (const path of ['//evil.invalid/x', '/@evil.invalid']) {
      expect(await attempt(dispatcher, { ...options, path })).toEqual({ status: 200 });
      expect(seen.pop()).toEqual([host, path]);
    }
  }
  await Promise.all([client.destroy(), agent.destroy()]);
  await h2.close();
});
