/**
 * Headers of requests that go through a proxy.
 *
 * What lives here: the check that no request contains credentials for the proxy, which belong in the
 * agent's options, and the `host` that undici's `ProxyAgent` adds. `proxy-agent.ts` calls it. It must
 * not know pools.
 */

import { isIterableObject } from '../headers';
import { invalid } from '../undici';

function isNamed(name: unknown, wanted: string): boolean {
  const text = String(name);
  return text.length === wanted.length && text.toLowerCase() === wanted;
}

/** As a flat list, from any of undici's shapes; `null` for a plain object or nothing. */
function flatten(headers: unknown): unknown[] | null {
  if (Array.isArray(headers)) return [...(headers as unknown[])];
  if (typeof headers !== 'object' || headers === null || !isIterableObject(headers)) return null;
  const flat: unknown[] = [];
  for (const pair of headers) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw invalid('headers must be in key-value pair format');
    }
    flat.push(pair[0], pair[1]);
  }
  return flat;
}

/** Throws for a name that would send credentials to the origin (S17). */
function check(name: unknown): void {
  if (isNamed(name, 'proxy-authorization')) {
    throw invalid('Proxy-Authorization should be sent in ProxyAgent constructor');
  }
}

/**
 * The headers with a `host`, if there are headers at all.
 *
 * Returns a copy: what was checked is what is sent (S7).
 *
 * @throws InvalidArgumentError for `proxy-authorization` in any spelling.
 */
export function checkedHeaders(headers: unknown, host: () => string): unknown {
  const flat = flatten(headers);
  if (flat !== null) {
    let hasHost = false;
    for (let i = 0; i < flat.length; i += 2) {
      check(flat[i]);
      hasHost ||= isNamed(flat[i], 'host');
    }
    return hasHost || flat.length % 2 !== 0 ? flat : [...flat, 'host', host()];
  }
  if (typeof headers !== 'object' || headers === null) return headers;
  const fields: Record<string, unknown> = { ...headers };
  const names = Object.keys(fields);
  names.forEach(check);
  // Inherited ones too: another dispatcher might read them.
  for (const name in headers) if (!Object.hasOwn(Object.prototype, name)) check(name);
  if (!names.some((name) => isNamed(name, 'host'))) fields['host'] = host();
  return fields;
}

/** The proxy's headers, then the request's, which replace them by name, as undici merges them. */
export function mergedHeaders(
  proxyHeaders: Readonly<Record<string, unknown>>,
  headers: unknown,
  host: string,
): unknown[] {
  const flat = flatten(headers);
  const own =
    flat ?? Object.entries((headers ?? {}) as Record<string, unknown>).flatMap((pair) => pair);
  const given = new Set<string>();
  for (let i = 0; i < own.length; i += 2) given.add(String(own[i]).toLowerCase());
  const merged: unknown[] = [];
  for (const [name, value] of Object.entries(proxyHeaders)) {
    if (!given.has(name.toLowerCase())) merged.push(name, value);
  }
  merged.push(...own);
  if (!given.has('host')) merged.push('host', host);
  return merged;
}
