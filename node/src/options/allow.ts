/**
 * `connect.allow`: which addresses may be connected to.
 *
 * What lives here: reading the option, asking the rule, its error, and a connector with the rule for the
 * peer's classes. The engine asks about every address before it connects (`lookups.ts`), except with
 * `'public'` alone, for which it needs no JavaScript. It must not know requests.
 */

import dns = require('node:dns');
import { type BlockList, isIP, type LookupFunction } from 'node:net';

import { loadAddon, type NativeAddon } from '../native';
import { type buildConnector, errors, invalid } from '../undici';
import { isListed } from './addresses';
import { type RawOptions, spread } from './own-options';

/** Decides for an IP address, which belongs to a host: a name, or the address itself. */
type AllowFunction = (address: string, host: string) => boolean;

/** The option: public addresses, those in a list, or those for which a function returns true. */
export type AllowRule = 'public' | BlockList | AllowFunction;

const CODE = 'ERR_DODICI_ADDRESS_NOT_ALLOWED';

/** `connect.allow` refuses an address, a Unix socket, or to be passed by. Nothing was sent there. */
export class AddressNotAllowedError extends errors.UndiciError {
  /** undici's errors have such a method, which is inherited. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return (value as { code?: unknown } | null | undefined)?.code === CODE;
  }

  override readonly name = 'AddressNotAllowedError';
  override readonly code = CODE;

  /**
   * `address`: the address, or the path of a Unix socket; `hostname`: the host that it belongs to. Neither
   * if there are several, which are in `errors`, one each.
   */
  constructor(
    message: string,
    readonly address?: string,
    readonly hostname?: string,
    readonly errors?: readonly Error[],
  ) {
    super(message);
  }
}

function refusal(address: string, host: string, why = ''): AddressNotAllowedError {
  const place = address === host ? address : `${address} (${host})`;
  return new AddressNotAllowedError(`connecting to ${place} is not allowed${why}`, address, host);
}

let addon: NativeAddon | undefined;

/**
 * Whether an IP address is public: not loopback, private, link-local, shared, reserved, multicast, or in
 * another way special, nor a form of such an IPv4 address in IPv6. False for anything that is no address.
 */
export function isPublicAddress(address: string): boolean {
  addon ??= loadAddon();
  return addon.isPublic(address);
}

/** @throws InvalidArgumentError for anything that is no rule. */
export function readAllow(value: unknown): AllowRule | null {
  if (value === undefined || value === null) return null;
  const isList = typeof (value as Partial<BlockList>).check === 'function';
  if (value !== 'public' && typeof value !== 'function' && !isList) {
    throw invalid("connect.allow must be 'public', a net.BlockList or a function");
  }
  return value as AllowRule;
}

/**
 * Whether the rule allows an address.
 *
 * @throws AddressNotAllowedError if the function throws, which is then its cause, or returns no boolean.
 */
export function isAllowed(rule: AllowRule, address: string, host: string): boolean {
  if (rule === 'public') return isPublicAddress(address);
  let answer: unknown;
  try {
    answer = typeof rule === 'function' ? rule(address, host) : isListed(rule, address);
  } catch (cause) {
    throw Object.assign(refusal(address, host, ': connect.allow has thrown'), { cause });
  }
  if (typeof answer === 'boolean') return answer;
  const what = answer instanceof Promise ? 'a Promise' : typeof answer;
  throw refusal(address, host, `: connect.allow must return a boolean, not ${what}`);
}

/** The IPv4 address in an IPv4-mapped one, as the engine passes it to a rule; without a zone. */
function canonical(address: string): string {
  const [bare = ''] = address.split('%');
  const { hostname } = new URL(isIP(bare) === 6 ? `http://[${bare}]` : `http://${bare}`);
  const mapped = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname);
  if (mapped === null) return hostname.replace(/^\[|\]$/g, '');
  const [high = 0, low = 0] = mapped.slice(1).map((group) => parseInt(group, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join('.');
}

/** @throws AddressNotAllowedError if the host is an address that the rule does not allow. */
export function checkLiteral(rule: AllowRule | null, host: string): void {
  if (rule === null || isIP(host) === 0) return;
  const address = canonical(host);
  if (!isAllowed(rule, address, host)) throw refusal(address, host);
}

type Found = string | { address: string; family: number }[];

/** A lookup whose addresses the rule allows. */
function checkedLookup(rule: AllowRule, lookup: LookupFunction | undefined): LookupFunction {
  return (host, options, callback) => {
    (lookup ?? dns.lookup)(host, options, ((error: Error | null, found: Found, family: number) => {
      if (error) {
        callback(error, '', family);
        return;
      }
      try {
        const all = Array.isArray(found) ? found : [{ address: found, family }];
        const allowed = all.filter(({ address }) => isAllowed(rule, canonical(address), host));
        const [first] = all;
        if (allowed.length === 0 && first !== undefined) throw refusal(first.address, host);
        callback(null, Array.isArray(found) ? allowed : found, family);
      } catch (failure) {
        callback(failure as NodeJS.ErrnoException, '', family);
      }
    }) as never);
  };
}

/**
 * The connector that `make` makes of these options, and which asks their rule: about a literal address
 * before it connects, and about addresses of a name when it has been looked up.
 */
export function allowingConnector(
  options: RawOptions,
  rule: AllowRule,
  make: (options: RawOptions) => buildConnector.connector,
): buildConnector.connector {
  const lookup = checkedLookup(rule, options['lookup'] as LookupFunction | undefined);
  const connect = make(spread(options, { lookup }));
  const path = (options['path'] ?? options['socketPath']) as string | null | undefined;
  return (place, callback) => {
    try {
      if (path) {
        const message = `connecting to the Unix socket ${path} is not allowed`;
        throw new AddressNotAllowedError(message, path);
      }
      checkLiteral(rule, place.hostname);
    } catch (error) {
      queueMicrotask(() => callback(error as Error, null));
      return;
    }
    connect(place, callback);
  };
}
