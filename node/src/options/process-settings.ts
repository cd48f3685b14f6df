/**
 * Process- and thread-wide settings of Node that connections follow.
 *
 * What lives here: the current settings, how they supply defaults for `connect`, and whether one has
 * changed since the engine was last updated. Options are resolved when a pool configures the engine, and
 * again when a setting has changed: as with Node's sockets, the settings at the time a connection is
 * opened apply to it. It must not know pools. The complete list, including what the peer's class serves
 * instead: `docs/node-settings.md`.
 */

import dns = require('node:dns');
import {
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  type LookupFunction,
} from 'node:net';
import tls = require('node:tls');

import { type EngineOffer, engineOffer, rootsNow } from '../process';
import type { ConnectSettings } from './connect-options';

/** Options of `connect` with process-wide defaults; TLS's follow `--tls-cipher-list` and the like. */
interface Open extends EngineOffer {
  readonly autoSelectFamily: boolean;
  readonly autoSelectFamilyAttemptTimeout: number;
  readonly rejectUnauthorized: boolean;
}

/** `ConnectSettings` with all defaults resolved. */
export type SettledConnect = Omit<ConnectSettings, keyof Open> & Open;

/** Where only the peer can serve: connections fail, should one be opened. */
const NOTHING: EngineOffer = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  cipherSuites: [],
  groups: [],
  signatureSchemes: [],
};

/** Resolves the defaults of `connect` with the current settings. */
export function settle(connect: ConnectSettings): SettledConnect {
  return {
    ...connect,
    autoSelectFamily: connect.autoSelectFamily ?? getDefaultAutoSelectFamily(),
    autoSelectFamilyAttemptTimeout:
      connect.autoSelectFamilyAttemptTimeout ?? getDefaultAutoSelectFamilyAttemptTimeout(),
    rejectUnauthorized: connect.rejectUnauthorized ?? verifiesByDefault(),
    ...(engineOffer(connect.offer) ?? NOTHING),
  };
}

/** Order of the addresses returned by the system's resolver. */
export type ResultOrder = 'verbatim' | 'ipv4first' | 'ipv6first';

export function resultOrder(): ResultOrder {
  // Missing in Bun, which uses the system's order.
  return (dns.getDefaultResultOrder as (() => ResultOrder) | undefined)?.() ?? 'verbatim';
}

const { lookup: nodesLookup } = dns;

/** A replaced `dns.lookup`; `null` if it is Node's. */
export function replacedLookup(): LookupFunction | null {
  const { lookup } = dns;
  return lookup === nodesLookup ? null : lookup;
}

/** The value of `NODE_TLS_REJECT_UNAUTHORIZED`. */
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

/** Whether this TLS configuration needs Node's default roots. */
export function trustsDefaultRoots(connect: ConnectSettings): boolean {
  return connect.ca === null && !connect.platformVerifier && settle(connect).rejectUnauthorized;
}

/**
 * The settings that the engine was last updated with; one per session.
 *
 * Checked before each request that may need a connection, so the most expensive one, the environment
 * (0.5 µs), is read only if a TLS pool does not set the option.
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

  /** Whether there have been TLS pools, and TLS pools that trust the default roots. */
  #isTls = false;
  #isRooted = false;

  constructor() {
    this.accept();
  }

  /** A pool with these TLS configurations exists: settings that only such pools follow matter now. */
  watch(ways: readonly ConnectSettings[]): void {
    const isTls = this.#isTls || ways.length > 0;
    const isRooted = this.#isRooted || ways.some(trustsDefaultRoots);
    if (isTls === this.#isTls && isRooted === this.#isRooted) return;
    this.#isTls = isTls;
    this.#isRooted = isRooted;
    this.accept();
  }

  /** Whether a setting has changed since the last `accept`. */
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

  /** The engine was updated with the current settings. */
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
