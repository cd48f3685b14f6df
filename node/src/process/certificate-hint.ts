/**
 * What Node adds to its messages about certificates.
 *
 * What lives here: the hint, and when Node gives it. The decoder of the engine's errors calls this. It must
 * not know errors.
 */

import { NODE_FLAGS } from './node-flags';

const HINT = '; if the root CA is installed locally, try running Node.js with --use-system-ca';

const { versions } = process as { versions: Partial<Record<string, string>> };
const [major = 0, minor = 0] = (versions['node'] ?? '').split('.').map(Number);
/** Since Node 23.11; others name their version of Node's interfaces, but have their own messages. */
const isGiven =
  (major > 23 || (major === 23 && minor >= 11)) &&
  versions['bun'] === undefined &&
  versions['deno'] === undefined;

const usesSystemCa = NODE_FLAGS.includes('--use-system-ca');

/** The hint for an error with this code; empty for others. */
export function certificateHint(code: string | undefined): string {
  if (!isGiven) return '';
  switch (code) {
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
      return HINT;
    // Node looks at its option for this one only.
    case 'UNABLE_TO_GET_ISSUER_CERT':
      return usesSystemCa ? '' : HINT;
    default:
      return '';
  }
}
