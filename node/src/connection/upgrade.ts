/**
 * The byte stream after an upgrade or CONNECT.
 *
 * What lives here: a Duplex over the slot of an upgraded request. The request creates it and passes it
 * to `onRequestUpgrade`; from then on it owns the slot. It must not know handlers.
 *
 * Reading uses the same credit as response bodies, writing the same `Pull` as request bodies.
 */

import { Duplex } from 'node:stream';

import { setImmediate } from '../process';
import type { Session, SlotOwner } from '../session';
import { errors, invalid, symbols } from '../undici';
import {
  BODY_SLICE,
  type Bytes,
  partOf,
  PIECE_OVERHEAD,
  sizeOf,
  type SubmissionWriter,
  viewedBytes,
  CREDIT_STEP,
} from '../wire';
import type { Connection } from './connection';
import { decodeError } from './errors';
import { describeSocket, type Traffic } from './socket-members';

type Done = (error?: Error | null) => void;

interface PendingWrite {
  readonly bytes: Bytes;
  readonly size: number;
  offset: number;
  readonly done: Done;
}

/** Bytes as a Buffer over the same memory, with measured properties; anything else unchanged. */
function measured(chunk: unknown): unknown {
  const bytes = viewedBytes(chunk);
  return bytes === null ? chunk : partOf(bytes, 0, sizeOf(bytes));
}

/**
 * A Duplex with the members of `net.Socket`. It is none: with one that has no handle, `tls.connect` would
 * wait until it is connected.
 */
export class UpgradedSocket extends Duplex implements SlotOwner {
  timeout: number | undefined;
  readonly slot: number;
  readonly generation: number;
  readonly bodySentAt = 0;
  readonly #session: Session;
  readonly #writer: SubmissionWriter;

  #received = 0;
  #accepted = 0;
  #owed = 0;
  #readEnded = false;
  #writeEnded = false;
  #credit = 0;
  #pending: PendingWrite | null = null;
  #final: Done | null = null;

  #referenced = true;
  /** The peer has ended, and the rest is not being read: like a socket, it keeps no process alive. */
  #resting = false;
  #open = true;
  /** Rust has released the stream. */
  #settled = false;
  /** It ends with a reset. */
  #resets = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    connection: Connection | null,
    session: Session,
    owner: Pick<SlotOwner, 'slot' | 'generation'> & { readonly writer: SubmissionWriter },
    isStream: boolean,
  ) {
    // Like net.connect: the end of one side ends the other, and `close` says whether it is an error.
    super({ allowHalfOpen: false, autoDestroy: true, emitClose: false });
    describeSocket(this, connection, () => this.#traffic(connection));
    this.slot = owner.slot;
    this.generation = owner.generation;
    this.#session = session;
    this.#writer = owner.writer;
    if (isStream) {
      // undici expects 200 instead of 101 if these say that the socket is a stream.
      Object.assign(this, {
        [symbols.kHTTP2Stream]: true,
        session: { socket: connection?.socket },
      });
    }
    session.occupy(this);
    session.hold();
  }

  // Reading ----------------------------------------------------------------------------------

  /** An empty chunk is the peer's end, after which Rust may still pull what we write. */
  onData(chunk: Buffer): void {
    if (chunk.length === 0) {
      this.#endReading();
      return;
    }
    this.#touch();
    this.#received += chunk.length;
    this.#owed += chunk.length + PIECE_OVERHEAD;
    if (this.push(chunk)) this.#returnCredit();
  }

  /** Both sides have ended; over HTTP/2 the peer's end means that too, and what still waits is lost. */
  onEnd(): void {
    this.#settled = true;
    this.#credit = Infinity;
    this.#send();
    if (!this.#readEnded) this.#endReading();
  }

  // The end can arrive in the same batch as the upgrade, before the handler has added its listeners.
  // As with a socket, it gets its own turn of the event loop.

  #endReading(): void {
    this.#readEnded = true;
    setImmediate(this.#deliverEnd);
  }

  /**
   * The end is delivered once everything before it was read by a reader that still wants more, and
   * once everything written in the meantime was sent: it ends the other side too, and undici's
   * WebSocket, which responds to what it reads and waits while that is not sent, would lose its last
   * messages.
   */
  readonly #deliverEnd = (): void => {
    if (this.destroyed) return;
    if (this.writableNeedDrain) {
      this.once('drain', () => setImmediate(this.#deliverEnd));
      return;
    }
    if (this.readableFlowing !== true && this.listenerCount('readable') === 0) this.#rest();
    if (this.readableFlowing === false && this.listenerCount('readable') === 0) {
      this.once('resume', () => setImmediate(this.#deliverEnd));
      return;
    }
    if (this.readableFlowing === true && this.readableLength > 0) {
      setImmediate(this.#deliverEnd);
      return;
    }
    this.push(null);
    // There may be no reader: the end must still be noticed.
    this.read(0);
  };

  #rest(): void {
    if (!this.#referenced || !this.#open || this.#resting || this.readableLength === 0) return;
    this.#resting = true;
    this.#session.release();
    this.once('resume', () => {
      if (!this.#resting) return;
      this.#resting = false;
      this.#session.hold();
    });
  }

  onError(batch: Buffer, start: number, end: number): void {
    this.#settled = true;
    const error = decodeError(batch, start, end);
    setImmediate(() => this.destroy(error));
  }

  override _read(): void {
    this.#returnCredit();
  }

  #returnCredit(): void {
    if (this.#owed < CREDIT_STEP || !this.#open) return;
    this.#writer.credit(this.slot, this.generation, this.#owed);
    this.#owed = 0;
    this.#session.scheduleFlush();
  }

  // Writing ----------------------------------------------------------------------------------

  onPull(bytes: number): void {
    this.#credit += bytes;
    this.#send();
  }

  // Node's streams trust a chunk's own properties, so they get measured ones.

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    return super.write(measured(chunk), ...(rest as []));
  }

  override end(chunk?: unknown, ...rest: unknown[]): this {
    return super.end(measured(chunk), ...(rest as []));
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#touch();
    const bytes = viewedBytes(chunk) as Bytes;
    const size = sizeOf(bytes);
    this.#accepted += size;
    this.#pending = { bytes, size, offset: 0, done };
    this.#send();
  }

  override _final(done: Done): void {
    this.#final = done;
    this.#send();
  }

  #send(): void {
    if (!this.#open) return;
    const pending = this.#pending;
    if (pending !== null) {
      if (sizeOf(pending.bytes) !== pending.size) {
        this.destroy(invalid('a chunk was detached while it was being written'));
        return;
      }
      while (this.#credit > 0 && pending.offset < pending.size) {
        const size = Math.min(pending.size - pending.offset, this.#credit, BODY_SLICE);
        const end = pending.offset + size;
        this.#writer.bodyChunk(this.slot, this.generation, pending.bytes, pending.offset, end);
        pending.offset = end;
        this.#credit -= size;
      }
      this.#session.scheduleFlush();
      if (pending.offset < pending.size) return;
      this.#pending = null;
      pending.done();
    }
    if (this.#final !== null && this.#pending === null && !this.#writeEnded) {
      this.#writeEnded = true;
      this.#writer.bodyEnd(this.slot, this.generation);
      this.#session.scheduleFlush();
      this.#final();
    }
  }

  // End --------------------------------------------------------------------------------------

  override _destroy(error: Error | null, done: Done): void {
    clearTimeout(this.#timer);
    if (this.#open) {
      this.#open = false;
      if (this.#settled) {
        this.#session.free(this);
      } else if (this.#readEnded && this.#writeEnded) {
        // Rust finishes by itself. A cancel could cut off bytes that are still being sent, and so could
        // another request in this slot.
        this.#session.cancelled(this);
      } else {
        this.#session.free(this);
        this.#writer.cancel(this.slot, this.generation, this.#resets);
        this.#session.scheduleFlush();
      }
      if (this.#referenced && !this.#resting) this.#session.release();
      this.#resting = false;
    }
    const pending = this.#pending;
    this.#pending = null;
    pending?.done(error ?? new errors.RequestAbortedError());
    done(error);
    // After `error`.
    process.nextTick(() => this.emit('close', error !== null));
  }

  // As net.Socket ----------------------------------------------------------------------------

  /** Keeps the process alive while the stream is open; the default. */
  ref(): this {
    if (!this.#referenced && this.#open) this.#session.hold();
    this.#referenced = true;
    return this;
  }

  unref(): this {
    if (this.#referenced && this.#open && !this.#resting) this.#session.release();
    this.#referenced = false;
    this.#resting = false;
    return this;
  }

  /** Since the connection was opened, with what is still to be written, like Node. */
  #traffic(connection: Connection | null): Traffic {
    const { bytesRead = 0, bytesWritten = 0 } = connection ?? {};
    const waiting = this.writableLength - (this.#pending?.size ?? 0);
    return {
      bytesRead: bytesRead + this.#received,
      bytesWritten: bytesWritten + this.#accepted + waiting,
    };
  }

  get readyState(): string {
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** Emits `timeout` after `milliseconds` without traffic; 0 disables it. */
  setTimeout(milliseconds: number, callback?: () => void): this {
    this.timeout = milliseconds;
    if (callback) {
      if (milliseconds > 0) this.once('timeout', callback);
      else this.removeListener('timeout', callback);
    }
    this.#touch();
    return this;
  }

  #touch(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { timeout = 0 } = this;
    if (timeout <= 0 || !this.#open) return;
    this.#timer = setTimeout(() => this.emit('timeout'), timeout);
    this.#timer.unref();
  }

  /** The pool's option decides. */
  setNoDelay(): this {
    return this;
  }

  /** The pool's option decides. */
  setKeepAlive(): this {
    return this;
  }

  /** Ends the stream, and destroys it once everything written was sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** Closes the connection with a reset, after what is still to be written. */
  resetAndDestroy(): this {
    this.#resets = true;
    if (this.writableLength === 0) this.destroy();
    else this.destroySoon();
    return this;
  }

  // Heads -------------------------------------------------------------------------------------

  onHead(): void {
    this.#unexpected();
  }

  onUpgrade(): void {
    this.#unexpected();
  }

  onAssigned(): void {
    this.#unexpected();
  }

  /** After an upgrade there are only bytes: a head would be a bug in Rust. */
  #unexpected(): void {
    this.destroy(new errors.InformationalError('a head arrived on an upgraded stream'));
  }
}
