/**
 * A connection as seen from JavaScript: its details, and the socket it exposes.
 *
 * What lives here: the state of a connection from its `connect` to its `disconnect`, and the
 * stand-in for its socket, which is in Rust. The native pool has one per connection; diagnostics
 * messages and undici's `kSocket` expose the stand-in. It must not know requests.
 */

import { Socket } from 'node:net';

import type { Dispatcher } from '../undici';
import { WireCloseReason } from '../wire';
import { closeReasonError, socketInfo } from './errors';
import type { ConnectInfo, DisconnectInfo } from './events';
import { describeSocket } from './socket-members';

/**
 * What is available of a socket: what it tells about the connection, its end, `close`, and whether it
 * is full. It is a `net.Socket`, as undici's types and messages require, but not connected: it cannot be
 * read or written, because the real one is in Rust.
 */
export class ConnectionSocket extends Socket {
  declare readonly alpnProtocol: string | false;
  declare readonly encrypted: boolean;
  declare destroyed: boolean;

  readonly #connection: Connection;

  constructor(connection: Connection) {
    super();
    this.#connection = connection;
    describeSocket(this, connection, () => connection);
    this.alpnProtocol ??= false;
    this.encrypted ??= false;
    const destroyed = { configurable: true, enumerable: true, writable: true, value: false };
    Object.defineProperty(this, 'destroyed', destroyed);
    const needDrain = { configurable: true, get: (): boolean => connection.needsDrain };
    Object.defineProperty(this, 'writableNeedDrain', needDrain);
    const state = (this as unknown as { _writableState: object })._writableState;
    Object.defineProperty(state, 'needDrain', { ...needDrain, set: () => undefined });
  }

  /** Closes the connection at once. `close` follows. */
  override destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#connection.destroy(error ?? null);
    return this;
  }
}

/** What a connection needs from its pool. */
export interface ConnectionHost {
  /** Closes the connection with this serial number; its `disconnect` follows. */
  destroyConnection(connection: Connection, error: unknown): void;
  /** Like `destroyConnection`, when no request is on it. */
  endConnection(connection: Connection): void;
  /** Like `endConnection`, but its requests are replayed, or finish first. */
  giveUpConnection(connection: Connection): void;
  /** Whether a request body on its connections waits for credit. */
  readonly needsDrain: boolean;
}

/** See above. */
export class Connection {
  /** The error that the user ended it with; `null` if there is none. */
  destroyError: unknown = null;
  /** What undici's users see as the client of this connection, created on demand. */
  client: Dispatcher | null = null;
  /** Concurrent requests of an HTTP/2 connection; one until the server has announced its limit. */
  streams = 1;
  /** Until it no longer counts; `whenEnded` and the socket's `close` follow. */
  isUp = true;
  /** The host was asked to end it. */
  isEnding = false;
  /** Counted when it ended. */
  bytesRead = 0;
  bytesWritten = 0;

  readonly #host: ConnectionHost;
  #socket: ConnectionSocket | null = null;
  #whenEnded: Promise<void> | null = null;
  #resolveEnd: (() => void) | null = null;
  #hasEnded = false;

  constructor(
    readonly serial: number,
    readonly info: ConnectInfo,
    host: ConnectionHost,
  ) {
    this.#host = host;
  }

  /** Always the same object. */
  get socket(): ConnectionSocket {
    return (this.#socket ??= new ConnectionSocket(this));
  }

  /** Whether its requests are separate streams. */
  get isMultiplexed(): boolean {
    return this.info.protocol !== 'h1';
  }

  /** Ends it and its requests with `error`, or with one that says "closed". */
  destroy(error: unknown): void {
    this.destroyError = error;
    this.#host.destroyConnection(this, error);
  }

  /** Whether a request body on it waits for credit. */
  get needsDrain(): boolean {
    return this.isUp && this.#host.needsDrain;
  }

  /** The waiting body has been sent: notifies those who observe the socket. */
  drained(): void {
    this.#socket?.emit('drain');
  }

  /** Ends it with this error while no request is on it. */
  end(error: Error): void {
    this.destroyError = error;
    this.#host.endConnection(this);
  }

  /** A request that was about to be sent on it was aborted; its other requests are unaffected. */
  giveUp(): void {
    this.#host.giveUpConnection(this);
  }

  /** What a request on it fails with when it is closed without a reason. */
  closedError(): Error {
    return closeReasonError(WireCloseReason.IoError, { socket: socketInfo(this.info, 0, 0) });
  }

  /** Resolves when it has ended. */
  get whenEnded(): Promise<void> {
    this.#whenEnded ??= new Promise((resolve) => {
      if (this.#hasEnded) resolve();
      else this.#resolveEnd = resolve;
    });
    return this.#whenEnded;
  }

  /** It has ended: the stand-in, if it exists, emits `close`. */
  ended({ bytesRead, bytesWritten }: DisconnectInfo): void {
    this.bytesRead = bytesRead;
    this.bytesWritten = bytesWritten;
    this.#hasEnded = true;
    this.#resolveEnd?.();
    const socket = this.#socket;
    if (socket === null) return;
    socket.destroyed = true;
    socket.emit('close', this.destroyError !== null);
  }
}
