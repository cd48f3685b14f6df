/**
 * The file of `--tls-keylog`, to which secrets of TLS sessions are written.
 *
 * What lives here: its path, and Node's warnings. `options` calls it whenever a TLS connection is
 * configured. It must not know what is written.
 */

import { closeSync, openSync } from 'node:fs';
import { resolve } from 'node:path';

import { NODE_FLAGS } from './node-flags';

const FLAG = '--tls-keylog';

/** The last one counts. */
function fileOf(flags: readonly string[]): string | null {
  let file: string | null = null;
  flags.forEach((flag, n) => {
    if (flag.startsWith(`${FLAG}=`)) file = flag.slice(FLAG.length + 1);
    else if (flag === FLAG) file = flags[n + 1] ?? null;
  });
  return file;
}

const file = fileOf(NODE_FLAGS);
let hasWarned = false;

function warn(path: string): void {
  process.emitWarning(
    `Using --tls-keylog makes TLS connections insecure by writing secret key material to file ${path}`,
  );
  try {
    closeSync(openSync(path, 'a', 0o600));
  } catch (error) {
    process.emitWarning(
      `Failed to write TLS keylog (this warning will not be repeated): ${String(error)}`,
    );
  }
}

/** `null`: the flag is not set. The first time that it is used, the user is warned. */
export function keyLogFile(): string | null {
  if (file === null) return null;
  if (!hasWarned) warn(file);
  hasWarned = true;
  return resolve(file);
}
