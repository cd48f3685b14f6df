// Starts and stops the servers that benchmarks run against: dodici-bench-server, dodici-bench-h3,
// nginx and nghttpd.
// loads.mjs and the demo call it; it knows nothing of clients.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { HERE } from './far.mjs';
import { executable } from './paths.mjs';

/**
 * @typedef {object} Origin
 * @property {string[]} args arguments with which the programs of bench/ reach it
 * @property {Record<string, string>} [env] environment in which Node trusts it
 * @property {() => Promise<Account>} [account] the requests served so far, if it counts them
 * @property {() => Promise<Account | undefined>} stop ends it; returns the requests served, if it counts them
 */
/** @typedef {{ requests: number, connections: number, received?: number, waitP50?: number, waitP99?: number }} Account */

/**
 * The minimal server: over TCP on any number of ports, over TLS or a unix socket.
 *
 * @param {object} options
 * @param {number} options.bytes of each response's body
 * @param {number} [options.delay] milliseconds before a response
 * @param {boolean} [options.each] whether pipelined requests are answered with a write each
 * @param {number} [options.ports] origins, of one process
 * @param {boolean} [options.tls]
 * @param {boolean} [options.unix]
 * @param {boolean} [options.waits] whether accounts include how long requests had waited
 * @returns {Promise<Origin>}
 */
export async function minimalServer(options) {
  const { bytes, delay = 0, each = false, ports = 1, tls = false } = options;
  const { unix = false, waits = false } = options;
  const args = ['--body', String(bytes), '--delay', String(delay)];
  const directory = tls || unix ? folder(tls) : undefined;
  if (tls) args.push('--tls', directory);
  if (each) args.push('--each');
  if (waits) args.push('--waits');
  if (unix) args.push('--unix', join(directory, 'server.sock'));
  else if (ports > 1) args.push('--ports', String(ports));
  const { address, ...server } = await ourServer('dodici-bench-server', args, { directory });
  const ca = tls ? join(directory, 'ca.pem') : undefined;
  return {
    args: [
      ...(address.path
        ? ['--origin', 'http://localhost', '--socket', address.path]
        : address.ports.flatMap((port) => [
            '--origin',
            `${tls ? 'https' : 'http'}://127.0.0.1:${port}`,
          ])),
      ...(tls ? ['--ca', ca] : []),
    ],
    env: trusting(ca),
    ...server,
  };
}

/** Listening sockets of one process: as many connections must fit beside them. */
const PORTS = 5000;

/**
 * Minimal servers with any number of origins together.
 *
 * @param {{ bytes: number, origins: number }} options
 * @returns {Promise<Origin>}
 */
export async function minimalServers({ bytes, origins }) {
  const servers = [];
  for (let left = origins; left > 0; left -= PORTS) {
    servers.push(await minimalServer({ bytes, ports: Math.min(left, PORTS) }));
  }
  return {
    args: servers.flatMap(({ args }) => args),
    async stop() {
      const accounts = await Promise.all(servers.map((server) => server.stop()));
      const sum = (key) => accounts.reduce((all, account) => all + account[key], 0);
      return { requests: sum('requests'), connections: sum('connections') };
    },
  };
}

/**
 * Starts one of our servers, which says where it listens and, for each line that it gets and at its
 * end, what it has served.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {object} options
 * @param {string} [options.directory] deleted at its end
 * @param {import('./far.mjs').Place} [options.at] where it runs
 */
async function ourServer(program, args, { directory, at = HERE }) {
  const [name, ...given] = [...at.enter, executable(program), ...args];
  const child = spawn(name, given, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const { value } = await lines.next();
  if (value === undefined) throw new Error(`${program} ended before it listened`);
  const nextAccount = async () => JSON.parse((await lines.next()).value);
  return {
    address: JSON.parse(value),
    account() {
      child.stdin.write('\n');
      return nextAccount();
    },
    async stop() {
      const ended = once(child, 'exit');
      child.stdin.end();
      const account = await nextAccount();
      await ended;
      if (directory) rmSync(directory, { recursive: true });
      return account;
    },
  };
}

/** For clients that read a certificate authority from the environment only. */
function trusting(ca) {
  return ca === undefined ? undefined : { NODE_EXTRA_CA_CERTS: ca };
}

function isInstalled(command, flag) {
  try {
    execFileSync(command, [flag], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Whether nginx is installed; without it, the minimal server serves TLS. */
export const hasNginx = () => isInstalled('nginx', '-v');

/** Whether nghttpd is installed. */
export const hasNghttpd = () => isInstalled('nghttpd', '--version');

/** A folder for a server; for `tls`, with a certificate generated for this run. @param {boolean} tls */
function folder(tls) {
  const directory = mkdtempSync(join(tmpdir(), 'dodici-bench-'));
  if (tls) execFileSync(executable('dodici-bench-certs'), [directory], { stdio: 'inherit' });
  return directory;
}

/**
 * Starts a server that has its files in `directory`, which is deleted at its end.
 *
 * @param {object} options
 * @param {[string, ...string[]]} options.command
 * @param {string} options.directory
 * @param {number} [options.port]
 * @param {number[]} [options.ports]
 * @param {string} options.path of the requests
 * @param {boolean} [options.tls]
 * @param {boolean} [options.http2] whether clients are told to use HTTP/2
 * @param {import('./far.mjs').Place} [options.at] where it runs
 * @returns {Promise<Origin>}
 */
async function started({
  command,
  directory,
  path,
  tls = true,
  http2 = false,
  at = HERE,
  ...where
}) {
  const { port, ports = [port] } = where;
  const [name, ...given] = [...at.enter, ...command];
  const child = spawn(name, given, { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  await Promise.race([
    listening(ports.at(-1), at),
    ended.then(([code]) => {
      throw new Error(`${name} ended with code ${code}; see ${directory}`);
    }),
  ]);
  const ca = tls ? join(directory, 'ca.pem') : undefined;
  const scheme = tls ? 'https' : 'http';
  const origins = ports.flatMap((one) => ['--origin', `${scheme}://${at.address}:${one}`]);
  return {
    args: [...origins, '--path', path, ...(tls ? ['--ca', ca] : []), ...(http2 ? ['--http2'] : [])],
    env: trusting(ca),
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(directory, { recursive: true, force: true });
      return undefined;
    },
  };
}

/**
 * nginx over TLS 1.3, one worker, and everything turned off that is not needed to respond from memory.
 * Without nginx, the minimal server.
 *
 * @param {{ bytes: number }} options
 * @returns {Promise<Origin>}
 */
export async function nginxTls({ bytes }) {
  if (!hasNginx()) return minimalServer({ bytes, tls: true });
  const directory = folder(true);
  mkdirSync(join(directory, 'www'));
  writeFileSync(join(directory, 'www', 'body'), Buffer.alloc(bytes, 'x'));
  return nginx({ directory, path: '/body', type: 'text/plain' });
}

/**
 * Starts nginx for `directory/www`.
 *
 * @param {object} options
 * @param {string} options.directory
 * @param {string} options.path
 * @param {string} options.type of responses
 * @param {boolean} [options.tls]
 * @param {boolean} [options.http2]
 * @param {string[]} [options.locations]
 * @param {number} [options.origins]
 */
async function nginx({ directory, path, type, tls = true, http2 = false, ...more }) {
  const { locations = [], origins = 1 } = more;
  const ports = await freePorts(origins);
  const config = nginxConfig({ directory, ports, type, tls, http2, locations });
  writeFileSync(join(directory, 'nginx.conf'), config);
  const command = ['nginx', '-p', directory, '-c', 'nginx.conf', '-e', 'error.log'];
  return started({ command, directory, ports, path, tls, http2 });
}

function nginxConfig({ directory, ports, type, tls, http2, locations }) {
  const user = process.getuid?.() === 0 ? 'user root;\n' : '';
  const protocol = `${tls ? ' ssl' : ''}${http2 ? ' http2' : ''}`;
  const certificate = [
    'ssl_protocols TLSv1.3;',
    `ssl_certificate ${directory}/cert.pem;`,
    `ssl_certificate_key ${directory}/key.pem;`,
  ];
  return `${user}daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
events { worker_connections ${1024 + 4 * ports.length}; multi_accept on; }
http {
  access_log off;
  default_type ${type};
  sendfile on;
  tcp_nodelay on;
  absolute_redirect off;
  open_file_cache max=16 inactive=600s;
  # The client's pool decides when a connection ends, not this server.
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    ${ports.map((port) => `listen 127.0.0.1:${port}${protocol};`).join('\n    ')}
    server_name localhost;
    root ${directory}/www;
    ${[...(tls ? certificate : []), ...locations].join('\n    ')}
  }
}
`;
}

/**
 * nghttpd: HTTP/2 over TLS, one worker.
 *
 * @param {{ bytes: number, at?: import('./far.mjs').Place }} options
 * @returns {Promise<Origin>}
 */
export async function nghttpd({ bytes, at = HERE }) {
  const directory = folder(true);
  writeFileSync(join(directory, 'body'), Buffer.alloc(bytes, 'x'));
  const port = await freePort();
  const files = ['key.pem', 'cert.pem'].map((file) => join(directory, file));
  const args = [`--address=${at.address}`, `--htdocs=${directory}`, '--workers=1', String(port)];
  return started({ command: ['nghttpd', ...args, ...files], directory, port, path: '/body', at });
}

/**
 * dodici-bench-h3: HTTP/3, one thread. It counts the bytes of request bodies.
 *
 * @param {{ bytes: number, at?: import('./far.mjs').Place }} options
 * @returns {Promise<Origin>}
 */
export async function h3Server({ bytes, at = HERE }) {
  const directory = folder(true);
  const args = ['--tls', directory, '--body', String(bytes), '--listen', `${at.address}:0`];
  const { address, ...server } = await ourServer('dodici-bench-h3', args, { directory, at });
  const ca = join(directory, 'ca.pem');
  return {
    args: ['--origin', `https://${at.address}:${address.port}`, '--ca', ca, '--http3'],
    env: trusting(ca),
    ...server,
  };
}

/** A TCP port that was free a moment ago. */
async function freePort() {
  const [port] = await freePorts(1);
  return port;
}

/** Several of them. @param {number} count */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

/**
 * Resolves once something accepts connections on `port`.
 *
 * @param {number} port
 * @param {import('./far.mjs').Place} at
 */
async function listening(port, at) {
  while (!(at === HERE ? await accepts(port) : listensIn(at, port))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** @param {number} port */
async function accepts(port) {
  const socket = connect(port, HERE.address);
  const up = await new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  });
  socket.destroy();
  return up;
}

/** Whether a TCP socket listens in another network, which this process cannot connect to. */
function listensIn({ enter: [name, ...given] }, port) {
  const table = execFileSync(name, [...given, 'cat', '/proc/net/tcp'], { encoding: 'latin1' });
  const LISTEN = '0A';
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table.split('\n').some((line) => {
    const [, here, , state] = line.trim().split(/\s+/);
    return here?.endsWith(local) && state === LISTEN;
  });
}

/** Size of the large responses of `nginxFetch`. */
const MIB = 1 << 20;

/** JSON like an API's, about 100 bytes a row. @param {number} count */
function rows(count) {
  const row = (id) => ({
    ...{ id, name: `User ${id}`, email: `user${id}@example.com`, tags: ['a', 'b', 'c'] },
    ...{ active: id % 2 === 0, score: id * 1.5 },
  });
  return JSON.stringify(Array.from({ length: count }, (_, id) => row(id)));
}

/**
 * nginx with the paths of the fetch loads: `/small`, `/1k`, `/20k`, `/20k-gzip`, `/20k-br`, `/64k`, `/1m`,
 * `/1m-gzip`, `/redirect/1`, ten hops from `/small`, `/moved`, one from `/20k-gzip`, and if `large`,
 * `/100m` and `/100m-gzip`; in the clear, or over TLS with HTTP/1.1 or HTTP/2.
 *
 * @param {{ tls?: boolean, http2?: boolean, large?: boolean, path: string, origins?: number }} options
 * @returns {Promise<Origin>}
 */
export async function nginxFetch({ tls = false, http2 = false, large = false, path, origins }) {
  const directory = folder(tls);
  const www = join(directory, 'www');
  mkdirSync(www);
  const json = rows(200);
  const text = json.repeat(Math.ceil((100 * MIB) / json.length)).slice(0, 100 * MIB);
  const files = {
    '1k': rows(10),
    '20k': json,
    '20k-gzip': gzipSync(json),
    '20k-br': brotliCompressSync(json),
    '64k': Buffer.alloc(64 * 1024, 'x'),
    '1m': Buffer.alloc(MIB, 'x'),
    '1m-gzip': gzipSync(text.slice(0, MIB)),
    ...(large && { '100m': text, '100m-gzip': gzipSync(text) }),
  };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(www, name), content);
  const small = `default_type application/json; return 200 '{"id":1,"name":"small","ok":true}';`;
  const locations = [
    `location = /small { ${small} }`,
    ...Array.from({ length: 10 }, (_, hop) => {
      const next = hop < 9 ? `/redirect/${hop + 2}` : '/small';
      return `location = /redirect/${hop + 1} { return 302 ${next}; }`;
    }),
    'location = /moved { return 302 /20k-gzip; }',
    'location ~ -gzip$ { add_header content-encoding gzip; }',
    'location ~ -br$ { add_header content-encoding br; }',
  ];
  return nginx({ directory, path, type: 'application/json', tls, http2, locations, origins });
}
