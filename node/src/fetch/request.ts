/**
 * The request of a fetch.
 *
 * What lives here: the standard's request, as far as undici implements it, and the fields sent with
 * each hop. It must not know how it was created (`request-init.ts`) or how it is sent.
 */

import { type Dispatcher, peerMajor } from '../undici';
import type { FieldList } from './field-list';
import { refererFor } from './referrer';
import type { RequestBody } from './request-body';
import type { Target } from './target';

/** How to handle a redirect. */
export type RedirectMode = 'follow' | 'manual' | 'error';

/** Fields by which a caller does its own caching, so that no cache in between should. */
const CONDITIONAL = [
  'if-modified-since',
  'if-none-match',
  'if-unmodified-since',
  'if-match',
  'if-range',
];

/** Codings that undici accepts, over TLS and in plain text. undici 7 does not accept zstd. */
const CODINGS = {
  tls: peerMajor === 7 ? 'br, gzip, deflate' : 'br, gzip, deflate, zstd',
  clear: 'gzip, deflate',
} as const;

/** A request without its fields. */
export interface RequestParts {
  readonly method: string;
  readonly target: Target;
  readonly fields: FieldList;
  readonly body: RequestBody | null;
  readonly redirect: RedirectMode;
  readonly mode: string;
  readonly cache: string;
  readonly referrer: URL | null;
  readonly referrerPolicy: string;
  readonly signal: AbortSignal | null;
  readonly dispatcher: Dispatcher | undefined;
  /** Must live as long as the fetch: a Request of undici 7, whose signal is collected with it. */
  readonly origin: object | null;
}

/** See above. A redirect changes it. */
export class FetchRequest {
  method: string;
  /** Its targets so far; the last one is the current one. */
  readonly targets: Target[];
  readonly fields: FieldList;
  body: RequestBody | null;
  readonly redirect: RedirectMode;
  readonly mode: string;
  readonly cache: string;
  referrer: URL | null;
  referrerPolicy: string;
  readonly signal: AbortSignal | null;
  readonly dispatcher: Dispatcher | undefined;
  readonly origin: object | null;
  /** `cors` once it has left its origin. */
  tainting: 'basic' | 'cors' = 'basic';

  constructor(parts: RequestParts) {
    this.method = parts.method;
    this.targets = [parts.target];
    this.fields = parts.fields;
    this.body = parts.body;
    this.redirect = parts.redirect;
    this.mode = parts.mode;
    this.cache = parts.cache;
    this.referrer = parts.referrer;
    this.referrerPolicy = parts.referrerPolicy;
    this.signal = parts.signal;
    this.dispatcher = parts.dispatcher;
    this.origin = parts.origin;
  }

  get target(): Target {
    return this.targets[this.targets.length - 1] as Target;
  }

  /** Whether its body, if any, can be sent again. */
  get isRepeatable(): boolean {
    return this.body?.source !== null;
  }

  /** The fields of the next hop (Fetch standard, "HTTP-network-or-cache fetch"). */
  fieldsOfHop(): Record<string, string> {
    const { target, body, method } = this;
    if (body === null && method === 'GET' && this.#isPlain) {
      return target.isTrustworthy ? plainFields(target.isHttps) : plainFieldsInTheClear();
    }
    const fields = this.fields.copy();
    const add = (name: string, value: string): void => {
      if (!fields.has(name)) fields.append(name, value);
    };
    add('accept', '*/*');
    add('accept-language', '*');

    const nothing = isPostOrPut(method) ? 0 : null;
    const length = body === null ? nothing : body.length;
    if (length !== null) add('content-length', String(length));

    const referer = this.#referer(target);
    if (referer !== null) fields.append('referer', referer);
    if (target.isTrustworthy) fields.set('sec-fetch-mode', this.mode);
    add('user-agent', 'undici');

    let { cache } = this;
    if (cache === 'default' && CONDITIONAL.some((name) => fields.has(name))) cache = 'no-store';
    if (cache === 'no-cache') add('cache-control', 'max-age=0');
    else if (cache === 'no-store' || cache === 'reload') {
      add('pragma', 'no-cache');
      add('cache-control', 'no-cache');
    }

    if (fields.has('range')) fields.append('accept-encoding', 'identity');
    add('accept-encoding', target.isHttps ? CODINGS.tls : CODINGS.clear);
    fields.delete('host');
    return fields.toObject();
  }

  /** Whether no option affects the fields. */
  get #isPlain(): boolean {
    const { fields, cache, referrer, mode } = this;
    return fields.isEmpty && cache === 'default' && referrer === null && mode === 'cors';
  }

  /** A hop gets at most what the previous one got of the referrer. */
  #referer(target: Target): string | null {
    if (this.referrer === null) return null;
    const referer = refererFor(this.referrer, this.referrerPolicy, target);
    this.referrer = referer === null ? null : new URL(referer);
    return referer;
  }
}

/** The result of `fieldsOfHop` for most requests. */
function plainFields(isHttps: boolean): Record<string, string> {
  return {
    accept: '*/*',
    'accept-language': '*',
    'sec-fetch-mode': 'cors',
    'user-agent': 'undici',
    'accept-encoding': isHttps ? CODINGS.tls : CODINGS.clear,
  };
}

/** The same for servers that are not a secure context. */
function plainFieldsInTheClear(): Record<string, string> {
  return {
    accept: '*/*',
    'accept-language': '*',
    'user-agent': 'undici',
    'accept-encoding': CODINGS.clear,
  };
}

function isPostOrPut(method: string): boolean {
  return method === 'POST' || method === 'PUT';
}
