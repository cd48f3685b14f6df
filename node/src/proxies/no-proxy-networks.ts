/**
 * Networks in `NO_PROXY`: `10.0.0.0/8`, `fd00::/8`.
 *
 * What lives here: the rule that undici's parsing of the list lacks. To undici such an entry is a host name
 * that never matches; curl, Go and reqwest treat it as the addresses in it, which is what its author
 * means. `EnvHttpProxyAgent` calls it. It must not know proxies.
 */

import { BlockList, isIP } from 'node:net';

import { bareHostname } from '../options';

/** Parses a list once as long as it does not change. */
export class NoProxyNetworks {
  #list = '';
  #networks: BlockList | null = null;

  /** Whether `list` has a network that contains the host of `origin`, an address. */
  cover(list: string, origin: string | URL): boolean {
    if (list !== this.#list) {
      this.#list = list;
      this.#networks = parse(list);
    }
    if (this.#networks === null) return false;
    const host = bareHostname(new URL(origin));
    const family = isIP(host);
    return family !== 0 && this.#networks.check(host, family === 6 ? 'ipv6' : 'ipv4');
  }
}

/** The networks of a list, or null if there are none. Malformed ones are ignored. */
function parse(list: string): BlockList | null {
  if (!list.includes('/')) return null;
  const networks = new BlockList();
  for (const entry of list.split(/[,\s]/)) {
    const [, address = '', bits] = /^\[?([^[\]/]+)\]?\/(\d{1,3})$/.exec(entry) ?? [];
    const family = isIP(address);
    if (family === 0 || Number(bits) > (family === 6 ? 128 : 32)) continue;
    networks.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
  }
  return networks.rules.length > 0 ? networks : null;
}
