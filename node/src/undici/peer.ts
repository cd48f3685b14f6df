/**
 * Loading the peer: `undici`, or an error that says what to install.
 *
 * What lives here: the checks before the peer is used. The build redirects every `import … from 'undici'`
 * of this package here (`scripts/build.mjs`): a bundle loads its imports before it runs. It is CommonJS,
 * because its exports are the peer's, whatever they are.
 */

/** The peer range of `package.json`. */
const PEER_RANGE = '^7.29.0 || ^8.10.0';

/** What to install on this Node: undici 8 needs Node 22.19. */
function toInstall(): string {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 19) ? 'undici' : 'undici@7';
}

/** Converts an error of `require('undici')` to a message that says what to do. */
function explainLoadFailure(cause: unknown): Error {
  const { code, message = String(cause) } = cause as { code?: string; message?: string };
  const missing = code === 'MODULE_NOT_FOUND' && /'undici(?:\/index\.js)?'/.test(message);
  const explained = new Error(
    missing
      ? `dodici needs its peer dependency undici (${PEER_RANGE}), which is not installed: run "npm install ${toInstall()}".`
      : `dodici could not load its peer dependency undici on Node ${process.version} (${message}): install a version that supports this Node, for Node older than 22.19 "npm install undici@7".`,
    { cause },
  );
  return Object.assign(explained, { code: 'ERR_DODICI_PEER' });
}

function readVersion(): string {
  try {
    return (require('undici/package.json') as { version: string }).version;
  } catch {
    return 'unknown';
  }
}

/** Rejects a peer outside the range; package managers only warn. */
function checkVersion(version: string): void {
  const parts = /^(\d+)\.(\d+)\./.exec(version);
  if (parts === null) return;
  const major = Number(parts[1]);
  const minor = Number(parts[2]);
  if ((major === 7 && minor >= 29) || (major === 8 && minor >= 10)) return;
  throw Object.assign(
    new Error(
      `dodici works with undici ${PEER_RANGE}, but undici ${version} is installed: run "npm install ${toInstall()}".`,
    ),
    { code: 'ERR_DODICI_PEER' },
  );
}

// By its file: Bun has its own `undici` under the name. And not in the `try` below, because Rollup takes
// no file into a bundle that is required in one.
const load = (): typeof import('undici') => require('undici/index.js') as typeof import('undici');

function loadPeer(): typeof import('undici') {
  checkVersion(readVersion());
  try {
    return load();
  } catch (cause) {
    throw explainLoadFailure(cause);
  }
}

module.exports = loadPeer();
