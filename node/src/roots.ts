/**
 * The certificates that Node would trust.
 *
 * What lives here: the default roots as PEM text, found the way Node finds them. The session hands
 * them to the engine once, before the first https pool that needs them. It must not know pools.
 *
 * Node 22.15 and later say what they trust, `--use-system-ca` included. On older ones: the bundled
 * roots and the file of `NODE_EXTRA_CA_CERTS`. With `--use-openssl-ca`, OpenSSL's files take the
 * place of the bundled roots; no Node lists them, so they are read here.
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

/** Where systems keep the file that OpenSSL reads when nothing else is said. */
const OPENSSL_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
];

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

/** What Nodes that cannot say it trust. */
function olderNodeRoots(isOpenssl: boolean): readonly string[] {
  const { NODE_EXTRA_CA_CERTS } = process.env;
  const extra = NODE_EXTRA_CA_CERTS ? [readPem(NODE_EXTRA_CA_CERTS)] : [];
  return isOpenssl ? extra : [...tls.rootCertificates, ...extra];
}

/** The default roots: PEM text, one certificate after the other. */
export function defaultRoots(): Buffer {
  const { getCACertificates } = tls as unknown as { getCACertificates?: GetCACertificates };
  const isOpenssl = hasFlag('--use-openssl-ca');
  const roots = getCACertificates?.('default') ?? olderNodeRoots(isOpenssl);
  // Node does not list what OpenSSL reads by itself.
  const all = isOpenssl ? [...roots, ...opensslRoots()] : roots;
  return Buffer.from(all.join('\n'), 'latin1');
}

/** The engine's side of one environment, as the session shows it. */
export interface RootsReceiver {
  readonly addon: NativeAddon;
  readonly environment: NativeEnvironment;
}

const provided = new Set<NativeEnvironment>();

/** Gives the default roots, about 200 KiB of PEM, to the engine, once for each environment. */
export function provideDefaultRoots({ addon, environment }: RootsReceiver): void {
  if (provided.has(environment)) return;
  provided.add(environment);
  addon.setRoots(environment, defaultRoots());
}
