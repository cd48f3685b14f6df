/**
 * Finds and loads the addon.
 *
 * What lives here: the only place that knows the name of a `.node` file. Called once by the
 * session. It must not know what the addon does.
 *
 * Order: the environment variable `DODICI_ADDON` (a path, for development), then
 * `prebuilds/<platform>-<arch>/dodici.node` in the package. Any problem with the file is an error with
 * the code `ERR_DODICI_ADDON`.
 *
 * Node's permission model does not restrict native code, so the loader checks the permissions that the
 * addon needs: Node itself rejects addons without `--allow-addons`, and if Node has a network permission,
 * the loader requires it.
 */

import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { LAYOUT_HASH } from '../wire';
import type { NativeAddon } from './addon';
import { findMissingBytes } from './truncated';

/** The build bundles the package into `dist/dodici.js`. */
const PACKAGE_ROOT = join(__dirname, '..');

function addonError(message: string, cause?: unknown): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause });
  return Object.assign(error, { code: 'ERR_DODICI_ADDON' });
}

/** Node's permission model, if enabled. Its types are missing in Node 20. */
interface Permission {
  has(scope: string, reference?: string): boolean;
}

/** @throws Error naming the flag, if this process may not use the network or read the addon. */
function checkPermission(path: string): void {
  const { permission } = process as { permission?: Permission };
  if (permission === undefined) return;
  if (!permission.has('fs.read', path)) {
    throw addonError(
      `Node's permission model does not allow dodici to read its native addon: start Node with --allow-fs-read=${path}.`,
    );
  }
  if (process.allowedNodeEnvironmentFlags.has('--allow-net') && !permission.has('net')) {
    throw addonError(
      "Node's permission model does not allow dodici to use the network: start Node with --allow-net.",
    );
  }
}

/** Path of the addon for this platform. */
export function addonPath(environment: NodeJS.ProcessEnv = process.env): string {
  const override = environment['DODICI_ADDON'];
  if (override) return resolve(override);
  return join(PACKAGE_ROOT, 'prebuilds', `${process.platform}-${process.arch}`, 'dodici.node');
}

/**
 * Loads the addon at `path` and checks that it was built from the same schema.
 *
 * @throws Error with the code `ERR_DODICI_ADDON` and a message that says what to do.
 */
export function loadAddon(path: string = addonPath()): NativeAddon {
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) {
    throw addonError(`dodici supports little-endian machines only, and ${process.arch} is big-endian.`);
  }
  checkPermission(path);
  if (!existsSync(path)) {
    throw addonError(
      `dodici has no native addon for ${process.platform}-${process.arch}: ${path} does not exist; build it with "just build" or point DODICI_ADDON at one.`,
    );
  }
  let addon: NativeAddon;
  checkLength(path);
  try {
    addon = require(path) as NativeAddon;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED') {
      throw addonError(
        "Node's permission model does not allow dodici to load its native addon: start Node with --allow-addons.",
        cause,
      );
    }
    // Node's messages begin with the path, and continue with a list of modules.
    const [line = ''] = (cause instanceof Error ? cause.message : String(cause)).split('\n');
    const reason = line.startsWith(`${path}: `) ? line.slice(path.length + 2) : line;
    throw addonError(
      `dodici could not load its native addon ${path} (${reason}): reinstall dodici or rebuild the addon.`,
      cause,
    );
  }
  checkLayout(addon, path);
  return addon;
}

/** Rejects a truncated file; see `truncated.ts`. `require` reports an unreadable one. */
function checkLength(path: string): void {
  let missing: ReturnType<typeof findMissingBytes>;
  try {
    missing = findMissingBytes(path);
  } catch {
    return;
  }
  if (missing === null) return;
  throw addonError(
    `dodici's native addon ${path} is incomplete (it has ${missing.has} of ${missing.needs} bytes): reinstall dodici or rebuild the addon.`,
  );
}

/** Rejects an addon with a different record layout; see `layout_hash` in dodici-wire. */
export function checkLayout(addon: NativeAddon, path: string): void {
  const found = typeof addon.layoutHash === 'function' ? addon.layoutHash() : undefined;
  if (found === LAYOUT_HASH) return;
  throw addonError(
    `dodici's native addon ${path} does not belong to this version of the package (its layout is ${found ?? 'unknown'}, the package expects ${LAYOUT_HASH}): reinstall dodici or rebuild the addon.`,
  );
}
