// Servers that cannot be reached, and the errors, compared
// with those of undici and Node in the same situation.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';

import * as undici from 'undici';
import { afterEach, describe, expect, it } from 'vitest';

import * as dodici from '../../src/index';
import { Authority, selfSigned } from '../support/certificates';
import { listening } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const FIELDS = [
  'code',
  'errno',
  'syscall',
  'address',
  'port',
  'hostname',
  'host',
  'reason',
] as const;

/** The properties of an error that callers use, for comparison. */
function essence(error: any): object {
  const out: Record<string, unknown> = { class: error.constructor.name, name: error.name };
  for (const field of FIELDS) if (error[field] !== undefined) out[field] = error[field];
  // The resolver decides which address is tried first.
  if (Array.isArray(error.errors)) {
    out['errors'] = error.errors
      .map(essence)
      .sort((a: any, b: any) => String(a.address).localeCompare(String(b.address)));
  } else {
    // Added by newer Nodes: the local address of an attempt that failed immediately, advice.
    out['message'] = error.message.replace(/ - Local \(.*\)$|; if the root CA is .*$/, '');
  }
  return out;
}

async function failureOf(dispatcher: any, origin: string): Promise<any> {
  cleanup.add(() => dispatcher.destroy());
  return dispatcher.request({ origin, path: '/', method: 'GET' }).then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => error,
  );
}

/** The same failure of the peer's class and of each of ours. */
async function failures(origin: string, options: object = {}) {
  // HTTP/1.1, and every leg by the same Node.
  const peer = await failureOf(new undici.Client(origin, { allowH2: false, ...options }), origin);
  const ours = await failureOf(new dodici.Client(origin, { allowH2: false, ...options }), origin);
  const pool = await failureOf(new dodici.Pool(origin, { allowH2: false, ...options }), origin);
  const agent = await failureOf(new dodici.Agent({ allowH2: false, ...options }), origin);
  expect(essence(pool)).toEqual(essence(ours));
  expect(essence(agent)).toEqual(essence(ours));
  return { peer, ours };
}

async function expectSame(origin: string, options: object = {}): Promise<any> {
  const { peer, ours } = await failures(origin, options);
  expect(essence(ours)).toEqual(essence(peer));
  return ours;
}

async function closedPort(host = '127.0.0.1'): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function serve(onSocket: (socket: net.Socket) => void, options?: tls.TlsOptions) {
  const server = options ? tls.createServer(options) : net.createServer();
  server.on(options ? 'secureConnection' : 'connection', (socket: net.Socket) => {
    socket.on('error', () => {});
    onSocket(socket);
  });
  const { port, close } = await listening(server);
  cleanup.add(close);
  return port;
}

describe('an origin', () => {
  const bad: unknown[] = [
    'ftp://localhost',
    'file:///etc/passwd',
    'data:,x',
    'javascript:alert(1)',
    'ws://localhost',
    'unix:/tmp/x',
    'localhost:80',
    '',
    'http://',
    'http://[::1',
    'http://a b',
    'http://localhost:99999',
    'http://localhost/path',
    'http://localhost?query',
    null,
    undefined,
    42,
    {},
    { protocol: 'ftp:', hostname: 'localhost' },
    { protocol: 'http:', hostname: 'localhost', port: 'x' },
  ];

  for (const origin of bad) {
    it(`${JSON.stringify(origin) ?? 'undefined'} is rejected like in undici`, async () => {
      for (const name of ['Client', 'Pool'] as const) {
        const thrown = (make: any): any => {
          try {
            make();
          } catch (error) {
            return essence(error);
          }
          return 'made';
        };
        const theirs = thrown(() => new (undici[name] as any)(origin));
        expect(theirs).not.toBe('made');
        expect(thrown(() => new (dodici[name] as any)(origin))).toEqual(theirs);
      }
      const theirs = await failureOf(new undici.Agent(), origin as string);
      const ours = await failureOf(new dodici.Agent(), origin as string);
      expect(essence(ours)).toEqual(essence(theirs));
    });
  }
});

describe('a connection', () => {
  it('to a port without a listener is refused, with address and port', async () => {
    const port = await closedPort();
    expect(await expectSame(`http://127.0.0.1:${port}`)).toMatchObject({
      code: 'ECONNREFUSED',
      syscall: 'connect',
      address: '127.0.0.1',
      port,
    });
    await expectSame(`https://127.0.0.1:${port}`);
  });

  it('to a name with several addresses fails with an AggregateError of all attempts', async () => {
    const port = await closedPort();
    const error = await expectSame(`http://localhost:${port}`);
    expect(error.code).toBe('ECONNREFUSED');
    if (error instanceof AggregateError) {
      expect(error.errors.map((each: any) => each.port)).toEqual(error.errors.map(() => port));
    }
  });

  it('to one family of a name with several addresses reports one address', async () => {
    const port = await closedPort();
    expect(await expectSame(`http://localhost:${port}`, { connect: { family: 4 } })).toMatchObject({
      code: 'ECONNREFUSED',
      address: '127.0.0.1',
    });
  });

  it('to an IPv6 address fails as in Node', async () => {
    const port = await closedPort();
    await expectSame(`http://[::1]:${port}`);
  });

  it('to an unreachable address fails with Node’s code', async () => {
    const error = await expectSame('http://255.255.255.255:9');
    expect(error).toMatchObject({ syscall: 'connect', address: '255.255.255.255', port: 9 });
    expect(error.errno).toBeLessThan(0);
  });

  it('from an address that is not local fails with Node’s code', async () => {
    const port = await serve(() => {});
    const error = await expectSame(`http://127.0.0.1:${port}`, { localAddress: '192.0.2.1' });
    expect(error.code).toBe('EADDRNOTAVAIL');
  });

  it('to a name that does not exist fails with the name', async () => {
    const error = await expectSame('http://does-not-exist.invalid');
    expect(error).toMatchObject({ syscall: 'getaddrinfo', hostname: 'does-not-exist.invalid' });
    expect(error.errno).toBeTypeOf('number');
  });

  it('to a name that is too long fails with the name', async () => {
    await expectSame(`http://${'a'.repeat(70)}.invalid`);
  });

  it('to a path that does not exist, or is not a socket, fails with the path', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dodici-bad-'));
    cleanup.add(() => rmSync(folder, { recursive: true }));
    const missing = join(folder, 'missing.sock');
    const file = join(folder, 'file');
    writeFileSync(file, '');
    expect(existsSync(missing)).toBe(false);
    const error = await expectSame('http://localhost', { connect: { socketPath: missing } });
    expect(error).toMatchObject({ code: 'ENOENT', syscall: 'connect', address: missing });
    const refused = await expectSame('http://localhost', { connect: { socketPath: file } });
    expect(refused).toMatchObject({ code: 'ECONNREFUSED', address: file });
  });

  it('whose TLS handshake never comes times out', async () => {
    const port = await serve(() => {});
    const { peer, ours } = await failures(`https://localhost:${port}`, { connectTimeout: 300 });
    for (const error of [peer, ours]) {
      expect(error).toMatchObject({ name: 'ConnectTimeoutError', code: 'UND_ERR_CONNECT_TIMEOUT' });
      expect(error.message).toMatch(
        /^Connect Timeout Error \(attempted address.*, timeout: 300ms\)$/,
      );
    }
  });
});

describe('TLS', () => {
  const authority = new Authority();
  const connect = { ca: authority.ca };

  it('with a server without TLS fails with OpenSSL’s code', async () => {
    const port = await serve((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const { peer, ours } = await failures(`https://localhost:${port}`);
    expect(ours.code).toBe(peer.code);
  });

  it('with a server that hangs up fails with Node’s code', async () => {
    const port = await serve((socket) => socket.once('data', () => socket.end()));
    const { peer, ours } = await failures(`https://localhost:${port}`);
    expect(ours.code).toBe(peer.code);
    expect(ours.message).toBe(peer.message);
  });

  it('with a server that resets fails with Node’s code', async () => {
    const port = await serve((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const { peer, ours } = await failures(`https://localhost:${port}`);
    expect(ours.code).toBe(peer.code);
  });

  it('with a server of older versions fails with OpenSSL’s code', async () => {
    const port = await serve(() => {}, { ...authority.issue(), maxVersion: 'TLSv1.2' });
    const { peer, ours } = await failures(`https://localhost:${port}`, {
      connect: { ...connect, minVersion: 'TLSv1.3' },
    });
    expect(ours.code).toBe(peer.code);
  });

  it('with a server that requires a certificate fails with OpenSSL’s code', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const identity = { ...authority.issue(), ca: authority.ca, maxVersion };
      const port = await serve((socket) => socket.on('data', () => {}), {
        ...identity,
        requestCert: true,
        rejectUnauthorized: true,
      });
      const { peer, ours } = await failures(`https://localhost:${port}`, { connect });
      // In TLS 1.3 the refusal comes after the handshake. Node's socket has closed by then; ours
      // reads the alert, which says more.
      if (maxVersion === 'TLSv1.3') {
        expect(ours.code).toBe('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED');
        continue;
      }
      // OpenSSL renamed it in 3.5; ours is the older name, which is what programs know.
      expect(peer.code).toMatch(/^ERR_SSL_(SSLV3|SSL\/TLS)_ALERT_HANDSHAKE_FAILURE$/);
      expect(ours.code).toBe('ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE');
    }
  });

  it('with a certificate for another name reports the requested name', async () => {
    const port = await serve(
      () => {},
      authority.issue({ names: ['other.example', 'www.example'] }),
    );
    const error = await expectSame(`https://localhost:${port}`, { connect });
    expect(error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID', host: 'localhost' });
    const address = await expectSame(`https://127.0.0.1:${port}`, { connect });
    expect(address).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID', host: '127.0.0.1' });
  });

  it('with a self-signed or unknown certificate fails with Node’s code', async () => {
    const own = await serve(() => {}, selfSigned());
    await expectSame(`https://localhost:${own}`, { connect });
    const unknown = await serve(() => {}, new Authority().issue());
    await expectSame(`https://localhost:${unknown}`, { connect });
    const expired = await serve(
      () => {},
      authority.issue({ notAfter: new Date(Date.now() - 1000) }),
    );
    await expectSame(`https://localhost:${expired}`, { connect });
  });
});
