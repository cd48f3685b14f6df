// Real proxies on loopback, started with the test's own configuration: squid, haproxy in front
// of it for TLS, and microsocks. Debian's packages of these names.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The path of a program, or `null`: packages install servers outside of a user's PATH. */
export function findProgram(name: string): string | null {
  const found = spawnSync('/bin/sh', ['-c', `command -v ${name}`], {
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/local/sbin:/usr/sbin:/sbin` },
    encoding: 'utf8',
  });
  return found.status === 0 ? found.stdout.trim() : null;
}

export interface RealProxy {
  readonly port: number;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as net.AddressInfo;
  await once(server.close(), 'close');
  return port;
}

/** Whether something accepts connections there. */
async function accepts(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Runs a server until it accepts connections; its output is the error's if it ends before. */
async function start(
  program: string,
  args: (port: number) => readonly string[],
  folder: string | null,
): Promise<RealProxy> {
  const port = await freePort();
  const child: ChildProcess = spawn(program, args(port), { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += String(chunk);
    });
  }
  const ended = once(child, 'exit');
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    port,
    async stop() {
      child.kill('SIGKILL');
      await ended;
      if (folder !== null) rmSync(folder, { recursive: true, force: true });
    },
  };
}

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dodici-proxy-'));
  // squid drops its privileges when root starts it.
  chmodSync(folder, 0o777);
  return folder;
}

/** Forwards and tunnels for `user` with `password`, to loopback only. */
export function startSquid(program: string, user: string, password: string): Promise<RealProxy> {
  const folder = makeFolder();
  const helper = join(folder, 'authenticate.sh');
  writeFileSync(
    helper,
    `#!/bin/sh\nwhile read -r user password; do\n  if [ "$user $password" = "${user} ${password}" ]; then echo OK; else echo ERR; fi\ndone\n`,
  );
  chmodSync(helper, 0o755);
  const file = join(folder, 'squid.conf');
  const configure = (port: number): string => `
http_port 127.0.0.1:${port}
pid_filename none
cache deny all
cache_log ${folder}/cache.log
access_log none
coredump_dir ${folder}
visible_hostname proxy.test
shutdown_lifetime 0 seconds
auth_param basic program ${helper}
auth_param basic children 1 startup=1 idle=1
acl known proxy_auth REQUIRED
acl loopback dst 127.0.0.0/8 ::1/128
http_access deny !loopback
http_access allow known
http_access deny all
`;
  return start(
    program,
    (port) => {
      writeFileSync(file, configure(port));
      return ['-N', '-f', file];
    },
    folder,
  );
}

/** TLS with the certificate for `localhost` in front of a proxy. */
export function startHaproxy(program: string, behind: number): Promise<RealProxy> {
  const folder = makeFolder();
  const pem = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
  const certificate = join(folder, 'certificate.pem');
  writeFileSync(certificate, pem('./localhost-cert.pem') + pem('./localhost-key.pem'));
  const file = join(folder, 'haproxy.cfg');
  return start(
    program,
    (port) => {
      writeFileSync(
        file,
        `
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend secure
  bind 127.0.0.1:${port} ssl crt ${certificate} alpn http/1.1
  default_backend plain
backend plain
  server behind 127.0.0.1:${behind}
`,
      );
      return ['-db', '-q', '-f', file];
    },
    folder,
  );
}

/** SOCKS5 for `user` with `password`. */
export const startMicrosocks = (
  program: string,
  user: string,
  password: string,
): Promise<RealProxy> =>
  start(
    program,
    (port) => ['-i', '127.0.0.1', '-p', String(port), '-u', user, '-P', password],
    null,
  );
