/**
 * What our fetch leaves to the peer's.
 *
 * What lives here: the list, and how often it was used. A fetch goes there whole, before anything was
 * sent, or not at all. It must not know how either works.
 */

import { peer } from '../undici';

/** Where undici keeps what `setGlobalOrigin` was given. */
const GLOBAL_ORIGIN = Symbol.for('undici.globalOrigin.1');

const HTTP = /^[\t\n\f\r ]*https?:/i;

let fetches = 0;
let fetchesByPeer = 0;

/** How many fetches there were in this thread, and how many of them the peer served. */
export function fetchCounters(): { readonly fetches: number; readonly fetchesByPeer: number } {
  return { fetches, fetchesByPeer };
}

/** A fetch begins; `isOurs`: it stays here. */
export function count(isOurs: boolean): void {
  fetches++;
  if (!isOurs) fetchesByPeer++;
}

function urlOf(input: unknown): string | undefined {
  if (typeof input === 'string') return input;
  if (input instanceof URL) return input.href;
  const { url } = (input ?? {}) as { url?: unknown };
  return typeof url === 'string' ? url : undefined;
}

/**
 * Whether the peer serves this fetch:
 *
 * - a URL that is neither `http:` nor `https:`: `data:`, `blob:`, `about:`, `file:`;
 * - an `integrity`;
 * - the mode `no-cors`, whose responses may be opaque;
 * - a global origin, which gives requests an `Origin` and a `Referer`, and URLs a base.
 */
export function isForPeer(input: unknown, init: unknown): boolean {
  if ((globalThis as Record<symbol, unknown>)[GLOBAL_ORIGIN] !== undefined) return true;
  const url = urlOf(input);
  // What is no URL at all is refused in our own words, which are the peer's.
  if (url !== undefined && !HTTP.test(url) && URL.canParse(url)) return true;
  return isRare(init) || (typeof input === 'object' && input !== null && isRare(input));
}

function isRare(members: unknown): boolean {
  if (members === null || members === undefined) return false;
  const { integrity, mode } = members as { integrity?: unknown; mode?: unknown };
  return !(integrity === undefined || integrity === '') || mode === 'no-cors';
}

/** The peer's fetch. */
export const fetchByPeer: typeof peer.fetch = (input, init) => peer.fetch(input, init);
