/**
 * What is to be fetched.
 *
 * What lives here: the standard's request, as far as undici acts on it, and the fields that it gets for
 * each hop. It must not know how it was made (`request-init.ts`) or how it is sent.
 */

import type { Dispatcher } from '../undici';
import type { FieldList } from './field-list';
import { refererFor } from './referrer';
import type { RequestBody } from './request-body';
import type { Target } from './target';

/** What to do about a redirect. */
export type RedirectMode = 'follow' | 'manual' | 'error';

/** Fields by which a caller does caching himself: then nobody in between should. */
const CONDITIONAL = [
  'if-modified-since',
  'if-none-match',
  'if-unmodified-since',
  'if-match',
  'if-range',
];

/** Codings that undici takes, over TLS and in the clear. undici 7 does not ask for zstd. */
const CODINGS = { tls: 'br, gzip, deflate', clear: 'gzip, deflate' } as const;

/** Everything of a request but its fields. */
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
  /** What must live as long as the fetch: an undici 7 Request, whose signal dies with it. */
  readonly origin: object | null;
}

/** See above. A redirect changes it. */
export class FetchRequest {
  method: string;
  /** Where it went so far; the last one is where it goes. */
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
  fieldsOfHop(zstd: boolean): Record<string, string> {
    const { target, body, method } = this;
    if (body === null && method === 'GET' && this.#isPlain) {
      return target.isTrustworthy ? plainFields(target.isHttps, zstd) : plainFieldsInTheClear();
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
    if (!target.isHttps) add('accept-encoding', CODINGS.clear);
    else add('accept-encoding', zstd ? `${CODINGS.tls}, zstd` : CODINGS.tls);
    fields.delete('host');
    return fields.toObject();
  }

  /** Whether nothing was said about fields, by whatever member. */
  get #isPlain(): boolean {
    const { fields, cache, referrer, mode } = this;
    return fields.isEmpty && cache === 'default' && referrer === null && mode === 'cors';
  }

  /** A hop sees of the referrer what the one before it was allowed to. */
  #referer(target: Target): string | null {
    if (this.referrer === null) return null;
    const referer = refererFor(this.referrer, this.referrerPolicy, target);
    this.referrer = referer === null ? null : new URL(referer);
    return referer;
  }
}

/** What `fieldsOfHop` comes to for most requests. */
function plainFields(isHttps: boolean, zstd: boolean): Record<string, string> {
  const tls = zstd ? `${CODINGS.tls}, zstd` : CODINGS.tls;
  return {
    accept: '*/*',
    'accept-language': '*',
    'sec-fetch-mode': 'cors',
    'user-agent': 'undici',
    'accept-encoding': isHttps ? tls : CODINGS.clear,
  };
}

/** The same for servers that are no secure context. */
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
