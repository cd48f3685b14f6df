/**
 * One pool on the Rust side.
 *
 * What lives here: its creation with the first request, its connections as they were reported, and
 * its end. An `OriginDispatcher` has one for each TLS server name that its requests use. It must not
 * know requests.
 */

import {
  Connection,
  type ConnectionHost,
  type ConnectionStatus,
  decodeConnected,
  decodeDisconnected,
  decodeError,
  decodeReady,
  decodeStatuses,
  type DisconnectInfo,
} from '../connection';
import type { SendTarget } from '../request';
import {
  encodeSettings,
  type LookupResult,
  Lookups,
  type PoolSettings,
  settle,
  tlsWays,
  trustsDefaultRoots,
  warnIfUnverified,
} from '../options';
import { provideDefaultRoots } from '../process';
import type { PoolOwner, Session } from '../session';
import { errors } from '../undici';
import { type PoolCommand, Submission, type SubmissionWriter } from '../wire';

/** Hears what happens to connections. Called at delivery, so in one order with the handlers' callbacks. */
export interface NativePoolListener {
  connected(pool: NativePool, connection: Connection): void;
  /** An HTTP/2 connection takes this many concurrent requests from now on. */
  concurrencyChanged(connection: Connection, streams: number): void;
  /** The peer of an HTTP/2 connection has acknowledged a PING after this many milliseconds. */
  ponged(milliseconds: number): void;
  /** A connection has ended and no longer counts. */
  disconnected(pool: NativePool, connection: Connection, error: Error, info: DisconnectInfo): void;
  connectFailed(pool: NativePool, error: Error): void;
  /** No request waited for the connection any more. */
  connectGivenUp(pool: NativePool): void;
  /** The user ends a connection with this error, or `null`. */
  connectionDestroyed(connection: Connection, error: unknown): void;
  /** Whether a request body waits for credit on a connection. */
  readonly needsBodyDrain: boolean;
}

/** A payload, which is valid only during the call that has it as arguments. */
type Payload = [batch: Buffer, start: number, end: number];

/** What its field of a record holds. */
const MOST_PIPELINING = 2 ** 32 - 1;

/** A pool of the engine; see above. */
export class NativePool implements PoolOwner, SendTarget, ConnectionHost {
  readonly id: number;
  readonly writer: SubmissionWriter;
  /** The requests' own server name; `null` where the settings decide. */
  readonly servername: string | null;

  readonly #session: Session;
  readonly #listener: NativePoolListener;
  /** Open connections, by serial number. */
  readonly #connections = new Map<number, Connection>();
  readonly #settings: PoolSettings;
  readonly #lookups: Lookups;
  #lastQuestion = 0;
  readonly #questions = new Map<number, (failed: boolean, payload: Payload | null) => void>();
  /** Why an attempt has failed while there are questions. */
  #attemptError: Error | null = null;
  #destroyError: Error | null = null;
  #whenGone: (() => void) | null = null;
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
    this.#settings = settings;
    this.#lookups = new Lookups(settings);
    const options = this.#describe();
    this.id = session.pools.register(this);
    this.writer = session.writerOf(this.id);
    this.writer.poolOptions(Submission.PoolCreate, this.id, options);
    session.scheduleFlush();
  }

  /** The options with the current process settings; warns and loads roots as these require. */
  #describe(): Uint8Array {
    const ways = tlsWays(this.#settings);
    for (const connect of ways) warnIfUnverified(settle(connect));
    if (ways.some(trustsDefaultRoots)) provideDefaultRoots(this.#session.native);
    this.#session.processSettings.watch(ways);
    return encodeSettings(this.#settings, this.servername);
  }

  /** Process settings have changed: the next connection follows them. */
  onProcessChanged(): void {
    this.writer.poolOptions(Submission.PoolConfigure, this.id, this.#describe());
    this.#session.scheduleFlush();
  }

  /** Connections reported as open and not yet as ended, oldest first. */
  get connections(): Iterable<Connection> {
    return this.#connections.values();
  }

  connection(serial: number): Connection | null {
    return this.#connections.get(serial) ?? null;
  }

  /** Whether a connection is open. */
  get isConnected(): boolean {
    return this.#connections.size > 0;
  }

  /** Opens a connection if there is none. */
  connect(): void {
    this.#session.pools.keep(this.id, this);
    this.#command(Submission.PoolConnect);
  }

  /** What its connections are doing. */
  async inspect(): Promise<ConnectionStatus[]> {
    const statuses = await this.#ask((question) => {
      this.writer.command(Submission.PoolInspect, this.id, question);
      return (...payload) => decodeStatuses(this.#settings.url.origin, ...payload);
    });
    return (statuses ?? []).map((status) => ({ ...status, id: this.#idOf(status) }));
  }

  /** The name of a connection in this environment. */
  #idOf({ id = '' }: { id?: string }): string {
    return `${this.id}-${id}`;
  }

  /** Opens connections until `count` are ready; resolves with how many are. */
  async preconnect(count: number): Promise<number> {
    const ready = await this.#ask((question) => {
      this.writer.poolPreconnect(this.id, question, count);
      return decodeReady;
    });
    if (ready === null) {
      // It was closed meanwhile; an agent does that when an attempt has failed and nothing is left.
      throw this.#attemptError ?? this.#destroyError ?? new errors.ClientDestroyedError();
    }
    return ready;
  }

  /** Asks Rust, and keeps the process alive for the answer; `null` if the pool ends before. */
  #ask<T>(submit: (question: number) => (...payload: Payload) => T): Promise<T | null> {
    const question = ++this.#lastQuestion;
    this.#session.hold();
    this.#session.pools.keep(this.id, this);
    const answer = new Promise<T | null>((resolve, reject) => {
      const decode = submit(question);
      this.#questions.set(question, (failed, payload) => {
        this.#session.release();
        if (payload === null) resolve(null);
        else if (failed) reject(this.#failure(...payload));
        else resolve(decode(...payload));
      });
    });
    this.#session.scheduleFlush();
    return answer;
  }

  onAnswer(question: number, failed: boolean, ...payload: Payload): void {
    const answer = this.#questions.get(question);
    this.#questions.delete(question);
    answer?.(failed, payload);
    this.#letGo();
  }

  /** Ends when its requests have ended, and then calls `gone`. It must get no more. */
  retire(gone: () => void): void {
    this.#whenGone = gone;
    this.#command(Submission.PoolClose);
  }

  /** Sets the pipelining depth of its HTTP/1.1 connections, including open ones. */
  set pipelining(depth: number) {
    this.writer.poolPipelining(this.id, Math.max(0, Math.min(depth, MOST_PIPELINING)));
    this.#session.scheduleFlush();
  }

  /** Ends all connections; resolves when they are gone. Keeps the process alive until then. */
  destroy(error: Error): Promise<void> {
    this.#destroyError = error;
    this.#session.pools.keep(this.id, this);
    return new Promise((resolve) => {
      this.#session.hold();
      this.#closed = resolve;
      this.#command(Submission.PoolDestroy);
    });
  }

  onConnected(connection: number, batch: Buffer, start: number, end: number): void {
    if (this.#connections.size === 0) this.#session.pools.keep(this.id, this);
    const { clock } = this.#session;
    clock.check();
    const { timings, ...info } = decodeConnected(batch, start, end);
    const times = { ...timings, start: clock.epoch + (timings.start ?? 0) };
    const id = this.#idOf(info);
    const made = new Connection(connection, { ...info, id, timings: times }, this);
    this.#connections.set(connection, made);
    this.#listener.connected(this, made);
  }

  onConcurrency(connection: number, streams: number): void {
    const changed = this.#connections.get(connection);
    if (changed !== undefined) this.#listener.concurrencyChanged(changed, streams);
  }

  onPong(connection: number, milliseconds: number): void {
    if (this.#connections.has(connection)) this.#listener.ponged(milliseconds);
  }

  onDisconnected(connection: number, batch: Buffer, start: number, end: number): void {
    const ended = this.#connections.get(connection);
    if (ended === undefined) return;
    this.#connections.delete(connection);
    if (ended.isEnding) this.#session.release();
    const context = { connected: ended.info, destroyError: this.#destroyError };
    const { error, info } = decodeDisconnected(batch, start, end, context);
    ended.isUp = false;
    this.#letGo();
    try {
      this.#listener.disconnected(this, ended, (ended.destroyError as Error | null) ?? error, info);
    } finally {
      ended.ended(info);
    }
  }

  get needsDrain(): boolean {
    return this.#listener.needsBodyDrain;
  }

  destroyConnection(connection: Connection, error: unknown): void {
    if (!this.#connections.has(connection.serial)) return;
    this.#listener.connectionDestroyed(connection, error);
    this.endConnection(connection);
  }

  endConnection(connection: Connection): void {
    this.#end(connection, Submission.ConnectionDestroy);
  }

  giveUpConnection(connection: Connection): void {
    this.#end(connection, Submission.ConnectionGiveUp);
  }

  #end(connection: Connection, command: PoolCommand): void {
    if (!this.#connections.has(connection.serial)) return;
    // Its end is near: as with a Node socket, the process waits for it.
    if (!connection.isEnding) {
      connection.isEnding = true;
      this.#session.hold();
    }
    this.#command(command, connection.serial);
  }

  #command(kind: PoolCommand, connection?: number): void {
    this.writer.command(kind, this.id, connection);
    this.#session.scheduleFlush();
  }

  /** Without connections nothing but its user needs it, unless it is being destroyed. */
  #letGo(): void {
    if (this.#connections.size > 0 || this.#questions.size > 0 || this.#closed !== null) return;
    this.#session.pools.letGo(this.id, this);
  }

  onConnectFailed(_connection: number, batch: Buffer, start: number, end: number): void {
    const error = this.#failure(batch, start, end);
    if (this.#questions.size > 0) this.#attemptError = error;
    this.#listener.connectFailed(this, error);
    this.#letGo();
  }

  /** Why an attempt failed: what JavaScript was asked and has failed with is kept while there are others to tell. */
  #failure(...payload: Payload): Error {
    const error = decodeError(...payload);
    if (this.#questions.size === 0) this.#lookups.forget(error);
    return error;
  }

  onConnectGivenUp(): void {
    this.#listener.connectGivenUp(this);
    this.#letGo();
  }

  onLookup(lookup: number, host: string): void {
    this.#lookups.ask(host, (answer) => this.#answer(lookup, answer));
  }

  onIdentity(lookup: number, isProxy: boolean, question: Buffer): void {
    this.#lookups.judge(isProxy, question, (answer) => this.#answer(lookup, answer));
  }

  onAddress(lookup: number, isProxied: boolean, question: string): void {
    this.#lookups.judgeAddress(isProxied, question, (answer) => this.#answer(lookup, answer));
  }

  #answer(lookup: number, answer: LookupResult): void {
    this.writer.lookupResult(this.id, lookup, answer);
    this.#session.scheduleFlush();
  }

  onPoolClosed(): void {
    this.#lookups.clear();
    for (const answer of this.#questions.values()) answer(false, null);
    this.#questions.clear();
    this.#whenGone?.();
    const closed = this.#closed;
    this.#closed = null;
    if (closed === null) return;
    this.#session.release();
    closed();
  }
}
