// A separate process for what must not affect the test's: Node's globals, flags, exit.

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What users require. */
export const built = fileURLToPath(new URL('../../dist/index.js', import.meta.url));

export interface ChildOptions {
  /** For Node. */
  readonly flags?: readonly string[];
  /** In addition to this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** `values` of the script. */
  readonly values?: object;
  /** What runs before dodici is loaded, in the same scope. */
  readonly before?: string;
}

/** Lines that Node writes because of flags, not because of what ran. */
const WARNINGS = /^\(node:.*\n|^\(Use `node.*\n/gm;

/**
 * Runs `body` as an async function's body with `dodici`, `peer` (undici) and `values` in scope.
 * What it returns comes back through JSON. The process must end by itself, quietly.
 */
export function inChild(
  body: string,
  { flags = [], env = {}, values = {}, before = '' }: ChildOptions = {},
): Promise<unknown> {
  const script = `
    const values = ${JSON.stringify(values)};
    const main = async () => {
      ${before}
      const dodici = require(${JSON.stringify(built)});
      const peer = require('undici');
      ${body}
    };
    main().then((result) => process.stdout.write(JSON.stringify(result ?? null)));`;
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [...flags, '-e', script],
      { encoding: 'utf8', maxBuffer: 1 << 26, env: { ...process.env, ...env } },
      (error, stdout, stderr) => {
        const said = stderr.replace(WARNINGS, '');
        if (error !== null || said !== '') reject(new Error(`${error?.message ?? ''}\n${said}`));
        else if (stdout === '') reject(new Error('the process ended before its script did'));
        else resolve(JSON.parse(stdout));
      },
    );
  });
}
