/**
 * Hosts in one form.
 *
 * What lives here: the spelling in which hosts are compared, whoever names them: rules of `origins`,
 * keys of pools, TLS server names, proxies. `URL` has done most of it for an origin: lower case,
 * punycode, IPv4 and IPv6 addresses in their one form, no default port. It must not know what is
 * compared.
 *
 * A dot at the end says that a name is complete, and nothing else: rules and certificates of a name
 * hold for it with the dot as well. Only who asks a resolver must keep the dot, because without it
 * other names may be tried; so both are origins, and pools, of their own.
 */

/** A host name for comparison: lower case, without the dot at its end. */
export function sameName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.replace(/\.+$/, '') : lower;
}

/** The host of a URL for comparison. */
export function hostOf(url: URL): string {
  return sameName(url.hostname);
}

/** The host of a URL as it is connected to: IPv6 without brackets. */
export function bareHostname(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
}

/** A host that somebody has written, for comparison; `null` for what is none. */
export function parseHost(text: string): string | null {
  try {
    return hostOf(new URL(`http://${text}`));
  } catch {
    return null;
  }
}
