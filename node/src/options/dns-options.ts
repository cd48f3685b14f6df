/**
 * The `dns` option: how long names that the engine has looked up are kept.
 *
 * What lives here: validation and defaults, and clearing. The names themselves are in the engine, once for
 * the process. It must not know `connect.lookup`, whose answers are not kept.
 */

import { loadAddon } from '../native';
import { invalid } from '../undici';
import type { DnsOptions } from './generated';
import { isAbsent, ownOptions } from './own-options';

/** The option with its defaults; times are milliseconds. */
export type DnsSettings = Readonly<Required<DnsOptions>>;

/**
 * The option's value; `null` if it is not given.
 *
 * @throws InvalidArgumentError
 */
export function readDns(value: unknown): DnsSettings | null {
  if (isAbsent(value)) return null;
  if (typeof value !== 'object' || Array.isArray(value)) throw invalid('dns must be an object');
  const given = ownOptions(value);
  const read = (name: string, fallback: number, isValid: (number: number) => boolean): number => {
    const number = given[name] ?? fallback;
    if (Number.isFinite(number) && isValid(number as number)) return number as number;
    throw invalid(`invalid dns.${name}`);
  };
  return {
    ttl: read('ttl', 10_000, (time) => time > 0),
    staleTtl: read('staleTtl', 0, (time) => time >= 0),
    negativeTtl: read('negativeTtl', 0, (time) => time >= 0),
    maxEntries: read('maxEntries', 1_000, (count) => Number.isInteger(count) && count >= 1),
  };
}

/** The option as the engine reads it. */
export function encodeDns({ ttl, staleTtl, negativeTtl, maxEntries }: DnsSettings): Uint8Array {
  return new Uint8Array(Float64Array.of(ttl, staleTtl, negativeTtl, maxEntries).buffer);
}

/** Forgets all names that were kept for `dns`: the next connection looks them up. */
export function clearDnsCache(): void {
  loadAddon().clearDnsCache();
}
