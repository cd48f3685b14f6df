// The servers that stand in for the hosts of samples; `check-samples.mjs` says which.
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { createSecureServer } from 'node:http2';
import { connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';

/** A host of a sample, with its port. */
const HOST = /\b(https?|socks5):\/\/((?:[a-z-]+\.)*example\.(?:com|org))(?::\d+)?(?![\w.-])/g;

export class Servers {
  /** By scheme and host, so that two hosts remain two origins. */
  #places = new Map();
  #running = [];
  #tls;

  /** `fixtures`: the folder with the certificate of localhost. */
  static async start(fixtures) {
    const servers = new Servers();
    const pem = (name) => readFileSync(join(fixtures, name));
    servers.#tls = {
      cert: pem('localhost-cert.pem'),
      key: pem('localhost-key.pem'),
      allowHTTP1: true,
    };
    return servers;
  }

  /** The text of a sample with the hosts of this machine. */
  async localize(text) {
    for (const [, scheme, host] of text.matchAll(HOST)) {
      const key = `${scheme}://${host}`;
      if (!this.#places.has(key)) this.#places.set(key, await this.#open(scheme, host));
    }
    return text.replaceAll(HOST, (_all, scheme, host) => this.#places.get(`${scheme}://${host}`));
  }

  async #open(scheme, host) {
    const server = this.#serverFor(scheme, host);
    this.#running.push(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `${scheme}://localhost:${server.address().port}`;
  }

  #serverFor(scheme, host) {
    if (scheme === 'socks5') return createTcpServer(serveSocks);
    if (scheme === 'https') return createSecureServer(this.#tls, echo);
    return host.startsWith('proxy.')
      ? createServer(forward).on('connect', tunnel)
      : createServer(echo);
  }

  async close() {
    for (const server of this.#running) {
      server.close();
      server.closeAllConnections?.();
    }
  }
}

/** JSON that echoes the request, after an early hint, with a trailer. */
function echo(request, response) {
  let bytes = 0;
  request.on('data', (chunk) => (bytes += chunk.length));
  request.on('end', () => {
    const { method, url } = request;
    response.writeEarlyHints({ link: '</app.js>; rel=preload; as=script' });
    response.writeHead(200, { 'Content-Type': 'application/json', Trailer: 'X-Checksum' });
    response.write(JSON.stringify({ method, url, bytes }));
    response.addTrailers({ 'X-Checksum': 'b10a8db1' });
    response.end();
  });
}

/** Forwards a request in absolute form. */
function forward(incoming, outgoing) {
  const { method, headers } = incoming;
  const onward = request(incoming.url, { method, headers }, (response) => {
    outgoing.writeHead(response.statusCode, response.headers);
    response.pipe(outgoing);
  });
  onward.on('error', () => outgoing.destroy());
  incoming.pipe(onward);
}

function tunnel({ url }, socket, head) {
  const { hostname, port } = new URL(`http://${url}`);
  const onward = bridge(socket, hostname, port, () => {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    onward.write(head);
  });
}

/** SOCKS5 without authentication, to names (RFC 1928). */
function serveSocks(socket) {
  socket.once('data', () => {
    socket.write(Buffer.from([5, 0]));
    socket.once('data', (command) => {
      const name = command.subarray(5, 5 + command[4]).toString();
      bridge(socket, name, command.readUInt16BE(5 + command[4]), () =>
        socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0])),
      );
    });
  });
}

/** Connects `socket` with a server, after `opened`. */
function bridge(socket, host, port, opened) {
  const onward = connect(port, host, () => {
    opened();
    socket.pipe(onward).pipe(socket);
  });
  socket.on('error', () => onward.destroy());
  onward.on('error', () => socket.destroy());
  return onward;
}
