/**
 * Finds and loads the addon.
 *
 * What lives here: the only place that knows the name of a `.node` file. Called once by the
 * session. It must not know what the addon does.
 *
 * Order: the environment variable `DODICI_ADDON` (a path), then the package of this platform, an optional
 * dependency, then `prebuilds/` in this package, where a build in the repository puts it, then the file
 * `dodici.node` beside a single executable application. Any problem is an error with the code
 * `ERR_DODICI_ADDON` (`explain.ts`).
 *
 * Node's permission model does not restrict native code, so the loader checks the permissions that the
 * addon needs: Node itself rejects addons without `--allow-addons`, and if Node has a network permission,
 * the loader requires it.
 */

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';

import { LAYOUT_HASH } from '../wire';
import type { NativeAddon } from './addon';
import { whyMissing, whyNotLoaded } from './explain';
import { libcOfProcess, packageOf, type Platform, PLATFORMS, platformsOf } from './platform';
import { findMissingBytes } from './truncated';

/** This file: `dist/dodici.js`, or a bundle. Bundles of ES modules have no name for themselves. */
const FILE =
  typeof __filename === 'string' && isAbsolute(__filename) && existsSync(__filename)
    ? __filename
    : undefined;

/**
 * Node's own `require`: bundlers leave it alone. A bundle that cannot name itself is most likely what Node
 * was started with.
 */
const nodeRequire = createRequire(FILE ?? resolve(process.argv[1] ?? 'index.js'));

/** Where `just build` puts the addon. */
const PREBUILT = join(
  dirname(FILE ?? '.'),
  '..',
  'prebuilds',
  `${process.platform}-${process.arch}`,
  'dodici.node',
);

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

/** The executable that this code is a part of, if it is. */
function singleExecutable(): { path: string; by: 'node' | 'pkg' } | undefined {
  const path = process.execPath;
  if ((process as { pkg?: unknown }).pkg !== undefined) return { path, by: 'pkg' };
  // Since Node 20.12.
  const sea = process.getBuiltinModule?.('node:sea') as { isSea(): boolean } | undefined;
  return sea?.isSea() ? { path, by: 'node' } : undefined;
}

/** The addon in the package of `platform`, if it is installed. */
function addonIn(platform: Platform): string | undefined {
  try {
    return nodeRequire.resolve(packageOf(platform));
  } catch {
    return undefined;
  }
}

/** The addon in the package of this platform, if it is installed. */
function installedAddon(): string | undefined {
  const installed = platformsOf(process.platform, process.arch).flatMap((platform) => {
    const path = addonIn(platform);
    return path === undefined ? [] : [{ platform, path }];
  });
  if (installed.length < 2) return installed[0]?.path;
  const libc = libcOfProcess();
  return installed.find(({ platform }) => platform.libc === libc)?.path;
}

/** Path of the addon for this platform; the file may not exist. */
export function addonPath(environment: NodeJS.ProcessEnv = process.env): string {
  const override = environment['DODICI_ADDON'];
  if (override) return resolve(override);
  const executable = singleExecutable();
  const beside = executable ? join(dirname(executable.path), 'dodici.node') : PREBUILT;
  return installedAddon() ?? beside;
}

function explainMissing(): string {
  return whyMissing({
    os: process.platform,
    cpu: process.arch,
    libc: libcOfProcess(),
    installed: PLATFORMS.filter((platform) => addonIn(platform) !== undefined),
    file: FILE,
    bundled: FILE === undefined || basename(FILE) !== 'dodici.js',
    executable: singleExecutable(),
    electron: process.versions['electron'] !== undefined,
    pnp: process.versions['pnp'] !== undefined,
  });
}

/**
 * Loads the addon, that at `named` if there is a name, and checks that it was built from the same schema.
 *
 * @throws Error with the code `ERR_DODICI_ADDON` and a message that says what to do.
 */
export function loadAddon(named: string | undefined = process.env['DODICI_ADDON']): NativeAddon {
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) {
    throw addonError(`dodici supports little-endian machines only, and ${process.arch} is big-endian.`);
  }
  const path = named ? resolve(named) : addonPath();
  checkPermission(path);
  if (!existsSync(path)) {
    throw addonError(
      named ? `dodici has no native addon: ${path} does not exist.` : explainMissing(),
    );
  }
  let addon: NativeAddon;
  checkLength(path);
  try {
    addon = nodeRequire(path) as NativeAddon;
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
    const platform = PLATFORMS.find((one) => one.libc !== undefined && addonIn(one) === path);
    const otherLibc = platform !== undefined && platform.libc !== libcOfProcess();
    throw addonError(whyNotLoaded(path, reason, otherLibc), cause);
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
