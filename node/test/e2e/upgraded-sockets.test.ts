// What the sockets of upgrade() and connect() tell about their connections, next to undici's.
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';

import { afterEach, describe, expect, it } from 'vitest';

import { Client } from '../../src/index';
import { peer } from '../../src/undici/undici';
import { ca, listening, tlsOptions } from '../support/servers';
import { Cleanup } from '../support/wire';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n';
const TUNNEL = 'HTTP/1.1 200 OK\r\n\r\n';

type TlsClient = net.Socket & Partial<tls.TLSSocket>;

interface Pair {
  readonly socket: TlsClient;
  readonly server: net.Socket;
}

interface Way {
  readonly method: 'upgrade' | 'connect';
  readonly scheme: 'http' | 'https';
  readonly connect?: object;
}

const WAYS: Way[] = [
  { method: 'upgrade', scheme: 'http' },
  { method: 'connect', scheme: 'http' },
  { method: 'upgrade', scheme: 'https' },
  { method: 'connect', scheme: 'https' },
  { method: 'upgrade', scheme: 'https', connect: { maxVersion: 'TLSv1.2' } },
  { method: 'upgrade', scheme: 'https', connect: { rejectUnauthorized: false } },
];

/** A socket of `library` with the server's side of it; the first bytes come with the head. */
async function open(library: typeof peer.Client, { method, scheme, connect }: Way): Promise<Pair> {
  const sockets: net.Socket[] = [];
  const accept = (server: net.Socket): void => {
    sockets.push(server);
    server.on('error', () => {});
    server.once('data', () => {
      server.write(`${method === 'upgrade' ? SWITCH : TUNNEL}hello`);
      server.on('data', (chunk) => server.write(chunk));
    });
  };
  const server =
    scheme === 'https' ? tls.createServer(tlsOptions, accept) : net.createServer(accept);
  const { port, close } = await listening(server);
  cleanup.add(close);
  const options = { connect: scheme === 'https' ? { ca, ...connect } : {} };
  const client = new library(`${scheme}://localhost:${port}`, options);
  cleanup.add(() => client.destroy());
  const answer =
    method === 'upgrade'
      ? await client.upgrade({ path: '/', protocol: 'x' })
      : await client.connect({ path: 'example.org:80' });
  const socket = answer.socket as unknown as TlsClient;
  cleanup.add(() => socket.destroy());
  return { socket, server: sockets[0]! };
}

const METHODS = [
  ...['address', 'cork', 'destroySoon', 'ref', 'resetAndDestroy', 'setKeepAlive', 'setNoDelay'],
  ...['setTimeout', 'unref', 'getCipher', 'getPeerCertificate', 'getPeerX509Certificate'],
  ...['getProtocol', 'isSessionReused'],
] as const;

/** What a socket says of itself; ports as what they are on the server's side. */
function facts({ socket, server }: Pair) {
  const certificate = socket.getPeerCertificate?.();
  return {
    isStream: socket instanceof Duplex,
    local: [socket.localAddress, socket.localFamily, socket.localPort === server.remotePort],
    remote: [socket.remoteAddress, socket.remoteFamily, socket.remotePort === server.localPort],
    address: { ...(socket.address() as net.AddressInfo), port: 0 },
    state: [socket.readyState, socket.connecting, socket.pending, socket.destroyed],
    allowHalfOpen: socket.allowHalfOpen,
    timeout: socket.timeout,
    methods: METHODS.filter((name) => typeof socket[name] === 'function'),
    chained: socket.setTimeout(0).setNoDelay(true).setKeepAlive(true, 10).ref() === socket,
    authorized: socket.authorized,
    tls: [socket.encrypted, socket.authorizationError, socket.alpnProtocol],
    protocol: socket.getProtocol?.(),
    cipher: socket.getCipher?.(),
    resumed: socket.isSessionReused?.(),
    certificate: { ...certificate, issuerCertificate: undefined },
    x509: socket.getPeerX509Certificate?.()?.fingerprint256,
  };
}

/** Sends `text` and returns when its echo has arrived. */
async function echoed(socket: net.Socket, text: string): Promise<string> {
  let seen = '';
  socket.on('data', (chunk) => (seen += String(chunk)));
  socket.write(text);
  while (!seen.endsWith(text)) await once(socket, 'data');
  return seen;
}

describe.each(WAYS)('the socket of $method() over $scheme ($connect)', (way) => {
  it('has the properties and methods of undici’s', async () => {
    const theirs = facts(await open(peer.Client, way));
    const ours = facts(await open(Client, way));
    // Not examined, so not authorized, whatever Node makes of it.
    const isExamined = !('rejectUnauthorized' in (way.connect ?? {}));
    const { authorized } = isExamined ? theirs : { authorized: false };
    expect(ours).toEqual({ ...theirs, authorized });
  });

  it('counts the bytes of the whole connection', async () => {
    const { socket, server } = await open(Client, way);
    expect(await echoed(socket, 'naïve')).toBe('hellonaïve');
    expect(socket.bytesRead).toBe(server.bytesWritten);
    expect(socket.bytesWritten).toBe(server.bytesRead);
  });
});

describe('the socket of upgrade()', () => {
  const way = WAYS[0] as Way;
  const ours = () => open(Client, way);

  it('counts what it has still to write', async () => {
    const { socket, server } = await ours();
    const before = socket.bytesWritten;
    socket.cork();
    socket.write('abc');
    socket.write(Buffer.alloc(10));
    expect(socket.bytesWritten).toBe(before + 13);
    socket.uncork();
    expect(socket.bytesWritten).toBe(before + 13);
    await once(server, 'data');
    expect(socket.bytesWritten).toBe(before + 13);
  });

  it('writes text in any encoding', async () => {
    const { socket, server } = await ours();
    const chunks: Buffer[] = [];
    const size = () => Buffer.concat(chunks).length;
    server.on('data', (chunk) => chunks.push(chunk));
    socket.cork();
    socket.write('\u00e9', 'latin1');
    socket.write('6869', 'hex');
    socket.write('\u00e9');
    socket.uncork();
    while (size() < 5) await once(server, 'data');
    expect(Buffer.concat(chunks).toString('hex')).toBe('e96869c3a9');
  });

  it('has a timeout, and is closed by resetAndDestroy() and destroySoon()', async () => {
    const { socket, server: reset } = await ours();
    socket.setTimeout(20);
    expect(socket.timeout).toBe(20);
    await once(socket, 'timeout');
    const failed = new Promise<NodeJS.ErrnoException>((resolve) => reset.once('error', resolve));
    expect(socket.resetAndDestroy()).toBe(socket);
    await once(socket, 'close');
    expect((await failed).code).toBe('ECONNRESET');
    expect([socket.destroyed, socket.pending, socket.readyState]).toEqual([true, true, 'closed']);
    const { socket: other, server } = await ours();
    other.write('bye');
    other.destroySoon();
    await Promise.all([once(server, 'end'), once(other, 'close')]);
    expect(server.bytesRead).toBe(other.bytesWritten);
  });

  it('carries TLS of a program', async () => {
    const secure = tls.createServer(tlsOptions, (socket) => socket.end('inside'));
    const inner = await listening(secure);
    cleanup.add(inner.close);
    const proxy = await listening(
      net.createServer((socket) => {
        socket.once('data', () => {
          socket.write(TUNNEL);
          const onward = net.connect(inner.port, '127.0.0.1');
          onward.on('error', () => {});
          socket.pipe(onward).pipe(socket);
        });
      }),
    );
    cleanup.add(proxy.close);
    const client = new Client(`http://localhost:${proxy.port}`);
    cleanup.add(() => client.destroy());
    const { socket } = await client.connect({ path: `localhost:${inner.port}` });
    const outer = tls.connect({ socket, ca, servername: 'localhost' });
    let text = '';
    for await (const chunk of outer) text += String(chunk);
    expect(text).toBe('inside');
  });
});
