/**
 * Validation of certificates and keys when a dispatcher is constructed.
 *
 * What lives here: asking the addon whether it can use `connect.ca`, `cert`, `key` and `passphrase`. The
 * constructors of `Client`, `Pool` and `Agent` call it. undici notices at the first connection, and
 * fails every request; here it is an error of the constructor, like every other invalid option.
 */

import { decodeError } from '../connection';
import { loadAddon, type NativeAddon } from '../native';
import { type ConnectSettings, encodeCredentials } from '../options';

/** The last valid ones: an `Agent` repeatedly creates pools with the same options. */
let usable: Buffer | undefined;

/**
 * Validates what only the engine can.
 *
 * Without an addon nothing can be validated; the first request reports that it is missing.
 *
 * @throws InvalidArgumentError naming the option.
 */
export function checkCredentials(connect: ConnectSettings): void {
  if (connect.ca === null && connect.cert === null) return;
  const options = encodeCredentials(connect);
  if (usable?.equals(options)) return;
  let addon: NativeAddon;
  try {
    addon = loadAddon();
  } catch {
    return;
  }
  const problem = addon.checkOptions(options, options.byteLength);
  if (problem) throw decodeError(problem, 0, problem.byteLength);
  usable = options;
}
