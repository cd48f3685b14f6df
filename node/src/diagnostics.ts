/**
 * undici's diagnostics channels.
 *
 * What lives here: the channels, the `request` object that their messages carry, and the messages
 * about connections. The exchange and the pool publish through it, and only when somebody
 * subscribed. It must not know records.
 */

import { channel } from 'node:diagnostics_channel';

import { asGiven } from './bytes';
import type { DispatchHandler } from './handler-types';
import { bareHostname } from './host';
import { addHeader } from './request-headers';
import type { RequestDescription } from './request';
import type { Connection } from './connection';
import type { PoolSettings } from './options';
import { buildConnector } from './undici';

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
  readonly handler: DispatchHandler;
}

/** The `request` of a message: the same object in every message about one request. */
export class DiagnosticRequest {
  readonly #request: ObservedRequest;

  constructor(request: ObservedRequest) {
    this.#request = request;
  }

  get origin(): string {
    return this.#request.origin;
  }

  get protocol(): string {
    return this.#request.origin.startsWith('https:') ? 'https:' : 'http:';
  }

  get path(): string {
    return this.#request.path;
  }

  get method(): string {
    return this.#request.method;
  }

  get body(): unknown {
    const { body } = this.#request;
    if (body === null) return null;
    return body.kind === 'bytes' ? asGiven(body.bytes) : body.source;
  }

  get host(): string | null {
    return this.#request.host;
  }

  get contentLength(): number | null {
    return this.#request.contentLength;
  }

  get contentType(): string | null {
    return this.#request.contentType;
  }

  get upgrade(): string | null {
    return this.#request.upgradeProtocol;
  }

  get idempotent(): boolean {
    return this.#request.idempotent;
  }

  get blocking(): boolean {
    return this.#request.blocking;
  }

  get reset(): boolean | null {
    return this.#request.reset;
  }

  get servername(): string | null {
    return this.#request.servername;
  }

  get expectContinue(): boolean {
    return this.#request.expectContinue;
  }

  /** Names and values of the fields as they go on the wire: a flat list, repeats repeated. */
  get headers(): string[] {
    const list: string[] = [];
    for (const line of this.#request.lines.split('\r\n')) {
      if (line === '') continue;
      const colon = line.indexOf(': ');
      list.push(line.slice(0, colon), line.slice(colon + 2));
    }
    return list;
  }

  get completed(): boolean {
    return this.#request.completed;
  }

  get aborted(): boolean {
    return this.#request.aborted;
  }

  /** Adds a field; in effect until the head is sent, which is after `undici:request:create`. */
  addHeader(key: string, value: unknown): this {
    addHeader(this.#request, key, value);
    return this;
  }
}

const observed = new WeakMap<ObservedRequest, DiagnosticRequest>();

/** The `request` of messages about this request. */
export function observe(request: ObservedRequest): DiagnosticRequest {
  let facade = observed.get(request);
  if (facade === undefined) {
    facade = new DiagnosticRequest(request);
    observed.set(request, facade);
  }
  return facade;
}

/** Publishes what happens to the connections of one pool. */
export class ConnectionDiagnostics {
  readonly #settings: PoolSettings;
  #connector: unknown;
  /** The newest connection: a subscriber may come when it is already there. */
  #connection: Connection | undefined;
  /** Messages about requests that were handed over before there was a connection. */
  #delayed: (() => void)[] = [];

  constructor(settings: PoolSettings) {
    this.#settings = settings;
  }

  /** The connector of messages: works like undici's own, and stays the same object. */
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
    if (!channels.beforeConnect.hasSubscribers) return;
    channels.beforeConnect.publish({
      connectParams: this.#connectParams(servername),
      connector: this.connector,
    });
  }

  connected(connection: Connection, servername: string | null): void {
    this.#connection = connection;
    this.#proxyConnected(connection);
    if (channels.connected.hasSubscribers) {
      channels.connected.publish({
        connectParams: { ...this.#connectParams(servername), version: connection.info.protocol },
        connector: this.connector,
        socket: connection.socket,
      });
    }
    this.flushDelayed();
  }

  /** The way through a proxy was open before the connection was. */
  #proxyConnected(connection: Connection): void {
    const connectParams = this.#settings.proxy?.connectParams ?? null;
    if (connectParams === null || !channels.proxyConnected.hasSubscribers) return;
    channels.proxyConnected.publish({ socket: connection.socket, connectParams });
  }

  connectError(error: Error, servername: string | null): void {
    this.#delayed = [];
    if (!channels.connectError.hasSubscribers) return;
    channels.connectError.publish({
      connectParams: this.#connectParams(servername),
      connector: this.connector,
      error,
    });
  }

  /** Publishes `message` now, or after `connected` when there is no connection yet. */
  whenConnected(connected: boolean, message: () => void): void {
    if (connected) message();
    else this.#delayed.push(message);
  }

  flushDelayed(): void {
    if (this.#delayed.length === 0) return;
    const messages = this.#delayed;
    this.#delayed = [];
    for (const message of messages) message();
  }

  sendHeaders(request: ObservedRequest, head: string): void {
    const connection = this.#connection;
    const headers = connection?.isMultiplexed === true ? asHttp2(head, this.#settings.url) : head;
    channels.sendHeaders.publish({
      request: observe(request),
      headers,
      socket: connection?.socket,
    });
  }
}

/** A head of HTTP/1.1 as undici shows that of a stream: its fields, then the pseudo-headers. */
function asHttp2(head: string, url: URL): string {
  const [line = '', host = '', , ...fields] = head.split('\r\n');
  const [method, path] = line.split(' ');
  const authority = host.slice('host: '.length);
  const scheme = url.protocol.slice(0, -1);
  const shown = fields.filter((field) => field !== '');
  shown.push(
    `:authority: ${authority}`,
    `:method: ${method}`,
    `:path: ${path}`,
    `:scheme: ${scheme}`,
  );
  return `${shown.join('\r\n')}\r\n`;
}
