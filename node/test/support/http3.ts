// An HTTP/3 server for tests: dodici-bench-h3, which `just test` and `just build-bench` build. Node
// has none.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { ca, tlsOptions } from './servers';

const built = process.env['DODICI_BUILT'];
const target =
  process.env['CARGO_TARGET_DIR'] ?? fileURLToPath(new URL('../../../target', import.meta.url));
const program = join(
  target,
  built ?? 'release',
  `dodici-bench-h3${process.platform === 'win32' ? '.exe' : ''}`,
);

/** Whether it was built; under `just test`, always. */
export const hasHttp3Server = built !== undefined || existsSync(program);

/** What it has served: each response has 13 bytes. */
export interface Account {
  readonly requests: number;
  readonly connections: number;
  /** Bytes of request bodies. */
  readonly received: number;
}

export interface Http3Origin {
  readonly port: number;
  readonly url: string;
  /** Options that a client of this origin needs. */
  readonly options: object;
  account(): Promise<Account>;
  close(): Promise<void>;
}

export async function http3Origin(): Promise<Http3Origin> {
  const directory = mkdtempSync(join(tmpdir(), 'dodici-h3-'));
  writeFileSync(join(directory, 'cert.pem'), tlsOptions.cert);
  writeFileSync(join(directory, 'key.pem'), tlsOptions.key);
  const child: ChildProcess = spawn(program, ['--tls', directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { stdin, stdout } = child;
  if (!stdin || !stdout) throw new Error('the server has no pipes');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<unknown> => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the server has ended');
    return JSON.parse(value) as unknown;
  };
  const { port } = (await next()) as { port: number };
  return {
    port,
    url: `https://localhost:${port}`,
    options: { connect: { ca } },
    account() {
      stdin.write('\n');
      return next() as Promise<Account>;
    },
    async close() {
      const ended = once(child, 'exit');
      stdin.end();
      await ended;
      rmSync(directory, { recursive: true });
    },
  };
}
