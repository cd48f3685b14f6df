/**
 * undici's diagnostics channels.
 *
 * What lives here: the channels, the `request` object that their messages carry, and the messages
 * about connections. The request and the pool publish through it, and only when there are
 * subscribers. It must not know records.
 */

import { channel } from 'node:diagnostics_channel';

import { classifyBody, type RequestBody } from '../body';
import type { Connection, DisconnectInfo } from '../connection';
import { addHeader } from '../headers';
import { bareHostname, type PoolSettings } from '../options';
import { buildConnector, type DispatchOptions, peerMajor } from '../undici';
import { asGiven, DEFAULT_TIMEOUT } from '../wire';
import {
  debugConnected,
  debugConnecting,
  debugDisconnected,
  debugRequest,
  isDebugging,
  traceTls,
} from './debug-log';
import { RequestDescription } from './description';

/** The channels, by the names undici gives them. */
export const channels = {
  beforeConnect: channel('undici:client:beforeConnect'),
  connected: channel('undici:client:connected'),
  connectError: channel('undici:client:connectError'),
  proxyConnected: channel('undici:proxy:connected'),
  sendHeaders: channel('undici:client:sendHeaders'),
  create: channel('undici:request:create'),
  bodySent: channel('undici:request:bodySent'),
  bodyChunkSent: channel('undici:request:bodyChunkSent'),
  bodyChunkReceived: channel('undici:request:bodyChunkReceived'),
  headers: channel('undici:request:headers'),
  trailers: channel('undici:request:trailers'),
  error: channel('undici:request:error'),
} as const;

/** A request as its description and its state, seen from a subscriber. */
export interface ObservedRequest extends RequestDescription {
  readonly origin: string;
  readonly completed: boolean;
  readonly aborted: boolean;
  /** Whether its handler knows of it. */
  readonly isStarted: boolean;
  /** What subscribers see; `null` until first accessed. */
  observed: DiagnosticRequest | null;
  abortWith(reason: Error | undefined): void;
}

/** Fields whose change is read back before the head is written. */
const DESCRIBED = [
  ...(['method', 'path', 'upgrade', 'headersTimeout', 'bodyTimeout', 'reset'] as const),
  ...(['idempotent', 'blocking', 'expectContinue', 'servername'] as const),
] as const;

/**
 * The `request` of a message, the same object in every message about one request: undici's own, with its
 * property names. As in undici, a subscriber's changes take effect until the head is written; an invalid
 * value fails the request.
 */
export class DiagnosticRequest {
  static {
    // What `util.inspect` shows. The class of that name is the request itself.
    Object.defineProperty(this, 'name', { value: 'Request' });
  }

  headersTimeout: unknown;
  bodyTimeout: unknown;
  method: string;
  typeOfService: unknown;
  /** `null` until the handler knows of the request. */
  declare abort: ((reason?: Error) => void) | null;
  body: unknown;
  declare completed: boolean;
  declare aborted: boolean;
  upgrade: string | null;
  path: string;
  origin: string;
  protocol: string;
  idempotent: boolean;
  blocking: boolean;
  reset: boolean | null;
  host: string | null;
  contentLength: number | null;
  contentType: string | null;
  /** Names and values; a value given as an array stays one. */
  headers: unknown[];
  expectContinue: boolean;
  servername: string | null;

  readonly #request: ObservedRequest;
  /** What the request knows of: the fields above, the body, and the list of headers as text. */
  #known: Known;

  constructor(request: ObservedRequest, options: DispatchOptions | undefined) {
    this.headersTimeout = timeoutAsGiven(request.headersTimeout);
    this.bodyTimeout = timeoutAsGiven(request.bodyTimeout);
    this.method = request.method;
    this.typeOfService = options?.typeOfService ?? (peerMajor === 7 ? 0 : undefined);
    const state = (name: 'abort' | 'completed' | 'aborted', get: () => unknown): void => {
      Object.defineProperty(this, name, {
        configurable: true,
        enumerable: true,
        get,
        set: (value: unknown) => Object.defineProperty(this, name, { value, writable: true }),
      });
    };
    const abort = (reason?: Error): void => request.abortWith(reason);
    state('abort', () => (request.isStarted ? abort : null));
    this.body = bodyOf(request.body);
    state('completed', () => request.completed);
    state('aborted', () => request.aborted);
    this.upgrade = request.upgradeProtocol;
    this.path = request.path;
    this.origin = request.origin;
    this.protocol = request.origin.startsWith('https:') ? 'https:' : 'http:';
    this.idempotent = request.idempotent;
    this.blocking = request.blocking;
    this.reset = request.reset;
    this.host = request.host;
    this.contentLength = request.contentLength;
    this.contentType = request.contentType;
    this.headers = headerList(request.lines, options?.headers);
    this.expectContinue = request.expectContinue;
    this.servername = request.servername;
    this.#request = request;
    this.#known = knownOf(this);
  }

  /** Adds a field; in effect until the head is written. */
  addHeader(key: string, value: unknown): this {
    const request = this.#request;
    const { lines } = request;
    // So that an error is reported to the caller.
    addHeader(request, key, value);
    if (request.lines !== lines) this.headers.push(key, value);
    const { host, contentLength, contentType, reset } = request;
    Object.assign(this, { host, contentLength, contentType, reset });
    this.#known = knownOf(this);
    return this;
  }

  /**
   * The request as modified by subscribers; `null` if they changed nothing.
   *
   * @throws InvalidArgumentError, NotSupportedError as for the options of a request.
   */
  static readBack(observed: DiagnosticRequest): RequestDescription | null {
    const known = observed.#known;
    const now = knownOf(observed);
    if (now.every((value, index) => value === known[index])) return null;
    observed.#known = now;
    const { host, contentLength, body } = observed;
    const options: Record<string, unknown> = { headers: observed.headers };
    for (const name of DESCRIBED) options[name] = observed[name];
    const changed = new RequestDescription(options);
    changed.host = host;
    changed.contentLength = contentLength;
    if (body === known[BODY]) return Object.assign(changed, { body: observed.#request.body });
    return Object.assign(changed, { body: body == null ? null : classifyBody(body) });
  }
}

type Known = readonly unknown[];

/** Where the body stands among what is known. */
const BODY = 0;

function knownOf(request: DiagnosticRequest): Known {
  const { body, host, contentLength, contentType, headers } = request;
  const described = DESCRIBED.map((name) => request[name]);
  return [body, host, contentLength, contentType, String(headers), headers.length, ...described];
}

function timeoutAsGiven(wire: number): number | undefined {
  return wire === DEFAULT_TIMEOUT ? undefined : wire;
}

/** undici converts bytes and text to a Buffer, and an empty body to `null`. */
function bodyOf(body: RequestBody): unknown {
  if (body === null) return null;
  if (body.kind !== 'bytes') return body.source;
  const bytes = asGiven(body.bytes);
  const buffer =
    typeof bytes === 'string'
      ? Buffer.from(bytes)
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return buffer.length === 0 ? null : buffer;
}

/** The fields that go on the wire as a list; values are arrays where `given` has them. */
function headerList(lines: string, given: unknown): unknown[] {
  const arrays = new Map<string, number>();
  if (typeof given === 'object' && given !== null && !(Symbol.iterator in given)) {
    for (const [name, value] of Object.entries(given)) {
      if (Array.isArray(value)) arrays.set(name, value.length);
    }
  }
  const list: unknown[] = [];
  const fields = lines.split('\r\n').filter((line) => line !== '');
  for (let at = 0; at < fields.length;) {
    const [name, value] = splitField(fields[at] as string);
    const length = arrays.get(name);
    if (length === undefined || length === 0) {
      list.push(name, value);
      at += 1;
    } else {
      const values = fields.slice(at, at + length).map((field) => splitField(field)[1]);
      list.push(name, values);
      at += length;
    }
  }
  return list;
}

function splitField(line: string): [name: string, value: string] {
  const colon = line.indexOf(': ');
  return [line.slice(0, colon), line.slice(colon + 2)];
}

/**
 * The `request` of messages about this request. `options` are those that it was made of, as long as
 * they are at hand.
 */
export function observe(request: ObservedRequest, options?: DispatchOptions): DiagnosticRequest {
  return (request.observed ??= new DiagnosticRequest(request, options));
}

/** The request is completed; one that was upgraded has no trailers. */
export function publishEnd(
  request: ObservedRequest,
  controller: { readonly rawTrailers: unknown } | null,
): void {
  if (isDebugging) debugRequest(request, 'completed');
  if (!channels.trailers.hasSubscribers) return;
  const trailers = controller === null ? [] : controller.rawTrailers;
  channels.trailers.publish({ request: observe(request), trailers });
}

/** The request has failed. */
export function publishError(request: ObservedRequest, error: Error): void {
  if (isDebugging) debugRequest(request, `failed: ${error.message}`);
  if (channels.error.hasSubscribers) channels.error.publish({ request: observe(request), error });
}

/** Messages about a request that wait until its connection is known, which `sendHeaders` names. */
export class HeldMessages {
  readonly #head: string;
  /** Those that follow `sendHeaders`; `null` once it was published. */
  #following: (() => void)[] | null = [];

  private constructor(head: string) {
    this.#head = head;
  }

  /** For a request with this head; `null` if nobody listens. */
  static of(head: string): HeldMessages | null {
    const { sendHeaders, bodyChunkSent, bodySent } = channels;
    const listens =
      sendHeaders.hasSubscribers || bodyChunkSent.hasSubscribers || bodySent.hasSubscribers;
    return listens ? new HeldMessages(head) : null;
  }

  /** Publishes a message after `sendHeaders`. */
  add(message: () => void): void {
    if (this.#following === null) message();
    else this.#following.push(message);
  }

  /** `connection` is about to send the request. */
  release(request: ObservedRequest, connection: Connection | null): void {
    const following = this.#following;
    this.#following = null;
    if (channels.sendHeaders.hasSubscribers) {
      const head = this.#head;
      const headers = connection?.isMultiplexed === true ? asHttp2(head, request.origin) : head;
      const socket = connection?.socket;
      channels.sendHeaders.publish({ request: observe(request), headers, socket });
    }
    following?.forEach((publish) => publish());
  }
}

/** Publishes the connection messages of one dispatcher. */
export class ConnectionDiagnostics {
  readonly #settings: PoolSettings;
  #connector: unknown;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
  }

  /** The connector of messages: works like undici's own, and is always the same object. */
  get connector(): unknown {
    this.#connector ??= buildConnector({});
    return this.#connector;
  }

  #connectParams(servername: string | null): object {
    const { url, connect } = this.#settings;
    const { host, protocol, port } = url;
    const hostname = bareHostname(url);
    const localAddress = connect.localAddress ?? null;
    return { host, hostname, protocol, port, version: undefined, servername, localAddress };
  }

  beforeConnect(servername: string | null): void {
    if (isDebugging) debugConnecting(this.#settings.url.origin, 'connecting');
    if (!channels.beforeConnect.hasSubscribers) return;
    channels.beforeConnect.publish({
      connectParams: this.#connectParams(servername),
      connector: this.connector,
    });
  }

  connected(connection: Connection, servername: string | null): void {
    const { connect, url } = this.#settings;
    if (isDebugging) debugConnected(url.origin, connection);
    if (connect.enableTrace) traceTls(url.origin, connection.info.tls);
    this.#proxyConnected(connection);
    if (channels.connected.hasSubscribers) {
      channels.connected.publish({
        connectParams: { ...this.#connectParams(servername), version: connection.info.protocol },
        connector: this.connector,
        socket: connection.socket,
      });
    }
  }

  /** The tunnel through a proxy was open before the connection was. */
  #proxyConnected(connection: Connection): void {
    const connectParams = this.#settings.proxy?.connectParams ?? null;
    if (connectParams === null || !channels.proxyConnected.hasSubscribers) return;
    channels.proxyConnected.publish({ socket: connection.socket, connectParams });
  }

  connectError(error: Error, servername: string | null): void {
    const { connect, url } = this.#settings;
    if (isDebugging) debugConnecting(url.origin, `not connected: ${error.message}`);
    if (connect.enableTrace && url.protocol === 'https:') traceTls(url.origin, error);
    if (!channels.connectError.hasSubscribers) return;
    channels.connectError.publish({
      connectParams: this.#connectParams(servername),
      connector: this.connector,
      error,
    });
  }

  disconnected(connection: Connection, info: DisconnectInfo): void {
    if (isDebugging) debugDisconnected(this.#settings.url.origin, connection, info);
  }
}

/** A head of HTTP/1.1 as undici shows that of a stream: its fields, then the pseudo-headers. */
function asHttp2(head: string, origin: string): string {
  const [line = '', host = '', , ...fields] = head.split('\r\n');
  const [method, path] = line.split(' ');
  const authority = host.slice('host: '.length);
  const scheme = origin.slice(0, origin.indexOf(':'));
  const shown = fields.filter((field) => field !== '');
  shown.push(
    `:authority: ${authority}`,
    `:method: ${method}`,
    `:path: ${path}`,
    `:scheme: ${scheme}`,
  );
  return `${shown.join('\r\n')}\r\n`;
}
