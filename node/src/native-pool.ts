/**
 * One pool on the Rust side.
 *
 * What lives here: its creation with the first request, its connections as they were reported, and
 * its end. An `OriginPool` has one for each TLS server name that its requests use. It must not
 * know requests.
 */

import { decodeError } from './errors';
import {
  decodeConnected,
  decodeDisconnected,
  type ConnectInfo,
  type DisconnectInfo,
} from './events';
import type { PoolSettings } from './options';
import { provideDefaultRoots } from './roots';
import type { SendTarget } from './sending';
import type { PoolOwner, Session } from './session';
import type { SubmissionWriter } from './wire/writer';

/** Hears what happens to connections. Called at delivery, so in one order with the handlers' callbacks. */
export interface NativePoolListener {
  connected(pool: NativePool, info: ConnectInfo): void;
  disconnected(pool: NativePool, error: Error, info: DisconnectInfo): void;
  connectFailed(pool: NativePool, error: Error): void;
}

/** A pool of the engine; see above. */
export class NativePool implements PoolOwner, SendTarget {
  readonly id: number;
  readonly writer: SubmissionWriter;
  /** The requests' own server name; `null` where the settings decide. */
  readonly servername: string | null;

  readonly #session: Session;
  readonly #listener: NativePoolListener;
  /** Connections that are up, by serial number. */
  readonly #connections = new Map<number, ConnectInfo>();
  #destroyError: Error | null = null;
  #closed: (() => void) | null = null;

  constructor(
    session: Session,
    settings: PoolSettings,
    servername: string | null,
    listener: NativePoolListener,
  ) {
    this.#session = session;
    this.#listener = listener;
    this.servername = servername;
    if (settings.needsDefaultRoots) provideDefaultRoots(session.native);
    this.id = session.registerPool(this);
    this.writer = session.writerOf(this.id);
    this.writer.poolCreate(this.id, settings.encode(servername ?? undefined));
    session.scheduleFlush();
  }

  /** Number of connections that were reported up and not yet down. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Whether a connection is up. */
  get isConnected(): boolean {
    return this.#connections.size > 0;
  }

  /** Opens a connection if there is none. */
  connect(): void {
    this.writer.poolConnect(this.id);
    this.#session.scheduleFlush();
  }

  /** Ends all connections; resolves when they are gone. Keeps the process alive until then. */
  destroy(error: Error): Promise<void> {
    this.#destroyError = error;
    return new Promise((resolve) => {
      this.#session.hold();
      this.#closed = resolve;
      this.writer.poolDestroy(this.id);
      this.#session.scheduleFlush();
    });
  }

  onConnected(connection: number, batch: Buffer, start: number, end: number): void {
    const info = decodeConnected(batch, start, end);
    this.#connections.set(connection, info);
    this.#listener.connected(this, info);
  }

  onDisconnected(connection: number, batch: Buffer, start: number, end: number): void {
    const connected = this.#connections.get(connection);
    this.#connections.delete(connection);
    const context = { connected, destroyError: this.#destroyError };
    const { error, info } = decodeDisconnected(batch, start, end, context);
    this.#listener.disconnected(this, error, info);
  }

  onConnectFailed(_connection: number, batch: Buffer, start: number, end: number): void {
    this.#listener.connectFailed(this, decodeError(batch, start, end));
  }

  onPoolClosed(): void {
    const closed = this.#closed;
    this.#closed = null;
    if (closed === null) return;
    this.#session.release();
    closed();
  }
}
