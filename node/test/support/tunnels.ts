// Proxies in this process, for tests that only need one to exist: CONNECT and forwarding, and SOCKS5
// without credentials, plain or over TLS. Everything leads to the requested port on this machine.

import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import * as tls from 'node:tls';

import type { Identity } from './certificates';
import { listening } from './servers';

export interface Tunnel {
  readonly port: number;
  /** Requested tunnels. */
  asked: number;
  close(): Promise<void>;
}

function join(one: Duplex, port: number, ready: (other: net.Socket) => void): void {
  const other = net.connect(port, '127.0.0.1', () => ready(other));
  one.on('error', () => other.destroy());
  other.on('error', () => one.destroy());
  one.on('close', () => other.destroy());
  other.on('close', () => one.destroy());
}

const toLoopback: net.LookupFunction = (_host, options, callback) => {
  if (options.all) callback(null, [{ address: '127.0.0.1', family: 4 }]);
  else callback(null, '127.0.0.1', 4);
};

async function open(server: net.Server): Promise<Tunnel> {
  const { port, close } = await listening(server);
  return { port, asked: 0, close };
}

/** Answers CONNECT, and forwards requests to this machine; over TLS with an `identity`. */
export async function connectProxy(identity?: Identity): Promise<Tunnel> {
  const server = identity === undefined ? http.createServer() : https.createServer({ ...identity });
  server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
    const { method, url = '', headers } = request;
    const forwarded = http.request(url, { method, headers, lookup: toLoopback }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    forwarded.on('error', () => response.destroy());
    request.pipe(forwarded);
  });
  server.on('connect', (request: http.IncomingMessage, socket: Duplex) => {
    tunnel.asked++;
    join(socket, Number(request.url?.split(':').at(-1)), (other) => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(other).pipe(socket);
    });
  });
  const tunnel = await open(server);
  return tunnel;
}

/** RFC 1928, as far as a correct client needs it; over TLS with an `identity`. */
export async function socksProxy(identity?: Identity): Promise<Tunnel> {
  const serve = (socket: net.Socket): void => {
    let seen = Buffer.alloc(0);
    let isGreeted = false;
    const read = (chunk: Buffer): void => {
      seen = Buffer.concat([seen, chunk]);
      if (!isGreeted) {
        if (seen.length < 2 || seen.length < 2 + seen[1]!) return;
        seen = seen.subarray(2 + seen[1]!);
        isGreeted = true;
        socket.write(Buffer.from([5, 0]));
      }
      if (seen.length < 5) return;
      const length = { 1: 4, 3: 1 + seen[4]!, 4: 16 }[seen[3]!] ?? 0;
      if (seen.length < 4 + length + 2) return;
      socket.off('data', read);
      tunnel.asked++;
      join(socket, seen.readUInt16BE(4 + length), (other) => {
        socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
        socket.pipe(other).pipe(socket);
      });
    };
    socket.on('data', read);
  };
  const server =
    identity === undefined ? net.createServer(serve) : tls.createServer({ ...identity }, serve);
  const tunnel = await open(server);
  return tunnel;
}
