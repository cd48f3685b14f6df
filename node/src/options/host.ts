/**
 * Canonical host names.
 *
 * What lives here: the form in which hosts are compared, wherever they come from: rules of `origins`,
 * pool keys, TLS server names, proxies. `URL` does most of it for an origin: lower case, punycode,
 * canonical IPv4 and IPv6 addresses, no default port. It must not know what is compared.
 *
 * A trailing dot only says that a name is complete: rules and certificates of a name apply to it with the
 * dot as well. Only DNS lookups must keep the dot, because without it search domains may be tried; so
 * both are separate origins, and pools.
 */

/** A host name for comparison: lower case, without a trailing dot. */
export function sameName(name: string): string {
  const lower = name.toLowerCase();
  return lower.endsWith('.') ? lower.replace(/\.+$/, '') : lower;
}

/** The host of a URL for comparison. */
export function hostOf(url: URL): string {
  return sameName(url.hostname);
}

/** The host of a URL to connect to: IPv6 without brackets. */
export function bareHostname(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
}

export function defaultPort(protocol: string): number {
  return protocol === 'https:' ? 443 : 80;
}

/** The port of a URL to connect to. */
export function portOf(url: URL): number {
  return url.port === '' ? defaultPort(url.protocol) : Number(url.port);
}

/** A user-supplied host for comparison; `null` if it is invalid. */
export function parseHost(text: string): string | null {
  try {
    return hostOf(new URL(`http://${text}`));
  } catch {
    return null;
  }
}
