/**
 * Redirects.
 *
 * What lives here: the step from a redirect response to the next request (Fetch standard,
 * "HTTP-redirect fetch"). It must not know how requests are sent.
 */

import { policyOf } from './referrer';
import type { FetchRequest } from './request';
import { Target } from './target';

/** Maximum number of redirects of one fetch. */
const MOST_HOPS = 20;

/** Fields that describe a body. */
const BODY_FIELDS = [
  'content-encoding',
  'content-language',
  'content-location',
  'content-type',
  'content-length',
];

/** Fields removed when the origin changes. */
const ORIGIN_FIELDS = ['authorization', 'proxy-authorization', 'cookie', 'host'];

/** Whether a response with this status redirects if it has a location. */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

const NOT_ENCODED = /[^\x20-\x7e]/;

/** Servers send non-ASCII locations as UTF-8. */
function asUtf8(location: string): string {
  return NOT_ENCODED.test(location) ? Buffer.from(location, 'latin1').toString('utf8') : location;
}

/**
 * Changes `request` into the request to `location`.
 *
 * @throws Error or TypeError if it must not be followed; it becomes the cause of `fetch failed`.
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

  // Once the first origin was left, returning to it does not count as same-origin.
  if (to.origin === (request.targets[0] as Target).origin && request.tainting === 'basic') return;
  if (request.mode === 'same-origin') throw new Error('request mode cannot be "same-origin"');
  request.tainting = 'cors';
}
