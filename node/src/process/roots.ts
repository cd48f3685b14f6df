/**
 * The certificates that Node would trust.
 *
 * What lives here: the default roots as PEM text, found the way Node finds them, and whether they are
 * still the same. They are handed to the engine before the first https pool that needs them, and
 * again when they have changed. It must not know pools.
 *
 * Node 22.15 and later say what they trust, `--use-system-ca` and `tls.setDefaultCACertificates`
 * included, for each thread. On older ones: the bundled roots and the file of `NODE_EXTRA_CA_CERTS`,
 * which Node reads at its start. With `--use-openssl-ca`, OpenSSL's files take the place of the
 * bundled roots; no Node lists them, so they are read here.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tls from 'node:tls';

import type { NativeAddon, NativeEnvironment } from '../native';
import { nodeFlags } from './node-flags';

/** `tls.getCACertificates` as of Node 22.15; older type packages do not declare it. */
type GetCACertificates = (type: 'default') => string[];

const { getCACertificates } = tls as unknown as { getCACertificates?: GetCACertificates };

// As Node does, when it starts: what is changed later has no effect on it.
const isOpenssl = nodeFlags().includes('--use-openssl-ca');
const extraFile = process.env['NODE_EXTRA_CA_CERTS'];
/** What Node lists with `--use-openssl-ca` as long as nobody has set the roots. */
const unchangedList = isOpenssl ? getCACertificates?.('default') : undefined;

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
    const names = readdirSync(path).filter((name) => HASHED.test(name));
    return names.map((name) => readPem(join(path, name)));
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

/** What Nodes that cannot say it trust. */
function olderNodeRoots(): readonly string[] {
  const extra = extraFile ? [readPem(extraFile)] : [];
  return isOpenssl ? extra : [...tls.rootCertificates, ...extra];
}

/** The default roots: PEM text, one certificate after the other. */
export function defaultRoots(): Buffer {
  const roots = getCACertificates?.('default') ?? olderNodeRoots();
  // Node does not list what OpenSSL reads by itself, unless somebody has said whom to trust instead.
  const isOpensslsChoice = isOpenssl && (unchangedList === undefined || roots === unchangedList);
  const all = isOpensslsChoice ? [...roots, ...opensslRoots()] : roots;
  return Buffer.from(all.join('\n'), 'latin1');
}

/** The engine's side of one environment, as the session shows it. */
export interface RootsReceiver {
  readonly addon: NativeAddon;
  readonly environment: NativeEnvironment;
}

/** Stands for the default roots of this moment: another value as soon as they are others. */
export function rootsNow(): unknown {
  // Node makes the list once, and anew when its roots are set.
  return getCACertificates?.('default') ?? null;
}

/** What each environment was given last. */
const provided = new Map<NativeEnvironment, unknown>();

/** Gives the default roots, about 200 KiB of PEM, to the engine, unless it has them. */
export function provideDefaultRoots({ addon, environment }: RootsReceiver): void {
  const now = rootsNow();
  if (provided.has(environment) && provided.get(environment) === now) return;
  addon.setRoots(environment, defaultRoots());
  provided.set(environment, now);
}
