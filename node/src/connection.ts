/**
 * A connection as JavaScript knows it: its details, and the socket it shows.
 *
 * What lives here: the record of a connection from its `connect` to its `disconnect`, and the
 * stand-in for the socket, which lives in Rust. The native pool keeps one for each connection;
 * diagnostics messages and undici's `kSocket` show the stand-in. It must not know requests.
 */

import { Socket } from 'node:net';

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
 * What there is of a socket: addresses, its end, and `close`. It is a `net.Socket`, for those who
 * ask, that was never connected: it cannot be read or written, because the real one lives in Rust.
 */
export class ConnectionSocket extends Socket {
  readonly #owner: SocketOwner;

  constructor(owner: SocketOwner) {
    super();
    this.#owner = owner;
    const { localAddress, localPort, remoteAddress, remotePort, tls } = owner.info;
    const family = remoteAddress?.includes(':') ? 'IPv6' : 'IPv4';
    const shown = {
      localAddress,
      localPort,
      remoteAddress,
      remotePort,
      remoteFamily: remoteAddress === undefined ? undefined : family,
      alpnProtocol: tls?.alpn ?? false,
      encrypted: tls !== undefined,
    };
    for (const [name, value] of Object.entries(shown)) {
      // Node's own are getters, which ask a handle that is not there.
      Object.defineProperty(this, name, { value, enumerable: true, configurable: true });
    }
  }

  /** From now on it says that it is. Node declares the property, which has a setter, as read-only. */
  markDestroyed(): void {
    (this as { destroyed: boolean }).destroyed = true;
  }

  /** Closes the connection at once. `close` follows. */
  override destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.markDestroyed();
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
}

/** The client that events name. */
export type ConnectionClient = Dispatcher;

/** See above. */
export class Connection implements SocketOwner {
  /** The error that the user ended it with; `null` if there is none. */
  destroyError: unknown = null;
  /** What undici's users see as the client of this connection, made when somebody looks. */
  client: ConnectionClient | null = null;
  /** Until it no longer counts; `whenEnded` and the socket's `close` follow. */
  isUp = true;

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

  destroy(error: unknown): void {
    this.destroyError = error;
    this.#host.destroyConnection(this, error);
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
    socket.markDestroyed();
    socket.emit('close', this.destroyError !== null);
  }
}
