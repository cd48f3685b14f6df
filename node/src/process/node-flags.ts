/**
 * The flags that Node was started with.
 *
 * What lives here: the flags of the command line and of `NODE_OPTIONS`, normalized. Node exposes most of
 * them in no other way. It must not know what they mean.
 */

import { readFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const given = [...(process.env['NODE_OPTIONS'] ?? '').split(/[\s"]+/), ...process.execArgv];

/** Node accepts underscores as dashes, in names only. */
function normalized(flags: readonly string[]): readonly string[] {
  return flags.map((flag) => flag.replace(/^--[^=]*/, (name) => name.replaceAll('_', '-')));
}

/** Each as `--name` or `--name=value`, with dashes, as Node reads them at startup. */
export const NODE_FLAGS: readonly string[] = normalized(given);

/**
 * The command line of the process: V8's flags are those of the process, and a worker may have an
 * `execArgv` of its own. Only Linux tells; `null` elsewhere.
 */
function commandLineOfProcess(): readonly string[] | null {
  try {
    return normalized(readFileSync('/proc/self/cmdline', 'utf8').split('\0'));
  } catch {
    return null;
  }
}

/** In a worker with an `execArgv` of its own, `process` has no `permission`. */
const FORBIDDING = /^--?(freeze-flags-after-init|(experimental-)?permission)\b/;

/**
 * Whether V8's flags may be changed: not if they are frozen, which ends the process, or may be, not under
 * the permission model, and not on a runtime other than Node.
 */
export function mayChangeV8Flags(): boolean {
  const { bun, deno, electron } = process.versions;
  if (bun !== undefined || deno !== undefined || electron !== undefined) return false;
  if ((process as { permission?: unknown }).permission !== undefined) return false;
  const ofProcess = isMainThread ? [] : commandLineOfProcess();
  return ofProcess !== null && ![...NODE_FLAGS, ...ofProcess].some((flag) => FORBIDDING.test(flag));
}
