// S8: no key added to Object.prototype is an option of any class.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import * as net from 'node:net';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import {
  ca,
  http2Origin,
  httpOrigin,
  httpsOrigin,
  listening,
  tlsOptions,
} from '../support/servers';
import { Cleanup } from '../support/wire';

const source = fileURLToPath(new URL('../../src/', import.meta.url));

/** Names read from objects anywhere in the package, including every option. */
function readKeys(): string[] {
  const keys = new Set<string>();
  for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const code = readFileSync(`${source}/${file}`, 'utf8');
    for (const [, name] of code.matchAll(/\['(\w+)'\]/g)) keys.add(name!);
    for (const [, name] of code.matchAll(/\b(?:options|given|pair)\.(\w+)/g)) keys.add(name!);
    for (const [, names] of code.matchAll(/const \{([^{}]+)\} =/g)) {
      for (const name of names!.matchAll(/(\w+)(?=\s*[:,=\n]|\s*$)/g)) keys.add(name[1]!);
    }
    for (const [, list] of code.matchAll(/(?:new Set|_ONLY =)\(?(\[[^\]]+\])/g)) {
      for (const name of list!.matchAll(/'(\w+)'/g)) keys.add(name[1]!);
    }
  }
  // Read by the language itself: nothing works with these polluted.
  for (const name of ['get', 'set', 'value', 'constructor', 'then', 'toString', 'length']) {
    keys.delete(name);
  }
  // Methods of handlers are not options.
  return [...keys].filter((name) => !/^on[A-Z]/.test(name)).sort();
}

/** Redirects every connection to loopback. */
function tunnel(target: { hostname: string; port: string }, socket: net.Socket, yes: Buffer): void {
  const other = net.connect(Number(target.port), '127.0.0.1', () => {
    socket.write(yes);
    socket.pipe(other).pipe(socket);
  });
  for (const one of [socket, other]) one.on('error', () => one.destroy());
}

function asProxy(server: http.Server): http.Server {
  server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
    response.end(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
  });
  server.on('connect', (request: http.IncomingMessage, socket: net.Socket) => {
    tunnel(new URL(`http://${request.url}`), socket, Buffer.from('HTTP/1.1 200 x\r\n\r\n'));
  });
  return server;
}

const socksServer = (): net.Server =>
  net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      socket.write(Buffer.of(5, 0));
      socket.once('data', (asked: Buffer) => {
        const yes = Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
        tunnel({ hostname: '', port: String(asked.readUInt16BE(asked.length - 2)) }, socket, yes);
      });
    });
  });

it('s08 a polluted key is not an option of any class', { timeout: 120_000 }, async () => {
  const cleanup = new Cleanup();
  const listen = async (server: net.Server): Promise<number> => {
    const { port, close } = await listening(server);
    cleanup.add(close);
    return port;
  };
  const echo: http.RequestListener = (request, response) => {
    response.end(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
  };
  const origin = await httpOrigin(echo);
  const secure = await httpsOrigin(echo);
  const h2c = await http2Origin(
    (stream, headers) => stream.end(`${headers[':method']} ${headers[':path']}`),
    { plain: true },
  );
  for (const one of [origin, secure, h2c]) cleanup.add(() => one.close());
  const urls = {
    origin: origin.url,
    secure: secure.url,
    h2c: h2c.url,
    proxy: `http://localhost:${await listen(asProxy(http.createServer()))}`,
    secureProxy: `https://localhost:${await listen(asProxy(https.createServer(tlsOptions)))}`,
    socks: `socks5://localhost:${await listen(socksServer())}`,
    dead: 'http://127.0.0.1:1',
  };
  const keys = readKeys();
  // Checks the list itself: options of every class and of requests.
  const missing = (names: string[]): string[] => names.filter((name) => !keys.includes(name));
  expect(
    missing([
      ...['servername', 'httpProxy', 'httpsProxy', 'noProxy', 'proxyTls', 'requestTls', 'token'],
      ...['auth', 'proxyTunnel', 'connections', 'factory', 'origins', 'allowH2', 'useH2c'],
      ...['rejectUnauthorized', 'socketPath', 'pem', 'passphrase', 'lookup', 'localAddress'],
      ...['method', 'path', 'headers', 'body', 'upgrade', 'idempotent', 'dispatcher', 'query'],
    ]),
  ).toEqual([]);
  const script = fileURLToPath(new URL('../support/polluted-options.mjs', import.meta.url));
  const input = JSON.stringify({ urls, ca: ca.toString('latin1'), keys });
  const env = { ...process.env, http_proxy: '', https_proxy: '', no_proxy: '' };
  const child = spawn(process.execPath, [script, input], { env });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await cleanup.run();
  expect(stderr).toBe('');
  const report = JSON.parse(stdout) as {
    plain: Record<string, string>;
    differences: string[];
    runs: number;
  };
  for (const [name, answer] of Object.entries(report.plain)) {
    expect(`${name}: ${answer}`).toMatch(/: 200 GET (http:\/\/localhost:\d+)?\/x\?a=1/);
  }
  expect(report.runs).toBeGreaterThan(keys.length * Object.keys(report.plain).length);
  expect(report.differences).toEqual([]);
});
