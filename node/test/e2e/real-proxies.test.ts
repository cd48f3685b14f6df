// Real proxies: squid, haproxy's TLS in front of it, microsocks.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { errors, fetch, ProxyAgent, request, Socks5ProxyAgent } from '../../src/index';
import {
  findProgram,
  type RealProxy,
  startHaproxy,
  startMicrosocks,
  startSquid,
} from '../support/proxies';
import { ca, httpOrigin, httpsOrigin, type Origin } from '../support/servers';

const squid = findProgram('squid');
const haproxy = findProgram('haproxy');
const microsocks = findProgram('microsocks');
for (const [name, found] of Object.entries({ squid, haproxy, microsocks })) {
  if (found === null) console.warn(`skipped: ${name} is not installed (apt-get install ${name})`);
}

const USER = 'ann';
const PASSWORD = 's3cret!';
const requestTls = { ca };
let plain: Origin;
let secure: Origin;

/** What the origin saw of a request. */
interface Echo {
  url: string;
  headers: Record<string, string>;
  body: string;
}

beforeAll(async () => {
  const echo: Parameters<typeof httpOrigin>[0] = (incoming, response) => {
    let body = '';
    incoming.setEncoding('latin1').on('data', (chunk: string) => (body += chunk));
    incoming.on('end', () => {
      const { url, headers } = incoming;
      response.end(JSON.stringify({ url, headers, body }));
    });
  };
  plain = await httpOrigin(echo);
  secure = await httpsOrigin(echo);
});
afterAll(async () => {
  await plain.close();
  await secure.close();
});

type Dispatcher = ProxyAgent | Socks5ProxyAgent;

async function ask(dispatcher: Dispatcher, origin: Origin, path = '/x'): Promise<Echo> {
  const { statusCode, body } = await request(origin.url + path, { dispatcher });
  expect(statusCode).toBe(200);
  return (await body.json()) as Echo;
}

/** A large body in both directions, concurrent requests, and `fetch`. */
async function exercise(dispatcher: Dispatcher, origin: Origin): Promise<void> {
  const paths = Array.from({ length: 20 }, (_, n) => `/many/${n}`);
  const seen = await Promise.all(paths.map((path) => ask(dispatcher, origin, path)));
  expect(seen.map(({ url }) => url)).toEqual(paths);
  for (const { headers } of seen) expect(headers).not.toHaveProperty('proxy-authorization');
  const large = 'x'.repeat(300_000);
  const posted = await request(origin.url, { dispatcher, method: 'POST', body: large });
  expect(((await posted.body.json()) as Echo).body).toBe(large);
  const fetched = await fetch(`${origin.url}/fetched`, { dispatcher });
  expect(((await fetched.json()) as Echo).url).toBe('/fetched');
}

function proxyAgent(port: number, options: object = {}, scheme = 'http'): ProxyAgent {
  const uri = `${scheme}://${USER}:${encodeURIComponent(PASSWORD)}@localhost:${port}`;
  return new ProxyAgent({ uri, requestTls, ...options });
}

describe.skipIf(squid === null)('squid', () => {
  let proxy: RealProxy;
  beforeAll(async () => {
    proxy = await startSquid(squid ?? '', USER, PASSWORD);
  });
  afterAll(() => proxy.stop());

  it('forwards', async () => {
    const agent = proxyAgent(proxy.port, { proxyTunnel: false });
    await exercise(agent, plain);
    const { headers } = await ask(agent, plain);
    expect(headers['via']).toContain('squid');
    await agent.close();
  });

  it('tunnels http', async () => {
    const agent = proxyAgent(proxy.port, { proxyTunnel: true });
    await exercise(agent, plain);
    const { headers } = await ask(agent, plain);
    expect(headers).not.toHaveProperty('via');
    await agent.close();
  });

  it('tunnels https', async () => {
    const agent = proxyAgent(proxy.port);
    await exercise(agent, secure);
    await agent.close();
  });

  it('asks for a password where none is given', async () => {
    const uri = `http://localhost:${proxy.port}`;
    const forwarded = new ProxyAgent({ uri, proxyTunnel: false });
    await expect(ask(forwarded, plain)).rejects.toMatchObject({
      code: 'UND_ERR_INVALID_ARG',
      message: 'Proxy Authentication Required (407)',
    });
    const tunnelled = new ProxyAgent({ uri, requestTls });
    await expect(ask(tunnelled, secure)).rejects.toMatchObject({
      code: 'UND_ERR_ABORTED',
      message: 'Proxy response (407) !== 200 when HTTP Tunneling',
    });
    await Promise.all([forwarded.close(), tunnelled.close()]);
  });

  it('fails for origins that it cannot reach', async () => {
    const agent = proxyAgent(proxy.port);
    await expect(request('https://localhost:1/', { dispatcher: agent })).rejects.toThrow(
      'Proxy response (503) !== 200 when HTTP Tunneling',
    );
    await agent.close();
  });
});

describe.skipIf(squid === null || haproxy === null)('haproxy in front of squid', () => {
  let behind: RealProxy;
  let proxy: RealProxy;
  beforeAll(async () => {
    behind = await startSquid(squid ?? '', USER, PASSWORD);
    proxy = await startHaproxy(haproxy ?? '', behind.port);
  });
  afterAll(async () => {
    await proxy.stop();
    await behind.stop();
  });
  const proxyTls = { ca };

  it('carries forwarded requests in TLS', async () => {
    const agent = proxyAgent(proxy.port, { proxyTls, proxyTunnel: false }, 'https');
    await exercise(agent, plain);
    await agent.close();
  });

  it('carries a plain tunnel in TLS', async () => {
    const agent = proxyAgent(proxy.port, { proxyTls, proxyTunnel: true }, 'https');
    await exercise(agent, plain);
    await agent.close();
  });

  it('carries TLS in TLS', async () => {
    const agent = proxyAgent(proxy.port, { proxyTls }, 'https');
    await exercise(agent, secure);
    await agent.close();
  });

  it('is not used without a trusted certificate for its name', async () => {
    const untrusted = proxyAgent(proxy.port, {}, 'https');
    await expect(ask(untrusted, secure)).rejects.toMatchObject({
      code: expect.stringMatching(/^(UNABLE_TO|SELF_SIGNED|DEPTH_ZERO)/) as unknown,
    });
    const misnamed = proxyAgent(
      proxy.port,
      { proxyTls: { ca, servername: 'wrong.example' } },
      'https',
    );
    const failure: unknown = await ask(misnamed, secure).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      name: 'SecureProxyConnectionError',
      code: 'UND_ERR_PRX_TLS',
      cause: { code: 'ERR_TLS_CERT_ALTNAME_INVALID' },
    });
    expect(failure).toBeInstanceOf(errors.SecureProxyConnectionError);
    await Promise.all([untrusted.close(), misnamed.close()]);
  });
});

describe.skipIf(microsocks === null)('microsocks', () => {
  let proxy: RealProxy;
  beforeAll(async () => {
    proxy = await startMicrosocks(microsocks ?? '', USER, PASSWORD);
  });
  afterAll(() => proxy.stop());
  const url = (user: string, password: string) =>
    `socks5://${user}:${encodeURIComponent(password)}@localhost:${proxy.port}`;

  it('carries http and https', async () => {
    const agent = new Socks5ProxyAgent(url(USER, PASSWORD), { requestTls });
    await exercise(agent, plain);
    await exercise(agent, secure);
    await agent.close();
  });

  it('is used by ProxyAgent', async () => {
    const agent = new ProxyAgent({ uri: url(USER, PASSWORD), requestTls });
    await exercise(agent, secure);
    await agent.close();
  });

  it('rejects a wrong password', async () => {
    const agent = new Socks5ProxyAgent(url(USER, 'wrong'));
    await expect(ask(agent, plain)).rejects.toMatchObject({
      name: 'Socks5ProxyError',
      code: 'UND_ERR_SOCKS5_AUTH_FAILED',
    });
    await agent.close();
  });

  it('rejects a missing password', async () => {
    const agent = new Socks5ProxyAgent(`socks5://localhost:${proxy.port}`);
    await expect(ask(agent, plain)).rejects.toMatchObject({
      code: 'UND_ERR_SOCKS5_AUTH_REJECTED',
    });
    await agent.close();
  });

  it('fails for origins that it cannot reach', async () => {
    const agent = new Socks5ProxyAgent(url(USER, PASSWORD));
    await expect(request('http://127.0.0.1:1/', { dispatcher: agent })).rejects.toMatchObject({
      code: 'UND_ERR_SOCKS5_REPLY_5',
      message: 'SOCKS5 connection failed: Connection refused',
    });
    await agent.close();
  });
});
