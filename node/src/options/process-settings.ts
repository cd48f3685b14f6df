/**
 * What Node lets a program set for a process or a thread, and connections follow.
 *
 * What lives here: these settings as they are now, how they fill in what `connect` leaves open, and
 * whether one has changed since the engine was told. Options are settled when a pool tells the engine
 * how to connect, and again when something here has changed: as with Node's sockets, what is set when
 * a connection is made holds for it. It must not know pools. The whole list, also of what the peer's
 * class serves instead: `docs/node-settings.md`.
 */

import dns from 'node:dns';
import {
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  type LookupFunction,
} from 'node:net';
import tls from 'node:tls';

import { rootsNow } from '../process';
import type { ConnectSettings, TlsVersion } from './connect-options';

/** What `connect` may leave open. */
interface Open {
  readonly autoSelectFamily: boolean;
  readonly autoSelectFamilyAttemptTimeout: number;
  readonly rejectUnauthorized: boolean;
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
}

/** `ConnectSettings` with nothing left open. */
export type SettledConnect = Omit<ConnectSettings, keyof Open> & Open;

/** Fills in what `connect` leaves open with what holds now. */
export function settle(connect: ConnectSettings): SettledConnect {
  return {
    ...connect,
    autoSelectFamily: connect.autoSelectFamily ?? getDefaultAutoSelectFamily(),
    autoSelectFamilyAttemptTimeout:
      connect.autoSelectFamilyAttemptTimeout ?? getDefaultAutoSelectFamilyAttemptTimeout(),
    rejectUnauthorized: connect.rejectUnauthorized ?? verifiesByDefault(),
    // They move with --tls-min-v1.3 and --tls-max-v1.2. Where Node's are older than what the engine
    // speaks, the peer's class serves.
    minVersion:
      connect.minVersion ?? (tls.DEFAULT_MIN_VERSION === 'TLSv1.3' ? 'TLSv1.3' : 'TLSv1.2'),
    maxVersion:
      connect.maxVersion ?? (tls.DEFAULT_MAX_VERSION === 'TLSv1.2' ? 'TLSv1.2' : 'TLSv1.3'),
  };
}

/** Order of the addresses that the system's resolver finds. */
export type ResultOrder = 'verbatim' | 'ipv4first' | 'ipv6first';

export function resultOrder(): ResultOrder {
  // Missing in Bun, which lists addresses as the system does.
  return (dns.getDefaultResultOrder as (() => ResultOrder) | undefined)?.() ?? 'verbatim';
}

const { lookup: nodesLookup } = dns;

/** The function that somebody has put in the place of `dns.lookup`; `null` if it is Node's. */
export function replacedLookup(): LookupFunction | null {
  const { lookup } = dns;
  return lookup === nodesLookup ? null : lookup;
}

/** What `NODE_TLS_REJECT_UNAUTHORIZED` says. */
function verifiesByDefault(): boolean {
  return process.env['NODE_TLS_REJECT_UNAUTHORIZED'] !== '0';
}

let hasWarned = false;

/** Warns once, as Node does, that the environment turns verification off. */
export function warnIfUnverified({ rejectUnauthorized }: SettledConnect): void {
  if (hasWarned || rejectUnauthorized || verifiesByDefault()) return;
  hasWarned = true;
  process.emitWarning(
    "The environment variable NODE_TLS_REJECT_UNAUTHORIZED is '0': TLS connections are insecure, as certificates are not verified.",
  );
}

/** Whether this way over TLS needs to know whom Node trusts by default. */
export function trustsDefaultRoots(connect: ConnectSettings): boolean {
  return connect.ca === null && !connect.platformVerifier && settle(connect).rejectUnauthorized;
}

/**
 * The settings that the engine has been told of; one for each session.
 *
 * Asked before each request that may need a connection, so what costs most, the environment (0.5 µs),
 * is looked at only where a pool over TLS leaves its option open.
 */
export class ProcessSettings {
  #verifies = true;
  #roots: unknown = null;
  #minVersion: unknown = null;
  #maxVersion: unknown = null;
  #lookup: unknown = null;
  #order: unknown = null;
  #family: unknown = null;
  #attemptTimeout: unknown = null;

  /** Which pools there have been: over TLS, and of these such as trust the default roots. */
  #isTls = false;
  #isRooted = false;

  constructor() {
    this.accept();
  }

  /** A pool with these ways over TLS exists: what only such pools follow counts from now on. */
  watch(ways: readonly ConnectSettings[]): void {
    const isTls = this.#isTls || ways.length > 0;
    const isRooted = this.#isRooted || ways.some(trustsDefaultRoots);
    if (isTls === this.#isTls && isRooted === this.#isRooted) return;
    this.#isTls = isTls;
    this.#isRooted = isRooted;
    this.accept();
  }

  /** Whether something is not as it was at the last `accept`. */
  hasChanged(): boolean {
    return (
      this.#lookup !== dns.lookup ||
      this.#order !== resultOrder() ||
      this.#family !== getDefaultAutoSelectFamily() ||
      this.#attemptTimeout !== getDefaultAutoSelectFamilyAttemptTimeout() ||
      (this.#isTls &&
        (this.#minVersion !== tls.DEFAULT_MIN_VERSION ||
          this.#maxVersion !== tls.DEFAULT_MAX_VERSION ||
          (this.#isRooted && this.#roots !== rootsNow()) ||
          this.#verifies !== verifiesByDefault()))
    );
  }

  /** The engine knows what holds now. */
  accept(): void {
    this.#lookup = dns.lookup;
    this.#order = resultOrder();
    this.#family = getDefaultAutoSelectFamily();
    this.#attemptTimeout = getDefaultAutoSelectFamilyAttemptTimeout();
    if (!this.#isTls) return;
    this.#minVersion = tls.DEFAULT_MIN_VERSION;
    this.#maxVersion = tls.DEFAULT_MAX_VERSION;
    if (this.#isRooted) this.#roots = rootsNow();
    this.#verifies = verifiesByDefault();
  }
}
