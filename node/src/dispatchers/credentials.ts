/**
 * Certificates and keys, judged when a dispatcher is constructed.
 *
 * What lives here: the question to the addon whether it can use `connect.ca`, `cert`, `key` and
 * `passphrase`. The constructors of `Client`, `Pool` and `Agent` ask it. undici notices with the
 * first connection, and fails every request; here it is an error of the constructor, like every
 * other option that cannot be honoured.
 */

import { decodeError } from '../connection';
import { loadAddon, type NativeAddon } from '../native';
import { type ConnectSettings, encodeCredentials } from '../options';

/** What was found usable last: an `Agent` makes pools of the same options again and again. */
let usable: Buffer | undefined;

/**
 * Checks what only the engine can.
 *
 * Without an addon there is nothing to ask, and the first request says that it is missing.
 *
 * @throws InvalidArgumentError that names the option.
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
  const refused = addon.checkOptions(options, options.byteLength);
  if (refused) throw decodeError(refused, 0, refused.byteLength);
  usable = options;
}
