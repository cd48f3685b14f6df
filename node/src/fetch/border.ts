/**
 * Which fetches the peer serves.
 *
 * What lives here: the conditions, and counters. A fetch goes to the peer as a whole, before
 * anything is sent, or not at all. It must not know how either works.
 */

import { peer } from '../undici';

/** Where undici stores the value of `setGlobalOrigin`. */
const GLOBAL_ORIGIN = Symbol.for('undici.globalOrigin.1');

const HTTP = /^[\t\n\f\r ]*https?:/i;

let fetches = 0;
let fetchesByPeer = 0;

/** Number of fetches in this thread, and of those that the peer served. */
export function fetchCounters(): { readonly fetches: number; readonly fetchesByPeer: number } {
  return { fetches, fetchesByPeer };
}

/** Counts a fetch; `isOurs`: it is not left to the peer. */
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
 * - a global origin, which sets `Origin` and `Referer` and is the base of relative URLs.
 */
export function isForPeer(input: unknown, init: unknown): boolean {
  if ((globalThis as Record<symbol, unknown>)[GLOBAL_ORIGIN] !== undefined) return true;
  const url = urlOf(input);
  // An invalid URL is rejected here, with the peer's message.
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
