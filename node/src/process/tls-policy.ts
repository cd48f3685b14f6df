/**
 * Whether a process or a thread has set Node's TLS to what the engine's cannot follow.
 *
 * What lives here: flags of Node that its OpenSSL alone understands, and the defaults of `node:tls` as
 * they are now. `peer-reasons.ts` asks for every request that may go over TLS. It must not know pools;
 * what the engine follows by itself stands in `process-settings.ts`, both in `docs/node-settings.md`.
 */

import { constants, getFips } from 'node:crypto';
import tls from 'node:tls';

import { nodeFlags } from './node-flags';

/** Flags for OpenSSL, or for whoever wants to see what it does. */
const FLAGS =
  /^--(?:tls-keylog|trace-tls|openssl-config|openssl-shared-config|enable-fips|force-fips)(?:=|$)/;

/** What Node has read at its start. */
const isStartedSo =
  nodeFlags().some((flag) => FLAGS.test(flag)) ||
  Boolean(process.env['OPENSSL_CONF']) ||
  getFips() !== 0;

/**
 * Whether `crypto.setFips` may have an effect later. With Node's own OpenSSL it takes one of the flags
 * above, and to ask takes longer than all the rest.
 */
const hasSystemsOpenssl = Boolean(
  (process.config.variables as Readonly<Record<string, unknown>>)['node_shared_openssl'],
);

const { versions } = process as { versions: Partial<Record<string, string>> };
/** Others have no list of their own to compare with. */
const isNode = versions['bun'] === undefined && versions['deno'] === undefined;
const nodesCiphers = isNode ? constants.defaultCoreCipherList : tls.DEFAULT_CIPHERS;
const nodesCurve = isNode ? 'auto' : tls.DEFAULT_ECDH_CURVE;

const SPOKEN = new Set<unknown>(['TLSv1.2', 'TLSv1.3']);

const policy = {};

/** An object if there is such a policy, always the same: the peer reads what it says by itself. */
export function tlsPolicy(): object | null {
  const isFollowed =
    !isStartedSo &&
    tls.DEFAULT_CIPHERS === nodesCiphers &&
    tls.DEFAULT_ECDH_CURVE === nodesCurve &&
    SPOKEN.has(tls.DEFAULT_MIN_VERSION) &&
    SPOKEN.has(tls.DEFAULT_MAX_VERSION) &&
    !(hasSystemsOpenssl && getFips() !== 0);
  return isFollowed ? null : policy;
}
