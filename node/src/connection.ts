/**
 * A connection as JavaScript knows it: its details, and the socket it shows.
 *
 * What lives here: the record of a connection from its `connect` to its `disconnect`, and the
 * stand-in for the socket, which lives in Rust. The native pool keeps one for each connection;
 * diagnostics messages and undici's `kSocket` show the stand-in. It must not know requests.
 */

import { EventEmitter } from 'node:events';

import { closeReasonError } from './errors';
import { type ConnectInfo, socketInfo } from './events';
import type { Dispatcher } from './undici';
import { WireCloseReason } from './wire/generated';

/** What a stand-in can do to its connection. */
export interface SocketOwner {
  readonly info: ConnectInfo;
  /** Ends the connection, and what runs on it with `error`, or with one that says "closed". */
  destroy(error: unknown): void;
}

/**
 * What there is of a socket: addresses, its end, and `close`. It cannot be read or written, because
 * the real one lives in Rust.
 */
export class ConnectionSocket extends EventEmitter {
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly alpnProtocol: string | false;
  readonly encrypted: boolean;
  destroyed = false;

  readonly #owner: SocketOwner;

  constructor(owner: SocketOwner) {
    super();
    const { info } = owner;
    this.localAddress = info.localAddress;
    this.localPort = info.localPort;
    this.remoteAddress = info.remoteAddress;
    this.remotePort = info.remotePort;
    this.alpnProtocol = info.tls?.alpn ?? false;
    this.encrypted = info.tls !== undefined;
    this.#owner = owner;
  }

  /** The local end, as `net.Socket` has it. */
  address(): { address?: string; family?: string; port?: number } {
    const { localAddress, localPort } = this;
    if (localAddress === undefined || localPort === undefined) return {};
    const family = localAddress.includes(':') ? 'IPv6' : 'IPv4';
    return { address: localAddress, family, port: localPort };
  }

  /** Closes the connection at once. `close` follows. */
  destroy(error?: unknown): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#owner.destroy(error ?? null);
    return this;
  }
}

interface PromiseWithEnd {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** What a connection tells and asks. */
export interface ConnectionHost {
  /** Closes the connection with this serial number; its `disconnect` follows. */
  destroyConnection(connection: Connection, error: unknown): void;
  /** As `destroyConnection`, when nothing runs on it. */
  endConnection(connection: Connection): void;
}

/** The client that events name. */
export type ConnectionClient = Dispatcher;

/** See above. */
export class Connection implements SocketOwner {
  /** The error that the user ended it with; `null` if there is none. */
  destroyError: unknown = null;
  /** What undici's users see as the client of this connection, made when somebody looks. */
  client: ConnectionClient | null = null;
  /** Requests that an HTTP/2 connection takes at once; one until the server has said. */
  streams = 1;
  /** Until it no longer counts; `whenEnded` and the socket's `close` follow. */
  isUp = true;
  /** The host was asked to end it. */
  isEnding = false;

  readonly #host: ConnectionHost;
  #socket: ConnectionSocket | null = null;
  #end: PromiseWithEnd | null = null;
  #hasEnded = false;

  constructor(
    readonly serial: number,
    readonly info: ConnectInfo,
    host: ConnectionHost,
  ) {
    this.#host = host;
  }

  /** The same object whoever asks. */
  get socket(): ConnectionSocket {
    return (this.#socket ??= new ConnectionSocket(this));
  }

  /** Whether its requests are streams of their own. */
  get isMultiplexed(): boolean {
    return this.info.protocol === 'h2';
  }

  destroy(error: unknown): void {
    this.destroyError = error;
    this.#host.destroyConnection(this, error);
  }

  /** Ends it with this error while nothing runs on it. */
  end(error: Error): void {
    this.destroyError = error;
    this.#host.endConnection(this);
  }

  /** What a request on it fails with when it is closed without a reason. */
  closedError(): Error {
    return closeReasonError(WireCloseReason.IoError, { socket: socketInfo(this.info, 0, 0) });
  }

  /** Resolves when it has ended. */
  get whenEnded(): Promise<void> {
    if (this.#hasEnded) return Promise.resolve();
    if (this.#end === null) {
      let resolve: () => void = () => undefined;
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#end = { promise, resolve };
    }
    return this.#end.promise;
  }

  /** It has ended: the stand-in, if somebody has it, says so. */
  ended(): void {
    this.#hasEnded = true;
    this.#end?.resolve();
    const socket = this.#socket;
    if (socket === null) return;
    socket.destroyed = true;
    socket.emit('close', this.destroyError !== null);
  }
}
