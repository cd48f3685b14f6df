// The compared clients by name, with kind and module. loads.mjs says which
// load compares whom; lib/clients.mjs opens them, in another process.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BENCH, ours, peer } from './paths.mjs';

/** Ours, and the one that targets refer to. */
export const OURS = 'dodici';
export const THEIRS = 'undici';

/** Name → kind of lib/clients.mjs, and the npm package unless it is built into Node. */
const PEERS = {
  [OURS]: { kind: 'pool', ours: true },
  'dodici Agent': { kind: 'agent', ours: true },
  [THEIRS]: { kind: 'pool', package: 'undici' },
  'undici Agent': { kind: 'agent', package: 'undici' },
  'undici 7': { kind: 'pool', package: 'undici7' },
  node: { kind: 'node' },
  'built-in fetch': { kind: 'fetch' },
  axios: { kind: 'axios', package: 'axios' },
  got: { kind: 'got', package: 'got' },
  'node-fetch': { kind: 'node-fetch', package: 'node-fetch' },
  impit: { kind: 'impit', package: 'impit' },
  'wreq-js': { kind: 'wreq-js', package: 'wreq-js' },
};

/** The clients of the fetch loads, for bench/fetch.mjs. */
const FETCHES = {
  'dodici fetch': { kind: 'fetch', ours: true },
  'undici fetch': { kind: 'fetch', package: 'undici' },
  'dodici request': { kind: 'request', ours: true },
  'undici request': { kind: 'request', package: 'undici' },
  'Node fetch': { kind: 'global' },
  'Bun fetch': { kind: 'global', runtime: 'bun', args: ['run'] },
  'Deno fetch': { kind: 'global', runtime: 'deno', args: ['run', '-A'] },
  'axios over HTTP': { kind: 'axios', package: 'axios' },
  ky: { kind: 'ky', package: 'ky' },
};

/** All names. */
export const ALL = Object.keys(PEERS);
/** Those of the fetch loads. */
export const ALL_FETCHES = Object.keys(FETCHES);
/** Ours where the others read a coded body beside the load, and it one of the same bytes uncoded. */
export const BESIDE_PLAIN = 'dodici fetch, uncoded';
/** The two that its targets compare. */
export const BOTH_FETCHES = ['undici fetch', 'dodici fetch'];
/** The other one that some refer to. */
export const BUN = 'Bun fetch';
/** The two of most loads. */
export const BOTH = [THEIRS, OURS];

/**
 * A client by its name.
 *
 * @param {string} name
 * @param {{ ours?: string, theirs?: string }} [modules] instead of node/dist and undici 8.13
 * @returns {import('./compare.mjs').Compared}
 */
export function compared(name, modules = {}) {
  if (name === BESIDE_PLAIN) {
    return { ...compared('dodici fetch', modules), name, args: ['--beside', '/100m'] };
  }
  const { kind, ours: isOurs, package: from, runtime, args } = PEERS[name] ?? FETCHES[name];
  if (isOurs) return { name, kind, module: modules.ours ?? ours() };
  if (runtime) return { name, kind, runtime: otherRuntime(runtime), runtimeArgs: args };
  if (from === 'undici' && modules.theirs) return { name, kind, module: modules.theirs };
  return { name, kind, module: from === undefined ? undefined : peer(from) };
}

/** The program of an npm package that is a runtime. @param {string} name */
function otherRuntime(name) {
  const binary = join(BENCH, 'node_modules', '.bin', name);
  if (!existsSync(binary)) throw new Error(`${name} is not installed: run "just build-bench"`);
  return binary;
}

/** Versions of the compared packages. */
export function versions() {
  return Object.fromEntries(
    Object.entries({ ...PEERS, ky: FETCHES.ky }).flatMap(([name, { package: from }]) =>
      from === undefined || name.endsWith('Agent') ? [] : [[name, version(peer(from))]],
    ),
  );
}

/** Version in the nearest package.json that has one. @param {string} file */
function version(file) {
  for (let place = dirname(file); place !== dirname(place); place = dirname(place)) {
    const manifest = join(place, 'package.json');
    const found = existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version;
    if (found) return found;
  }
  return 'unknown';
}
