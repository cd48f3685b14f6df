/**
 * From the arguments of `fetch()` to a request.
 *
 * What lives here: the common arguments, read and checked in one pass. Invalid or unusual arguments
 * go through the peer's own Request, which rejects them with undici's message or interprets them.
 * It must not know dispatching.
 */

import { unpolluted } from '../options';
import type { Dispatcher, FetchInternals, PeerRequestState } from '../undici';
import { FieldList } from './field-list';
import { isPolicy } from './referrer';
import { type RedirectMode, FetchRequest } from './request';
import { bodyOfRequest, readBody, type RequestBody } from './request-body';
import { parseTarget, Target } from './target';

/** `init`, whose members may be anything. */
type Init = Readonly<Record<string, unknown>>;

/** Spellings of methods that the standard normalizes or keeps. */
const METHODS = new Map<unknown, string>(
  ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'QUERY'].flatMap((method) => [
    [method, method],
    [method.toLowerCase(), method],
  ]),
).set('PATCH', 'PATCH');

const REDIRECTS: readonly unknown[] = [undefined, 'follow', 'manual', 'error'];
const MODES: readonly unknown[] = [undefined, 'cors', 'same-origin'];
const CREDENTIALS: readonly unknown[] = [undefined, 'omit', 'same-origin', 'include'];
const CACHES: readonly unknown[] = [
  undefined,
  'default',
  'no-store',
  'reload',
  'no-cache',
  'force-cache',
];
const PRIORITIES: readonly unknown[] = [undefined, 'high', 'low', 'auto'];

const NOTHING: Init = {};

/** Reads the arguments of `fetch()`; `null` if the peer's Request has to. */
function readArguments(input: unknown, init: Init, internals: FetchInternals): FetchRequest | null {
  let target: Target;
  if (typeof input === 'string' || input instanceof URL) {
    try {
      target = parseTarget(typeof input === 'string' ? input : input.href);
    } catch {
      return null;
    }
  } else return null;
  if (target.hasCredentials) return null;

  const { method: givenMethod, redirect, mode, cache, signal, referrer, referrerPolicy } = init;
  const { window, duplex } = init;
  const method = givenMethod === undefined ? 'GET' : METHODS.get(givenMethod);
  if (
    method === undefined ||
    !REDIRECTS.includes(redirect) ||
    !MODES.includes(mode) ||
    !CACHES.includes(cache) ||
    !CREDENTIALS.includes(init['credentials']) ||
    !PRIORITIES.includes(init['priority']) ||
    !(referrerPolicy === undefined || isPolicy(referrerPolicy)) ||
    !(duplex === undefined || duplex === 'half') ||
    !(window === undefined || window === null) ||
    !(signal === undefined || signal === null || signal instanceof AbortSignal) ||
    !(referrer === undefined || typeof referrer === 'string')
  ) {
    return null;
  }

  const fields = readFields(init['headers'], internals);
  if (fields === null) return null;

  const { body: givenBody } = init;
  let body: RequestBody | null = null;
  if (givenBody !== undefined && givenBody !== null) {
    if (method === 'GET' || method === 'HEAD') return null;
    const typed = readBody(givenBody, isForm);
    if (typed === null) return null;
    ({ body } = typed);
    if (body.source === null && (duplex === undefined || init['keepalive'])) return null;
    if (typed.type !== null && !fields.has('content-type')) {
      fields.append('content-type', typed.type);
    }
  }

  const from = readReferrer(referrer);
  if (from === undefined) return null;
  return new FetchRequest({
    method,
    target,
    fields,
    body,
    redirect: (redirect as RedirectMode | undefined) ?? 'follow',
    mode: (mode as string | undefined) ?? 'cors',
    cache: (cache as string | undefined) ?? 'default',
    referrer: from,
    referrerPolicy: (referrerPolicy as string | undefined) ?? '',
    signal: signal ?? null,
    dispatcher: (init['dispatcher'] ?? undefined) as Dispatcher | undefined,
    origin: null,
  });
}

function readFields(headers: unknown, internals: FetchInternals): FieldList | null {
  if (headers === undefined) return new FieldList();
  if (typeof headers !== 'object' || headers === null) return null;
  if (Object.getPrototypeOf(headers) === internals.Headers.prototype) {
    return FieldList.of(internals.getHeadersList(headers));
  }
  return FieldList.read(headers);
}

/** `null` for none, `undefined` for an invalid URL. */
function readReferrer(referrer: string | undefined): URL | null | undefined {
  if (referrer === undefined || referrer === '' || referrer === 'about:client') return null;
  try {
    return new URL(referrer);
  } catch {
    return undefined;
  }
}

/** A form of any realm and package: undici would send one that is not its own as `[object FormData]`. */
function isForm(value: unknown): boolean {
  return Object.prototype.toString.call(value) === '[object FormData]';
}

/** The peer's Request for the arguments; if one is given, its body is used. */
function readByPeer(input: unknown, init: Init, internals: FetchInternals): FetchRequest {
  const request = new internals.Request(input as string, init);
  const state = internals.getRequestState(request);
  const fields = FieldList.of(state.headersList);
  // The given signal: the peer's own follows it and is released by the peer.
  internals.removeRequestAbortListener?.(request);
  const isGiven = input instanceof internals.Request;
  const { signal = isGiven ? input.signal : null } = (init ?? {}) as {
    signal?: AbortSignal | null;
  };
  return new FetchRequest({
    method: state.method,
    target: new Target(state.urlList.at(-1) as URL),
    fields,
    body: bodyOfPeer(state, fields),
    redirect: state.redirect as RedirectMode,
    mode: state.mode,
    cache: state.cache,
    referrer: state.referrer instanceof URL ? state.referrer : null,
    referrerPolicy: state.referrerPolicy,
    signal,
    dispatcher: internals.getRequestDispatcher(request),
    origin: isGiven ? input : null,
  });
}

function bodyOfPeer({ body }: PeerRequestState, fields: FieldList): RequestBody | null {
  if (body === null) return null;
  const { source, stream, length } = body;
  return bodyOfRequest(source, stream, length, fields.get('content-type'));
}

/** A Request of another package, or of Node. */
interface ForeignRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Iterable<[string, string]>;
  readonly body: ReadableStream<unknown> | null;
  readonly signal: AbortSignal;
  readonly redirect: RedirectMode;
  readonly bodyUsed: boolean;
}

function isForeignRequest(input: unknown): input is ForeignRequest {
  if (Object.prototype.toString.call(input) !== '[object Request]') return false;
  const { url, method, headers } = input as Partial<Record<keyof ForeignRequest, unknown>>;
  return typeof url === 'string' && typeof method === 'string' && typeof headers === 'object';
}

/** The members of such a Request that apply here, overridden by those of `init`. */
function membersOf(request: ForeignRequest, init: Init): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  const given = request as unknown as Readonly<Record<string, unknown>>;
  for (const name of ['method', 'redirect', 'mode', 'cache', 'credentials', 'integrity']) {
    members[name] = given[name];
  }
  for (const name of ['keepalive', 'referrer', 'referrerPolicy', 'signal', 'body']) {
    members[name] = given[name];
  }
  members['headers'] = [...request.headers];
  if (members['body'] !== null) members['duplex'] = 'half';
  return { ...members, ...init };
}

/**
 * The request for `fetch(input, init)`.
 *
 * @throws what undici's Request throws.
 */
export function readRequest(
  input: unknown,
  given: unknown,
  internals: FetchInternals,
): FetchRequest {
  const init = unpolluted(given) as Init | null | undefined;
  if (init === undefined || init === null || typeof init === 'object') {
    const request = readArguments(input, init ?? NOTHING, internals);
    if (request !== null) return request;
    if (isForeignRequest(input) && !(input instanceof internals.Request)) {
      return readRequest(input.url, membersOf(input, init ?? NOTHING), internals);
    }
  }
  return readByPeer(input, (init ?? undefined) as Init, internals);
}
