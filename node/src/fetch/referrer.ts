/**
 * The `Referer` of a request.
 *
 * What lives here: applying a referrer policy to a referrer (Referrer Policy, "determine request's
 * referrer"). It must not know requests. The referrer `client` means none: Node has no document.
 */

import { Target } from './target';

/** Longer referrers are reduced to their origin, as in the standard. In characters. */
const LONGEST = 4096;

/** The standard's default. */
const DEFAULT_POLICY = 'strict-origin-when-cross-origin';

/** The `Referer` to send for `referrer`, or `null` for none. */
export function refererFor(referrer: URL, policy: string, target: Target): string | null {
  const from = new Target(referrer);
  if (!from.isHttp) return null;
  const origin = `${from.origin}/`;
  const plain = new URL(from.href);
  plain.username = '';
  plain.password = '';
  const full = plain.href.length > LONGEST ? origin : plain.href;
  const isSame = from.origin === target.origin;
  const isDowngrade = from.isTrustworthy && !target.isTrustworthy;
  switch (policy || DEFAULT_POLICY) {
    case 'no-referrer':
      return null;
    case 'origin':
      return origin;
    case 'unsafe-url':
      return full;
    case 'strict-origin':
      return isDowngrade ? null : origin;
    case 'same-origin':
      return isSame ? full : null;
    case 'origin-when-cross-origin':
      return isSame ? full : origin;
    case 'no-referrer-when-downgrade':
      return isDowngrade ? null : full;
    default:
      if (isSame) return full;
      return isDowngrade ? null : origin;
  }
}

const POLICIES = new Set([
  'no-referrer',
  'no-referrer-when-downgrade',
  'same-origin',
  'origin',
  'strict-origin',
  'origin-when-cross-origin',
  'strict-origin-when-cross-origin',
  'unsafe-url',
]);

/** Whether this is a valid `init.referrerPolicy`. */
export function isPolicy(policy: unknown): boolean {
  return policy === '' || POLICIES.has(policy as string);
}

/** The policy in a response's `referrer-policy`: the last known one; `null` for none. */
export function policyOf(value: string | null): string | null {
  const tokens = value?.split(',').map((token) => token.trim()) ?? [];
  return tokens.findLast((token) => POLICIES.has(token)) ?? null;
}
