/**
 * The public type of a request's options that undici's types do not have.
 *
 * What lives here: types only. Every function that sends a request takes them.
 */

import type { DecompressOption } from '../options';
import type { RequestTimings } from './timings';

/** Options of a single request that undici's types do not have. */
export interface OwnRequestOptions {
  /** Takes precedence over the dispatcher's. */
  decompress?: DecompressOption | null;
  /** Takes precedence over the dispatcher's; 0: no limit. Milliseconds. */
  totalTimeout?: number | null;
  /** Takes precedence over the dispatcher's; 0: no minimum. Bytes per second. */
  minBodyRate?: number | null;
  /**
   * Whether the request is timed, or a function that gets its timings when it has ended, but not if
   * undici serves it. Takes precedence over the dispatcher's.
   */
  timings?: boolean | ((timings: RequestTimings) => void) | null;
  /** Takes precedence over that of the `Agent`, also for single origins; others ignore it. */
  allowH3?: boolean | null;
  /** HTTP/3 only; of an `Agent`, others ignore it. */
  h3?: 'prior-knowledge' | null;
}
