/**
 * The `timings` option of dispatchers: whether requests are timed.
 *
 * What lives here: reading it. The constructors call it. It must not know what is timed.
 */

import { invalid } from '../undici';

/**
 * The option's value; `null` if it is not given: those requests whose timings somebody wants to know.
 *
 * @throws InvalidArgumentError
 */
export function readTimings(value: unknown): boolean | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'boolean') throw invalid('timings must be a boolean');
  return value;
}
