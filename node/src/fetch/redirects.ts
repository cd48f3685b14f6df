/**
 * Redirects.
 *
 * What lives here: the step from a response that redirects to the next request (Fetch standard,
 * "HTTP-redirect fetch"). It must not know how either is sent.
 */

import { policyOf } from './referrer';
import type { FetchRequest } from './request';
import { Target } from './target';

/** Hops of one fetch beyond the first. */
const MOST_HOPS = 20;

/** Fields that say something about a body. */
const BODY_FIELDS = [
  'content-encoding',
  'content-language',
  'content-location',
  'content-type',
  'content-length',
];

/** Fields that are for one origin alone. */
const ORIGIN_FIELDS = ['authorization', 'proxy-authorization', 'cookie', 'host'];

/** Whether a response with this status redirects, if it says where to. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

const NOT_ENCODED = /[^\x20-\x7e]/;

/** Servers write non-ASCII locations as UTF-8. */
function asUtf8(location: string): string {
  return NOT_ENCODED.test(location) ? Buffer.from(location, 'latin1').toString('utf8') : location;
}

/**
 * Makes `request` the one that `location` asks for.
 *
 * @throws Error or TypeError for what may not be followed; it becomes the cause of `fetch failed`.
 */
export function followRedirect(
  request: FetchRequest,
  status: number,
  location: string,
  referrerPolicy: string | null,
): void {
  const from = request.target;
  const url = new URL(asUtf8(location), from.href);
  if (url.hash === '') url.hash = from.hash;
  const to = new Target(url);
  if (!to.isHttp) throw new Error('URL scheme must be a HTTP(S) scheme');
  if (request.targets.length > MOST_HOPS) throw new Error('redirect count exceeded');
  if (request.mode === 'cors' && to.hasCredentials) {
    throw new Error('cross origin not allowed for request mode "cors"');
  }
  if (request.tainting === 'cors' && to.hasCredentials) {
    throw new Error('URL cannot contain credentials for request mode "cors"');
  }
  if (status !== 303 && !request.isRepeatable) throw new Error();

  const { method, fields } = request;
  const losesBody =
    ((status === 301 || status === 302) && method === 'POST') ||
    (status === 303 && method !== 'GET' && method !== 'HEAD');
  if (losesBody) {
    request.method = 'GET';
    request.body = null;
    for (const name of BODY_FIELDS) fields.delete(name);
  }
  const leavesOrigin = from.origin !== to.origin;
  if (leavesOrigin) for (const name of ORIGIN_FIELDS) fields.delete(name);
  request.targets.push(to);
  request.referrerPolicy = policyOf(referrerPolicy) ?? request.referrerPolicy;

  // Back at the first origin is as far from it as elsewhere, once it was left.
  if (to.origin === (request.targets[0] as Target).origin && request.tainting === 'basic') return;
  if (request.mode === 'same-origin') throw new Error('request mode cannot be "same-origin"');
  request.tainting = 'cors';
}
