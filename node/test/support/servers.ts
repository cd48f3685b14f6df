// Origins on loopback for the end-to-end tests: http, https, unix sockets, and raw bytes.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const pem = (name: string) => readFileSync(new URL(name, import.meta.url));

/** The root that signed the https origin's certificate. */
export const ca = pem('./ca.pem');
export const tlsOptions = { cert: pem('./localhost-cert.pem'), key: pem('./localhost-key.pem') };

export interface Origin {
  readonly url: string;
  /** Options that a client of this origin needs. */
  readonly options: object;
  readonly server: net.Server;
  /** Sockets of clients that are connected. */
  readonly sockets: Set<net.Socket>;
  close(): Promise<void>;
}

function track(server: net.Server, event: 'connection' | 'secureConnection' = 'connection') {
  const sockets = new Set<net.Socket>();
  server.on(event, (socket: net.Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  return sockets;
}

async function open(
  server: net.Server,
  url: (port: number) => string,
  options: object = {},
): Promise<Origin> {
  const sockets = track(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  return {
    url: url(port),
    options,
    server,
    sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

export const httpOrigin = (listener: http.RequestListener): Promise<Origin> =>
  open(http.createServer(listener), (port) => `http://localhost:${port}`);

export const httpsOrigin = (listener: http.RequestListener): Promise<Origin> =>
  open(https.createServer(tlsOptions, listener), (port) => `https://localhost:${port}`, {
    connect: { ca },
  });

/** An origin that speaks whatever bytes `onSocket` writes. */
export const rawOrigin = (onSocket: (socket: net.Socket) => void): Promise<Origin> =>
  open(net.createServer(onSocket), (port) => `http://localhost:${port}`);

export async function unixOrigin(listener: http.RequestListener): Promise<Origin> {
  const folder = mkdtempSync(join(tmpdir(), 'dodici-'));
  const socketPath = join(folder, 'origin.sock');
  const server = http.createServer(listener);
  const sockets = track(server);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    url: 'http://localhost',
    options: { socketPath },
    server,
    sockets,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          rmSync(folder, { recursive: true, force: true });
          resolve();
        });
        for (const socket of sockets) socket.destroy();
      }),
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
