/**
 * A request as the caller described it: undici's checks and the HTTP/1.1 head.
 *
 * What lives here: validation of dispatch options with undici's messages, and the serialised head.
 * `Request` extends it with everything that happens afterwards. It must not know sessions,
 * records or callbacks.
 */

import { isIP } from 'node:net';
import { stringify, type ParsedUrlQueryInput } from 'node:querystring';

import { classifyBody, type RequestBody } from '../body';
import { addHeaders, type HeaderTarget, isHeaderValue, isToken } from '../headers';
import { type Decompression, decompressOption, readDecompress, sameName } from '../options';
import { type DispatchOptions, type FetchDecoding, invalid, kDecode, peerMajor } from '../undici';
import { DEFAULT_TIMEOUT } from '../wire';

/** Printable latin1 without space: undici's rule, a superset of RFC 9112 3.2. */
const BAD_PATH = /[^\u0021-\u00ff]/;

/** What a method means for a body. */
interface MethodRules {
  /** A body that is not expected may confuse a server: the connection is not reused. */
  readonly expectsPayload: boolean;
  /** Whether undici compares the declared length with the body's. */
  readonly comparesLength: boolean;
}

const NO_PAYLOAD: MethodRules = { expectsPayload: false, comparesLength: false };
const PAYLOAD: MethodRules = { expectsPayload: true, comparesLength: true };
const OTHER: MethodRules = { expectsPayload: false, comparesLength: true };

/** Common methods; others are checked against the token grammar each time. */
const METHODS = new Map<string, MethodRules>([
  ['GET', NO_PAYLOAD],
  ['HEAD', NO_PAYLOAD],
  ['OPTIONS', NO_PAYLOAD],
  ['TRACE', NO_PAYLOAD],
  ['CONNECT', NO_PAYLOAD],
  ['POST', PAYLOAD],
  ['PUT', PAYLOAD],
  ['PATCH', PAYLOAD],
  ['QUERY', PAYLOAD],
  ['PROPFIND', PAYLOAD],
  ['PROPPATCH', PAYLOAD],
  ['DELETE', OTHER],
]);

/** What the head needs to know about the dispatcher. */
export interface HeadContext {
  /** `host: example.com:8080` with its CRLF. */
  readonly hostLine: string;
  /** `false` when the pool's options forbid reuse: `pipelining: 0`, `maxRequestsPerClient: 1`. */
  readonly keepAlive: boolean;
}

/** A checked request. */
export class RequestDescription implements HeaderTarget {
  readonly method: string;
  private readonly methodRules: MethodRules;
  readonly path: string;
  readonly body: RequestBody;
  readonly upgradeProtocol: string | null;
  readonly idempotent: boolean;
  readonly blocking: boolean;
  readonly expectContinue: boolean;
  /** Milliseconds for the record; `DEFAULT_TIMEOUT` if the caller gave none. */
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
  readonly totalTimeout: number;
  /** Bytes per second; `DEFAULT_TIMEOUT` if the caller gave none. */
  readonly minBodyRate: number;
  /** Server name for TLS that differs from the origin's host; `null` for none. */
  readonly servername: string | null;
  /** `null`: the pool's default. */
  readonly wantsTimings: boolean | null;
  readonly timingsListener: ((timings: never) => void) | null;
  /** `null`: the pool's default. */
  readonly decompress: Decompression | null;
  /** Set by our fetch, which decides by itself what is decoded. */
  readonly fetchDecoding: FetchDecoding | null;

  host: string | null = null;
  contentLength: number | null = null;
  contentType: string | null = null;
  reset: boolean | null;
  lines = '';

  /**
   * @throws InvalidArgumentError, NotSupportedError with undici's messages, in undici's order.
   */
  constructor(options: DispatchOptions) {
    const { path, method, upgrade, headersTimeout, bodyTimeout, reset, expectContinue } = options;

    if (typeof path !== 'string') {
      throw invalid('path must be a string');
    } else if (
      !path.startsWith('/') &&
      !(path.startsWith('http://') || path.startsWith('https://')) &&
      method !== 'CONNECT'
    ) {
      throw invalid('path must be an absolute URL or start with a slash');
    } else if (BAD_PATH.test(path)) {
      throw invalid('invalid request path');
    }
    if (typeof method !== 'string') throw invalid('method must be a string');
    const rules = METHODS.get(method);
    if (rules === undefined && !isToken(method)) throw invalid('invalid request method');
    if (upgrade) checkUpgrade(upgrade);
    if (headersTimeout != null) checkTimeout(headersTimeout, 'headersTimeout');
    if (bodyTimeout != null) checkTimeout(bodyTimeout, 'bodyTimeout');
    if (reset != null && typeof reset !== 'boolean') throw invalid('invalid reset');
    if (expectContinue != null && typeof expectContinue !== 'boolean') {
      throw invalid('invalid expectContinue');
    }
    checkRareOptions(options);
    const { timings } = options;
    if (timings != null && typeof timings !== 'boolean' && typeof timings !== 'function') {
      throw invalid('timings must be a boolean or a function');
    }
    this.timingsListener =
      typeof timings === 'function' ? (timings as (timings: never) => void) : null;
    this.wantsTimings =
      this.timingsListener === null ? ((timings as boolean | null) ?? null) : true;
    this.decompress = readDecompress(options.decompress);
    this.fetchDecoding = options[kDecode] ?? null;

    this.method = method;
    this.methodRules = rules ?? OTHER;
    this.headersTimeout = wireTimeout(headersTimeout as number | null | undefined);
    this.bodyTimeout = wireTimeout(bodyTimeout as number | null | undefined);
    this.totalTimeout = wireTimeout(options.totalTimeout as number | null | undefined);
    this.minBodyRate = wireTimeout(options.minBodyRate as number | null | undefined);
    this.body = options.body == null ? null : classifyBody(options.body);
    this.upgradeProtocol = upgrade ? (upgrade as string) : null;
    this.path = options.query ? withQuery(path, options.query as ParsedUrlQueryInput) : path;
    this.idempotent =
      options.idempotent ??
      (method === 'GET' || method === 'HEAD' || (method === 'QUERY' && peerMajor >= 8));
    this.blocking = options.blocking ?? method !== 'HEAD';
    this.reset = reset ?? null;
    this.expectContinue = expectContinue ?? false;
    addHeaders(this, options.headers);
    this.servername = givenName(options.servername) ?? serverNameOf(this.host);
  }

  /** The request as a caller would give it, with these fields: for another attempt by the peer. */
  protected asOptions(lines: string, body: unknown): DispatchOptions {
    const { host, contentLength, servername } = this;
    const headers: string[] = [];
    if (host !== null) headers.push('host', host);
    if (contentLength !== null) headers.push('content-length', String(contentLength));
    for (const line of lines.split('\r\n')) {
      const colon = line.indexOf(': ');
      if (colon !== -1) headers.push(line.slice(0, colon), line.slice(colon + 2));
    }
    const timeout = (value: number) => (value === DEFAULT_TIMEOUT ? null : value);
    return {
      path: this.path,
      method: this.method,
      headers,
      body,
      upgrade: this.upgradeProtocol,
      idempotent: this.idempotent,
      blocking: this.blocking,
      reset: this.reset,
      expectContinue: this.expectContinue,
      headersTimeout: timeout(this.headersTimeout),
      bodyTimeout: timeout(this.bodyTimeout),
      servername,
      timings: this.timingsListener ?? this.wantsTimings,
      totalTimeout: timeout(this.totalTimeout),
      minBodyRate: timeout(this.minBodyRate),
      decompress: decompressOption(this.decompress),
      [kDecode]: this.fetchDecoding,
    };
  }

  /** Whether this requests a byte stream instead of a response. */
  get isUpgrade(): boolean {
    return this.upgradeProtocol !== null || this.method === 'CONNECT';
  }

  /** Whether a body is meaningful for the method. */
  get expectsPayload(): boolean {
    return this.methodRules.expectsPayload;
  }

  /**
   * The length to send, given the body's own length if it is known.
   *
   * `null` for none. A mismatch with the declared length is the caller's to handle.
   */
  resolveLength(bodyLength: number | null): number | null {
    const length = bodyLength ?? this.contentLength;
    return length === 0 && !this.expectsPayload ? null : length;
  }

  /** Whether the caller declared a length different from the body's. */
  contradictsLength(length: number | null): boolean {
    return (
      length !== null &&
      length > 0 &&
      this.contentLength !== null &&
      this.contentLength !== length &&
      this.methodRules.comparesLength
    );
  }

  /** Request line and fields, without the body's framing and the empty line. Latin1. */
  serialize(context: HeadContext): string {
    const host = this.host === null ? context.hostLine : `host: ${this.host}\r\n`;
    let connection: string;
    if (this.upgradeProtocol !== null) {
      connection = `connection: upgrade\r\nupgrade: ${this.upgradeProtocol}\r\n`;
    } else if (context.keepAlive && !(this.reset ?? this.method === 'CONNECT')) {
      connection = 'connection: keep-alive\r\n';
    } else {
      connection = 'connection: close\r\n';
    }
    return `${this.method} ${this.path} HTTP/1.1\r\n${host}${connection}${this.lines}`;
  }
}

function checkUpgrade(upgrade: unknown): void {
  if (typeof upgrade !== 'string') throw invalid('upgrade must be a string');
  if (!isHeaderValue(upgrade)) throw invalid('invalid upgrade header');
}

function checkTimeout(value: unknown, name: string): void {
  if (!Number.isFinite(value) || (value as number) < 0) throw invalid(`invalid ${name}`);
}

function checkRareOptions(options: DispatchOptions): void {
  const { throwOnError, maxRedirections, typeOfService, totalTimeout, minBodyRate } = options;
  if (totalTimeout != null) checkTimeout(totalTimeout, 'totalTimeout');
  if (minBodyRate != null) checkTimeout(minBodyRate, 'minBodyRate');
  if (throwOnError != null) throw invalid('invalid throwOnError');
  if (maxRedirections != null && maxRedirections !== 0) {
    throw invalid('maxRedirections is not supported, use the redirect interceptor');
  }
  if (typeOfService != null) {
    const tos = typeOfService as number;
    if (!Number.isInteger(tos) || tos < 0 || tos > 255) {
      throw invalid('typeOfService must be an integer between 0 and 255');
    }
  }
}

/** Longest timeout that a record can express, some 49 days; longer ones never fire in practice. */
const LONGEST_TIMEOUT = DEFAULT_TIMEOUT - 1;

function wireTimeout(milliseconds: number | null | undefined): number {
  if (milliseconds == null) return DEFAULT_TIMEOUT;
  return Math.min(Math.ceil(milliseconds), LONGEST_TIMEOUT);
}

function withQuery(path: string, query: ParsedUrlQueryInput): string {
  if (path.includes('?') || path.includes('#')) {
    throw new Error('Query params cannot be passed when url already contains "?" or "#".');
  }
  const text = stringify(query);
  return text ? `${path}?${text}` : path;
}

/** An explicit server name, in the form in which names are compared. */
function givenName(servername: unknown): string | null {
  return typeof servername === 'string' && servername !== '' ? sameName(servername) : null;
}

/** Host name of a `host` value, or `null` where TLS takes none: addresses and the empty host. */
export function serverNameOf(host: string | null): string | null {
  if (!host) return null;
  let name: string;
  if (host.startsWith('[')) {
    name = host.slice(1, Math.max(host.indexOf(']'), 1));
  } else {
    const colon = host.indexOf(':');
    name = colon === -1 ? host : host.slice(0, colon);
  }
  return name === '' || isIP(name) !== 0 ? null : sameName(name) || null;
}
