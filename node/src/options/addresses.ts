/**
 * Addresses of hosts: what a lookup may return, and which of them may be connected to.
 *
 * What lives here: Node's checks of both, and those of `connect.blockList` where the peer serves over TLS,
 * which ignores the list. It must not know who looks up.
 */

import dns = require('node:dns');
import { type BlockList, isIP, type LookupFunction } from 'node:net';

import { buildConnector } from '../undici';
import { ownOptions, spread } from './own-options';

type Options = Readonly<Record<string, unknown>>;

function nodeError(Class: typeof Error, code: string, message: string): Error {
  return Object.assign(new Class(message), { code });
}

/** The addresses of a result, validated like Node does. */
export function readAddresses(address: unknown, family: unknown): string[] {
  if (Array.isArray(address)) {
    const entries = address as ({ address?: unknown; family?: unknown } | null | undefined)[];
    // As in Node, invalid addresses are skipped, unless none are left.
    const texts = entries.map((entry) => String(entry?.address));
    const valid = texts.filter((text) => isIP(text) !== 0);
    if (valid.length > 0 || entries.length === 0) return valid;
    return readAddresses(entries[0]?.address, entries[0]?.family);
  }
  if (typeof address !== 'string' || isIP(address) === 0) {
    const text = `Invalid IP address: ${String(address)}`;
    throw nodeError(TypeError, 'ERR_INVALID_IP_ADDRESS', text);
  }
  if (family !== 4 && family !== 6 && family !== 'IPv4' && family !== 'IPv6') {
    const text = `Invalid address family: ${String(family)}`;
    throw nodeError(RangeError, 'ERR_INVALID_ADDRESS_FAMILY', text);
  }
  return [address];
}

/** Node's error. */
export function blocked(address: string): Error {
  return nodeError(Error, 'ERR_IP_BLOCKED', `IP(${address}) is blocked by net.BlockList`);
}

/** Whether a list contains an address, which may have a zone. */
export function isListed(list: BlockList, address: string): boolean {
  const [bare = ''] = address.split('%');
  return list.check(bare, isIP(bare) === 6 ? 'ipv6' : 'ipv4');
}

/** The addresses that may be connected to. Throws Node's error if there are none. */
function unblocked(addresses: string[], blockList: BlockList): string[] {
  const free = addresses.filter((address) => !isListed(blockList, address));
  if (free.length > 0 || addresses.length === 0) return free;
  const failures = addresses.map(blocked);
  if (failures.length === 1) throw failures[0] as Error;
  throw Object.assign(new AggregateError(failures), { code: 'ERR_IP_BLOCKED' });
}

/** A lookup that only returns addresses that may be connected to. */
function unblockedLookup({ lookup, blockList }: Options): LookupFunction {
  return (host, options, callback) => {
    const resolve = (lookup ?? dns.lookup) as LookupFunction;
    resolve(host, options, (error, address, family) => {
      let found: { address: string; family: number }[] = [];
      let failure = error;
      try {
        const free = error ? [] : unblocked(readAddresses(address, family), blockList as BlockList);
        found = free.map((text) => ({ address: text, family: text.includes(':') ? 6 : 4 }));
      } catch (refusal) {
        failure = refusal as NodeJS.ErrnoException;
      }
      const [first] = found;
      if (failure || options.all) callback(failure, found);
      else callback(null, first?.address ?? '', first?.family);
    });
  };
}

/** Whether the options have a list that Node's TLS would ignore. */
export function blocksAddresses({ blockList }: Options): boolean {
  return typeof (blockList as Partial<BlockList> | null | undefined)?.check === 'function';
}

/**
 * `proxyTls` for the peer's agent.
 *
 * @throws Node's error if the proxy's own address is blocked.
 */
export function unblockedProxyTls(proxyTls: unknown, host: string): unknown {
  const options = ownOptions(proxyTls);
  if (!blocksAddresses(options)) return proxyTls;
  if (isIP(host) !== 0) unblocked([host], options['blockList'] as BlockList);
  return spread(options, { lookup: unblockedLookup(options) });
}

/** undici's connector with these options, which never connects to a blocked address. */
export function blockingConnector(options: Options): buildConnector.connector {
  const connect = buildConnector(spread(options, { lookup: unblockedLookup(options) }));
  if (options['path'] ?? options['socketPath']) return connect;
  return (given, callback) => {
    try {
      if (isIP(given.hostname) !== 0)
        unblocked([given.hostname], options['blockList'] as BlockList);
    } catch (error) {
      callback(error as Error, null);
      return;
    }
    connect(given, callback);
  };
}
