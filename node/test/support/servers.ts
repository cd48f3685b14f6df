// Origins on loopback for the end-to-end tests: http, https, unix sockets, and raw bytes.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const pem = (name: string) => readFileSync(new URL(name, import.meta.url));

/** The root that signed the https origin's certificate. */
export const ca = pem('./ca.pem');
export const tlsOptions = { cert: pem('./localhost-cert.pem'), key: pem('./localhost-key.pem') };

export interface Origin {
  readonly url: string;
  /** Options that a client of this origin needs. */
  readonly options: object;
  readonly server: net.Server;
  /** Sockets of connected clients. */
  readonly sockets: Set<net.Socket>;
  close(): Promise<void>;
}

/** A server that listens. */
export interface Listening {
  /** 0 at a path. */
  readonly port: number;
  /** Sockets of connected clients. */
  readonly sockets: Set<net.Socket>;
  /** Ends the server and all connections. */
  close(): Promise<void>;
}

/** Listens on loopback, or at `path`. */
export async function listening(server: net.Server, path?: string): Promise<Listening> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('secureConnection', (socket: net.Socket) => socket.on('error', () => {}));
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, '127.0.0.1', resolve);
    else server.listen(path, resolve);
  });
  return {
    port: path === undefined ? (server.address() as net.AddressInfo).port : 0,
    sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function open(
  server: net.Server,
  url: (port: number) => string,
  options: object = {},
): Promise<Origin> {
  const { port, sockets, close } = await listening(server);
  return { url: url(port), options, server, sockets, close };
}

export const httpOrigin = (listener: http.RequestListener): Promise<Origin> =>
  open(http.createServer(listener), (port) => `http://localhost:${port}`);

export const httpsOrigin = (listener: http.RequestListener): Promise<Origin> =>
  open(https.createServer(tlsOptions, listener), (port) => `https://localhost:${port}`, {
    connect: { ca },
  });

/** HTTP/2 over TLS, or without it where the options say so; HTTP/1.1 too if they allow it. */
export function http2Origin(
  onStream: (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void,
  options: http2.SecureServerOptions & { plain?: boolean } = {},
): Promise<Origin> {
  const { plain = false, ...rest } = options;
  const server = plain
    ? http2.createServer(rest)
    : http2.createSecureServer({ ...tlsOptions, ...rest });
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {});
    onStream(stream, headers);
  });
  const scheme = plain ? 'http' : 'https';
  return open(server, (port) => `${scheme}://localhost:${port}`, { connect: { ca } });
}

/** An origin that speaks whatever bytes `onSocket` writes. */
export const rawOrigin = (onSocket: (socket: net.Socket) => void): Promise<Origin> =>
  open(net.createServer(onSocket), (port) => `http://localhost:${port}`);

/** On Windows, at a named pipe. */
export async function unixOrigin(listener: http.RequestListener): Promise<Origin> {
  const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
  const socketPath =
    process.platform === 'win32' ? `\\\\.\\pipe\\${basename(folder)}` : join(folder, 'origin.sock');
  const server = http.createServer(listener);
  const { sockets, close } = await listening(server, socketPath);
  return {
    url: 'http://localhost',
    options: { socketPath },
    server,
    sockets,
    async close() {
      await close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Answers a raw request with `response` once its head has arrived. */
export function answer(response: string | Buffer): (socket: net.Socket) => void {
  return (socket) => {
    let seen = '';
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      seen += chunk.toString('latin1');
      if (!seen.includes('\r\n\r\n')) return;
      seen = '';
      socket.write(response);
    });
  };
}
