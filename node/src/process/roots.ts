/**
 * Node's default root certificates.
 *
 * What lives here: the default roots as PEM text, located like Node does, and whether they have changed.
 * They are passed to the engine before the first https pool that needs them, and again when they have
 * changed. It must not know pools.
 *
 * Node 22.15 and later list what they trust per thread, including `--use-system-ca` and
 * `tls.setDefaultCACertificates`. On older ones: the bundled roots and the file of
 * `NODE_EXTRA_CA_CERTS`, which Node reads at startup. With `--use-openssl-ca`, OpenSSL's files replace
 * the bundled roots; no Node lists them, so they are read here.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import tls = require('node:tls');

import type { NativeAddon, NativeEnvironment } from '../native';
import { NODE_FLAGS } from './node-flags';

/** `tls.getCACertificates` as of Node 22.15; older type packages do not declare it. */
type GetCACertificates = (type: 'default') => string[];

const { getCACertificates } = tls as unknown as { getCACertificates?: GetCACertificates };

// At startup, like Node: later changes have no effect.
const isOpenssl = NODE_FLAGS.includes('--use-openssl-ca');
const extraFile = process.env['NODE_EXTRA_CA_CERTS'];
/** What Node lists with `--use-openssl-ca` unless the roots were set. */
const unchangedList = isOpenssl ? getCACertificates?.('default') : undefined;

/** An unreadable file adds nothing: Node itself warns at startup. */
function readPem(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function readDirectory(path: string): string[] {
  try {
    const names = readdirSync(path).filter((name) => HASHED.test(name));
    return names.map((name) => readPem(join(path, name)));
  } catch {
    return [];
  }
}

/** Default locations of the file that OpenSSL reads. */
const OPENSSL_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
];

/** OpenSSL finds certificates in a directory by the hash of their names. */
const HASHED = /^[0-9a-f]{8}\.\d+$/;

/** What OpenSSL would trust: the file and directories of its environment variables, or the system's. */
function opensslRoots(): string[] {
  const { SSL_CERT_FILE, SSL_CERT_DIR } = process.env;
  if (!SSL_CERT_FILE && !SSL_CERT_DIR) {
    return [OPENSSL_FILES.map(readPem).find((pem) => pem !== '') ?? ''];
  }
  const separator = process.platform === 'win32' ? ';' : ':';
  const directories = SSL_CERT_DIR ? SSL_CERT_DIR.split(separator) : [];
  const file = SSL_CERT_FILE ? [readPem(SSL_CERT_FILE)] : [];
  return [...file, ...directories.flatMap(readDirectory)];
}

/** The roots of Node versions that cannot list them. */
function olderNodeRoots(): readonly string[] {
  const extra = extraFile ? [readPem(extraFile)] : [];
  return isOpenssl ? extra : [...tls.rootCertificates, ...extra];
}

/** The default roots: PEM text, one certificate after the other. */
export function defaultRoots(): Buffer {
  const roots = getCACertificates?.('default') ?? olderNodeRoots();
  // Node does not list what OpenSSL reads, unless the roots were set explicitly.
  const isOpensslsChoice = isOpenssl && (unchangedList === undefined || roots === unchangedList);
  const all = isOpensslsChoice ? [...roots, ...opensslRoots()] : roots;
  return Buffer.from(all.join('\n'), 'latin1');
}

/** The native environment, as exposed by the session. */
export interface RootsReceiver {
  readonly addon: NativeAddon;
  readonly environment: NativeEnvironment;
}

/** Identifies the current default roots: a different value when they change. */
export function rootsNow(): unknown {
  // Node creates the list once, and again when its roots are set.
  return getCACertificates?.('default') ?? null;
}

/** What each environment was last given. */
const provided = new Map<NativeEnvironment, unknown>();

/** Passes the default roots, about 200 KiB of PEM, to the engine, unless it has them. */
export function provideDefaultRoots({ addon, environment }: RootsReceiver): void {
  const now = rootsNow();
  if (provided.has(environment) && provided.get(environment) === now) return;
  addon.setRoots(environment, defaultRoots());
  provided.set(environment, now);
}
