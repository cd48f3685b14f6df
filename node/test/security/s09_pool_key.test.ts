// S9 to S11: what two requests may share, and what separates them.

import * as https from 'node:https';
import { mkdtempSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { Agent, Client, Pool } from '../../src/index';
import { Authority, selfSigned, type Identity } from '../support/certificates';
import { listening } from '../support/servers';
import { attempt, Cleanup, wireOrigin } from '../support/wire';

const authority = new Authority();
const other = new Authority();
const names = { names: ['localhost', 'second.localhost'], addresses: ['127.0.0.1'] };
const identity = authority.issue(names);
const userA = authority.issue({ names: ['user-a'], purposes: ['client'] });
const userB = authority.issue({ names: ['user-b'], purposes: ['client'] });

interface Handshake {
  readonly resumed: boolean;
  readonly client: string | undefined;
  readonly servername: string | false;
}

interface SecureServer {
  readonly port: number;
  readonly path: string;
  /** One for each TLS handshake, in order. */
  readonly handshakes: Handshake[];
  /** Called when a request for `/hold` waits for its response. */
  onHold: () => void;
  close(): Promise<void>;
}

/** All servers accept each other's tickets, so that a session offered to the wrong one is detected. */
const ticketKeys = randomBytes(48);

async function secureServer(
  options: https.ServerOptions & { identity?: Identity; unix?: boolean } = {},
): Promise<SecureServer> {
  const handshakes: Handshake[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'dodici-s09-'));
  const path = join(folder, 'server.sock');
  const server = https.createServer(
    { ...(options.identity ?? identity), ticketKeys, ca: authority.ca, ...options },
    (request, response) => {
      if (request.url === '/close') response.setHeader('connection', 'close');
      if (request.url !== '/hold') response.end();
      else {
        // The head ensures that the client has read the ticket, which precedes it.
        response.flushHeaders();
        response.write('x', () => result.onHold());
      }
    },
  );
  server.on('secureConnection', (socket) => {
    handshakes.push({
      resumed: socket.isSessionReused(),
      client: socket.getPeerCertificate().subjectaltname,
      servername: (socket as TLSSocket & { servername: string | false }).servername,
    });
  });
  const { port, close } = await listening(server, options.unix ? path : undefined);
  const result: SecureServer = {
    onHold: () => {},
    port,
    path,
    handshakes,
    async close() {
      await close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return result;
}

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const classes = {
  Client: (origin: string, connect: object) => new Client(origin, { connect, allowH2: false }),
  Pool: (origin: string, connect: object) => new Pool(origin, { connect, allowH2: false }),
  Agent: (_origin: string, connect: object) => new Agent({ connect, allowH2: false }),
};

/**
 * A first request that leaves a ticket behind. An Agent forgets an origin without connections, and
 * its tickets with it, so there an unanswered request keeps one connection open.
 */
async function warm(dispatcher: object, origin: string, server: SecureServer, options = {}) {
  if (!(dispatcher instanceof Agent)) {
    expect(await get(dispatcher, origin, '/close', options)).toEqual({ status: 200 });
    return;
  }
  const held = new Promise<void>((resolve) => (server.onHold = resolve));
  void get(dispatcher, origin, '/hold', options);
  await held;
}

async function get(dispatcher: object, origin: string, path = '/', options: object = {}) {
  return attempt(dispatcher, { origin, path, ...options });
}

describe('s09 TLS sessions', () => {
  for (const [kind, make] of Object.entries(classes)) {
    it(`are resumed by one ${kind} with one configuration, which the tests below would notice`, async () => {
      const server = await secureServer();
      cleanup.add(() => server.close());
      const origin = `https://localhost:${server.port}`;
      const dispatcher = make(origin, { ca: authority.ca });
      cleanup.add(() => dispatcher.destroy());
      await warm(dispatcher, origin, server);
      for (let i = 0; i < 2; i++) {
        expect(await get(dispatcher, origin, '/close')).toEqual({ status: 200 });
      }
      expect(server.handshakes.map(({ resumed }) => resumed)).toEqual([false, true, true]);
    });
  }
});

/** One difference each: the connect options of both sides, and the origin of the second request. */
const base = { ca: authority.ca };
const differences: Record<string, { first: object; second: object }> = {
  localAddress: {
    first: { ...base, localAddress: '127.0.0.1' },
    second: { ...base, localAddress: '127.0.0.2' },
  },
  family: { first: base, second: { ...base, family: 4 } },
  servername: { first: base, second: { ...base, servername: 'second.localhost' } },
  ca: { first: base, second: { ca: [authority.ca, other.ca] } },
  'cert and key': { first: base, second: { ...base, ...userA } },
  'another cert and key': { first: { ...base, ...userA }, second: { ...base, ...userB } },
  rejectUnauthorized: { first: { ...base, rejectUnauthorized: false }, second: base },
  minVersion: { first: base, second: { ...base, minVersion: 'TLSv1.3' } },
  maxVersion: { first: base, second: { ...base, maxVersion: 'TLSv1.2' } },
};

describe('s09 connections and TLS sessions are not shared by two', () => {
  for (const [kind, make] of Object.entries(classes)) {
    for (const [name, { first, second }] of Object.entries(differences)) {
      it(`${kind}s that differ in ${name} alone`, async () => {
        const server = await secureServer({ requestCert: true, rejectUnauthorized: false });
        cleanup.add(() => server.close());
        const origin = `https://localhost:${server.port}`;
        const one = make(origin, first);
        const two = make(origin, second);
        cleanup.add(() => Promise.all([one.destroy(), two.destroy()]));
        // Once to get a ticket and once to leave an idle connection; then the other one.
        await warm(one, origin, server);
        expect(await get(one, origin)).toEqual({ status: 200 });
        await warm(two, origin, server);
        expect(await get(two, origin)).toEqual({ status: 200 });
        expect(server.handshakes.map(({ resumed }) => resumed)).toEqual([false, true, false, true]);
        const { cert } = second as { cert?: string };
        const user = cert === undefined ? undefined : cert === userA.cert ? 'user-a' : 'user-b';
        expect(server.handshakes[2]!.client).toBe(user && `DNS:${user}`);
      });
    }

    it(`requests of one ${kind} that differ in servername`, async () => {
      const server = await secureServer();
      cleanup.add(() => server.close());
      const origin = `https://localhost:${server.port}`;
      const dispatcher = make(origin, base);
      cleanup.add(() => dispatcher.destroy());
      await warm(dispatcher, origin, server);
      await get(dispatcher, origin, '/');
      await warm(dispatcher, origin, server, { servername: 'second.localhost' });
      await get(dispatcher, origin, '/', { headers: { host: 'second.localhost' } });
      expect(server.handshakes.map(({ resumed, servername }) => [resumed, servername])).toEqual([
        [false, 'localhost'],
        [true, 'localhost'],
        [false, 'second.localhost'],
        [true, 'second.localhost'],
      ]);
    });

    it(`${kind}s of two ports`, async () => {
      const [server, second] = [await secureServer(), await secureServer()];
      cleanup.add(() => Promise.all([server.close(), second.close()]));
      const origins = [server, second].map(({ port }) => `https://localhost:${port}`);
      const dispatchers = origins.map((origin) => make(origin, base));
      if (kind === 'Agent') dispatchers[1] = dispatchers[0]!;
      cleanup.add(() => Promise.all(dispatchers.map((dispatcher) => dispatcher.destroy())));
      for (const [i, origin] of origins.entries()) {
        expect(await get(dispatchers[i]!, origin, '/close')).toEqual({ status: 200 });
      }
      expect(server.handshakes.map(({ resumed }) => resumed)).toEqual([false]);
      expect(second.handshakes.map(({ resumed }) => resumed)).toEqual([false]);
    });

    it(`${kind}s of two hosts with one address`, async () => {
      const server = await secureServer();
      cleanup.add(() => server.close());
      const origins = ['localhost', '127.0.0.1'].map((host) => `https://${host}:${server.port}`);
      const dispatchers = origins.map((origin) => make(origin, base));
      if (kind === 'Agent') dispatchers[1] = dispatchers[0]!;
      cleanup.add(() => Promise.all(dispatchers.map((dispatcher) => dispatcher.destroy())));
      for (const [i, origin] of origins.entries()) {
        expect(await get(dispatchers[i]!, origin)).toEqual({ status: 200 });
        expect(await get(dispatchers[i]!, origin)).toEqual({ status: 200 });
      }
      expect(server.handshakes.map(({ resumed, servername }) => [resumed, servername])).toEqual([
        [false, 'localhost'],
        [false, false],
      ]);
    });

    it(`${kind}s of which one has a socketPath`, async () => {
      const [server, unix] = [await secureServer(), await secureServer({ unix: true })];
      cleanup.add(() => Promise.all([server.close(), unix.close()]));
      const origin = `https://localhost:${server.port}`;
      const one = make(origin, base);
      const two = make(origin, { ...base, socketPath: unix.path });
      cleanup.add(() => Promise.all([one.destroy(), two.destroy()]));
      expect(await get(one, origin)).toEqual({ status: 200 });
      expect(await get(two, origin)).toEqual({ status: 200 });
      expect(
        [server.handshakes, unix.handshakes].map((list) => list.map((h) => h.resumed)),
      ).toEqual([[false], [false]]);
    });
  }

  it('schemes of one Agent', async () => {
    const plain = await wireOrigin();
    cleanup.add(() => plain.close());
    const agent = new Agent({ connect: { ca: authority.ca, timeout: 2000 } });
    cleanup.add(() => agent.destroy());
    expect(await get(agent, plain.url)).toEqual({ status: 200 });
    // The server does not use TLS: with a shared connection, this would be a 200.
    const outcome = await get(agent, plain.url.replace('http:', 'https:'));
    expect(outcome).toHaveProperty('code');
    expect(plain.connections).toBe(2);
    expect(plain.requests).toHaveLength(1);
  });

  it('origins of one Agent whose options differ', async () => {
    const server = await secureServer({ requestCert: true, rejectUnauthorized: false });
    cleanup.add(() => server.close());
    const { key, cert } = userA;
    const agent = new Agent({
      connect: base,
      origins: { [`https://127.0.0.1:${server.port}`]: { connect: { key, cert } } },
    });
    cleanup.add(() => agent.destroy());
    await get(agent, `https://127.0.0.1:${server.port}`, '/close');
    await get(agent, `https://localhost:${server.port}`, '/close');
    expect(server.handshakes).toMatchObject([
      { resumed: false, client: 'DNS:user-a' },
      { resumed: false, client: undefined },
    ]);
  });
});

describe('s10 a strict configuration after a lax one', () => {
  for (const [kind, make] of Object.entries(classes)) {
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      it(`rejects the server although it has a ticket for it: ${kind}, ${version}`, async () => {
        const server = await secureServer({ identity: selfSigned(), maxVersion: version });
        cleanup.add(() => server.close());
        const origin = `https://localhost:${server.port}`;
        const lax = make(origin, { rejectUnauthorized: false });
        const strict = make(origin, {});
        const anchored = make(origin, { ca: authority.ca });
        cleanup.add(() => Promise.all([lax.destroy(), strict.destroy(), anchored.destroy()]));
        await warm(lax, origin, server);
        expect(await get(lax, origin, '/close')).toEqual({ status: 200 });
        expect(server.handshakes.map(({ resumed }) => resumed)).toEqual([false, true]);
        const refused = { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' };
        expect(await get(strict, origin)).toMatchObject(refused);
        expect(await get(anchored, origin)).toMatchObject(refused);
        expect(await get(lax, origin)).toEqual({ status: 200 });
      });

      it(`does not use a client certificate that it was not given: ${kind}, ${version}`, async () => {
        const server = await secureServer({
          requestCert: true,
          rejectUnauthorized: false,
          maxVersion: version,
        });
        cleanup.add(() => server.close());
        const origin = `https://localhost:${server.port}`;
        const known = make(origin, { ...base, ...userA });
        const anonymous = make(origin, base);
        cleanup.add(() => Promise.all([known.destroy(), anonymous.destroy()]));
        await warm(known, origin, server);
        await get(known, origin, '/close');
        await warm(anonymous, origin, server);
        await get(anonymous, origin, '/close');
        await get(known, origin, '/close');
        expect(server.handshakes.map(({ client }) => client)).toEqual([
          'DNS:user-a',
          'DNS:user-a',
          undefined,
          undefined,
          'DNS:user-a',
        ]);
      });
    }
  }
});

describe('s11 rejectUnauthorized', () => {
  let server: SecureServer;
  beforeAll(async () => {
    server = await secureServer({ identity: selfSigned() });
  });
  afterAll(() => server.close());

  for (const [kind, make] of Object.entries(classes)) {
    for (const value of [undefined, null, 0, '', Number.NaN, 'false', true]) {
      it(`verifies as ${JSON.stringify(value) ?? 'undefined'}: ${kind}`, async () => {
        const origin = `https://localhost:${server.port}`;
        const dispatcher = make(origin, { rejectUnauthorized: value });
        cleanup.add(() => dispatcher.destroy());
        expect(await get(dispatcher, origin)).toMatchObject({
          code: 'DEPTH_ZERO_SELF_SIGNED_CERT',
        });
      });
    }

    it(`does not verify as false: ${kind}`, async () => {
      const origin = `https://localhost:${server.port}`;
      const dispatcher = make(origin, { rejectUnauthorized: false });
      cleanup.add(() => dispatcher.destroy());
      expect(await get(dispatcher, origin)).toEqual({ status: 200 });
    });
  }
});
