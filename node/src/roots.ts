/**
 * The certificates that Node would trust.
 *
 * What lives here: the default roots as PEM text, found the way Node finds them. The session hands
 * them to the engine once, before the first https pool that needs them. It must not know pools.
 *
 * Node 22.15 and later say what they trust. On older ones: the bundled roots (or, with
 * `--use-openssl-ca`, the files of `SSL_CERT_FILE` and `SSL_CERT_DIR`), and the file of
 * `NODE_EXTRA_CA_CERTS`. `--use-system-ca` without Node's help is out of reach here: the engine's
 * platform verifier (`connect: { platformVerifier: true }`) is the way.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tls from 'node:tls';

import type { NativeAddon, NativeEnvironment } from './native/addon';

/** `tls.getCACertificates` as of Node 22.15; older type packages do not declare it. */
type GetCACertificates = (type: 'default') => string[];

function hasFlag(flag: string): boolean {
  const inOptions = (process.env['NODE_OPTIONS'] ?? '').split(/\s+/).includes(flag);
  return inOptions || process.execArgv.includes(flag);
}

/** A file that cannot be read adds nothing: Node warns of it itself when it starts. */
function readPem(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function readDirectory(path: string): string[] {
  try {
    return readdirSync(path).map((name) => readPem(join(path, name)));
  } catch {
    return [];
  }
}

/** What OpenSSL would trust: its file and its directory, from the environment. */
function opensslRoots(): string[] {
  const { SSL_CERT_FILE, SSL_CERT_DIR } = process.env;
  const files = SSL_CERT_FILE ? [readPem(SSL_CERT_FILE)] : [];
  const directories = SSL_CERT_DIR
    ? SSL_CERT_DIR.split(process.platform === 'win32' ? ';' : ':')
    : [];
  return [...files, ...directories.flatMap(readDirectory)];
}

function olderNodeRoots(): readonly string[] {
  const openssl = hasFlag('--use-openssl-ca') ? opensslRoots() : [];
  const roots = openssl.some((pem) => pem.includes('-----BEGIN ')) ? openssl : tls.rootCertificates;
  const { NODE_EXTRA_CA_CERTS } = process.env;
  return NODE_EXTRA_CA_CERTS ? [...roots, readPem(NODE_EXTRA_CA_CERTS)] : roots;
}

/** The default roots: PEM text, one certificate after the other. */
export function defaultRoots(): Buffer {
  const { getCACertificates } = tls as unknown as { getCACertificates?: GetCACertificates };
  const roots = getCACertificates === undefined ? olderNodeRoots() : getCACertificates('default');
  return Buffer.from(roots.join('\n'), 'latin1');
}

/** The engine's side of one environment, as the session shows it. */
export interface RootsReceiver {
  readonly addon: NativeAddon;
  readonly environment: NativeEnvironment;
}

const provided = new WeakSet<NativeEnvironment>();

/** Gives the default roots, about 200 KiB of PEM, to the engine, once for each environment. */
export function provideDefaultRoots({ addon, environment }: RootsReceiver): void {
  if (provided.has(environment)) return;
  provided.add(environment);
  addon.setRoots(environment, defaultRoots());
}
