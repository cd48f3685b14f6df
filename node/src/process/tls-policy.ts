/**
 * Whether Node's TLS settings include something that the engine cannot follow.
 *
 * What lives here: Node flags that only its OpenSSL supports, and the current defaults of `node:tls`.
 * `peer-reasons.ts` checks this for every request that may use TLS. It must not know pools; what the
 * engine follows itself is in `process-settings.ts`; both are listed in `docs/node-settings.md`.
 */

import { getFips } from 'node:crypto';
import tls = require('node:tls');

import { NODE_FLAGS } from './node-flags';
import { engineOffer } from './tls-offer';

/** Flags for OpenSSL, or for tracing it. */
const FLAGS = /^--(?:trace-tls|openssl-config|openssl-shared-config|enable-fips|force-fips)(?:=|$)/;

/** What Node has read at startup. */
const isStartedSo =
  NODE_FLAGS.some((flag) => FLAGS.test(flag)) ||
  Boolean(process.env['OPENSSL_CONF']) ||
  getFips() !== 0;

/**
 * Whether `crypto.setFips` may have an effect later. With Node's own OpenSSL it takes one of the flags
 * above, and to ask takes longer than all the rest.
 */
const hasSystemsOpenssl = Boolean(
  (process.config.variables as Readonly<Record<string, unknown>>)['node_shared_openssl'],
);

/** Later changes are the peer's: open connections do not follow them, and new ones must. */
const { DEFAULT_CIPHERS, DEFAULT_ECDH_CURVE } = tls;

/** Without a prototype, which may have properties. */
const NONE = Object.create(null) as object;

/** The last answer, by the defaults that it depends on: each TLS request asks. */
let isOffered = false;
let offeredMin: unknown;
let offeredMax: unknown;

function offersDefaults(): boolean {
  const { DEFAULT_MIN_VERSION, DEFAULT_MAX_VERSION } = tls;
  if (offeredMin !== DEFAULT_MIN_VERSION || offeredMax !== DEFAULT_MAX_VERSION) {
    isOffered = engineOffer(NONE) !== null;
    offeredMin = DEFAULT_MIN_VERSION;
    offeredMax = DEFAULT_MAX_VERSION;
  }
  return isOffered;
}

const policy = {};

/** An object if there is such a policy, always the same: the peer reads the settings itself. */
export function tlsPolicy(): object | null {
  const isFollowed =
    !isStartedSo &&
    tls.DEFAULT_CIPHERS === DEFAULT_CIPHERS &&
    tls.DEFAULT_ECDH_CURVE === DEFAULT_ECDH_CURVE &&
    offersDefaults() &&
    !(hasSystemsOpenssl && getFips() !== 0);
  return isFollowed ? null : policy;
}
