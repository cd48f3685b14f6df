// S12: servers that must not be trusted, on every path to them.

import * as http from 'node:http';
import * as https from 'node:https';
import type { AddressInfo } from 'node:net';

import { Client as PeerClient } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import {
  Agent,
  BalancedPool,
  Client,
  EnvHttpProxyAgent,
  fetch,
  interceptors,
  Pool,
  ProxyAgent,
  request,
  RetryAgent,
  RoundRobinPool,
  Socks5ProxyAgent,
  stream,
} from '../../src/index';
import {
  Authority,
  type CertificateOptions,
  certify,
  type Identity,
  selfSigned,
} from '../support/certificates';
import { listening } from '../support/servers';
import { connectProxy, socksProxy, type Tunnel } from '../support/tunnels';
import { attempt } from '../support/wire';

const authority = new Authority();
const stranger = new Authority();
const DAY = 86_400_000;

interface Case {
  readonly identity: Identity;
  /** Of the origin; `localhost` unless it matters. */
  readonly host?: string;
  /** The server name, if it differs from the host. */
  readonly servername?: string;
  readonly ca?: string;
}

/** Of an authority of this kind, which is trusted. */
function below(options: CertificateOptions): Case {
  const root = certify({ commonName: 'a root', isAuthority: true, ...options });
  const identity = certify({ names: ['localhost'], purposes: ['server'] }, root);
  return { identity, ca: root.cert };
}

const cases: Record<string, Case> = {
  'for another host': { identity: authority.issue({ names: ['other.example'] }) },
  'without any name': { identity: authority.issue({ names: [], commonName: 'dodici' }) },
  'with its name in the subject only, beside other names': {
    identity: authority.issue({ names: ['other.example'], commonName: 'localhost' }),
  },
  expired: { identity: authority.issue({ notAfter: new Date(Date.now() - 1000) }) },
  'not yet valid': { identity: authority.issue({ notBefore: new Date(Date.now() + DAY) }) },
  'that vouches for itself': { identity: selfSigned() },
  'of an unknown authority': { identity: stranger.issue() },
  'of an authority that is only sent along': {
    identity: (() => {
      const leaf = stranger.issue();
      return { key: leaf.key, cert: leaf.cert + stranger.ca };
    })(),
  },
  'with a wildcard for a whole top-level domain': {
    identity: authority.issue({ names: ['*'] }),
  },
  'with a wildcard that spans two labels': {
    identity: authority.issue({ names: ['*.dodici.test'] }),
    servername: 'a.b.dodici.test',
  },
  'with a wildcard for the bare domain': {
    identity: authority.issue({ names: ['*.dodici.test'] }),
    servername: 'dodici.test',
  },
  'with a wildcard that is not the first label': {
    identity: authority.issue({ names: ['a.*.dodici.test'] }),
    servername: 'a.b.dodici.test',
  },
  'with another address': {
    identity: authority.issue({ names: ['localhost'], addresses: ['127.0.0.2'] }),
    host: '127.0.0.1',
  },
  'with the address as a DNS name': {
    identity: authority.issue({ names: ['127.0.0.1'] }),
    host: '127.0.0.1',
  },
  'with a NUL in its name': { identity: authority.issue({ names: ['localhost\0.evil.example'] }) },
  'for clients only': { identity: authority.issue({ purposes: ['client'] }) },
  'with a broken signature': { identity: authority.issue({ breakSignature: true }) },
  'of an expired authority': below({ notAfter: new Date(Date.now() - 1000) }),
  'of an authority without constraints': below({ isCa: null, usages: null }),
  'of an authority that may not certify': below({ usages: ['revoke'] }),
  'of an authority for clients': below({ purposes: ['client'] }),
  'that is trusted itself, but issued by an authority that is not': (() => {
    const identity = stranger.issue();
    return { identity, ca: identity.cert };
  })(),
};

interface BadServer {
  readonly port: number;
  requests: number;
  close(): Promise<void>;
}

async function badServer({ cert, key }: Identity): Promise<BadServer> {
  const server = https.createServer({ cert, key }, (_request, response) => {
    result.requests++;
    response.end('believed');
  });
  const { port, close } = await listening(server);
  const result: BadServer = { port, requests: 0, close };
  return result;
}

let tunnel: Tunnel;
let socks: Tunnel;
beforeAll(async () => {
  tunnel = await connectProxy();
  socks = await socksProxy();
});
afterAll(() => Promise.all([tunnel.close(), socks.close()]));

interface Dispatches {
  destroy(): Promise<unknown>;
}

/** Every path to a server: creates a dispatcher for `origin` that trusts `connect.ca`. */
const paths: Record<string, (origin: string, connect: object) => Dispatches> = {
  Client: (origin, connect) => new Client(origin, { connect }),
  'Client with the tls option': (origin, connect) => new Client(origin, { tls: connect } as never),
  Pool: (origin, connect) => new Pool(origin, { connect }),
  Agent: (_origin, connect) => new Agent({ connect }),
  'Agent of single connections': (_origin, connect) => new Agent({ connect, connections: 1 }),
  'Agent with options for the origin': (origin, connect) =>
    new Agent({ origins: { [origin]: { connect } } }),
  'Agent with options for all but another origin': (_origin, connect) =>
    new Agent({
      connect,
      origins: { 'https://other.example': { connect: { rejectUnauthorized: false } } },
    }),
  'Agent with a function for options': (_origin, connect) =>
    new Agent({ origins: () => ({ connect }) }),
  BalancedPool: (origin, connect) => new BalancedPool(origin, { connect }),
  RoundRobinPool: (origin, connect) => new RoundRobinPool(origin, { connect }),
  'ProxyAgent with requestTls': (_origin, connect) =>
    new ProxyAgent({ uri: `http://127.0.0.1:${tunnel.port}`, requestTls: connect as never }),
  EnvHttpProxyAgent: (_origin, connect) =>
    new EnvHttpProxyAgent({
      httpsProxy: `http://127.0.0.1:${tunnel.port}`,
      noProxy: '',
      requestTls: connect as never,
    }),
  'EnvHttpProxyAgent past the proxy': (_origin, connect) =>
    new EnvHttpProxyAgent({
      httpsProxy: `http://127.0.0.1:${tunnel.port}`,
      noProxy: '*',
      connect: connect as never,
    }),
  Socks5ProxyAgent: (_origin, connect) =>
    new Socks5ProxyAgent(`socks5://127.0.0.1:${socks.port}`, { requestTls: connect }),
  RetryAgent: (_origin, connect) => new RetryAgent(new Agent({ connect })),
  'a composed Agent': (_origin, connect) =>
    new Agent({ connect }).compose(interceptors.retry() as never),
};

const codeOf = (error: any): unknown => error?.cause?.code ?? error?.code;

for (const [
  name,
  { identity, host = 'localhost', servername, ca = authority.ca },
] of Object.entries(cases)) {
  describe(`s12 a certificate ${name}`, () => {
    let server: BadServer;
    let origin: string;
    let expected: unknown;
    const connect = { ca, ...(servername === undefined ? {} : { servername }) };

    beforeAll(async () => {
      server = await badServer(identity);
      origin = `https://${host}:${server.port}`;
      const peer = new PeerClient(origin, { connect: { ...connect, allowH2: false } as never });
      expected = codeOf(await attempt(peer, {}));
      await peer.destroy();
    });
    afterAll(() => server.close());

    it('has one of Node’s codes', () => {
      expect(expected).toMatch(/^[A-Z][A-Z_]+$/);
    });

    for (const [path, make] of Object.entries(paths)) {
      it(`is rejected by ${path} with Node’s code, before any request`, async () => {
        const dispatcher = make(origin, connect);
        expect(codeOf(await attempt(dispatcher, { origin }))).toBe(expected);
        await dispatcher.destroy();
        expect(server.requests).toBe(0);
      });
    }

    it('is rejected after a redirect', async () => {
      const redirector = http.createServer((_request, response) => {
        response.writeHead(302, { location: origin }).end();
      });
      await new Promise<void>((resolve) => redirector.listen(0, '127.0.0.1', resolve));
      const { port } = redirector.address() as AddressInfo;
      const agent = new Agent({ connect });
      const following = agent.compose(interceptors.redirect({ maxRedirections: 2 }) as never);
      const outcome = await attempt(following, { origin: `http://127.0.0.1:${port}` });
      if (servername === undefined) expect(codeOf(outcome)).toBe(expected);
      expect(server.requests).toBe(0);
      await agent.destroy();
      redirector.close();
    });

    it('is rejected for a proxy', async () => {
      const proxy = await connectProxy(identity);
      const agent = new ProxyAgent({
        uri: `https://${host}:${proxy.port}`,
        proxyTls: connect as never,
        requestTls: { rejectUnauthorized: false },
      });
      const outcome = await attempt(agent, { origin });
      const wrongName = expected === 'ERR_TLS_CERT_ALTNAME_INVALID';
      expect(codeOf(outcome)).toBe(wrongName ? 'UND_ERR_PRX_TLS' : expected);
      await agent.destroy();
      expect([proxy.asked, server.requests]).toEqual([0, 0]);
      await proxy.close();
    });

    it('is rejected by fetch, request and stream', async () => {
      const dispatcher = new Agent({ connect });
      const failures = await Promise.all([
        fetch(origin, { dispatcher }).catch(codeOf),
        request(origin, { dispatcher }).catch(codeOf),
        stream(origin, { dispatcher, method: 'GET' }, () => {
          throw new Error('believed');
        }).catch(codeOf),
      ]);
      expect(failures).toEqual([expected, expected, expected]);
      await dispatcher.destroy();
      expect(server.requests).toBe(0);
    });
  });
}

describe('s12 a valid certificate', () => {
  it('is accepted on every path, so the rejections above mean something', async () => {
    const server = await badServer(
      authority.issue({ names: ['localhost', '*.dodici.test'], addresses: ['127.0.0.1'] }),
    );
    for (const origin of [`https://localhost:${server.port}`, `https://127.0.0.1:${server.port}`]) {
      for (const make of Object.values(paths)) {
        const dispatcher = make(origin, { ca: authority.ca });
        expect(await attempt(dispatcher, { origin })).toEqual({ status: 200 });
        await dispatcher.destroy();
      }
    }
    const wildcard = new Client(`https://localhost:${server.port}`, {
      connect: { ca: authority.ca, servername: 'a.dodici.test' },
    });
    expect(await attempt(wildcard, {})).toEqual({ status: 200 });
    await wildcard.destroy();
    await server.close();
  });
});
