/**
 * The outgoing side of a request whose body does not fit into its first record.
 *
 * What lives here: credit, splitting of chunks into slices, the check of the declared length.
 * `sources.ts` feeds it, the request owns it. It must not know handlers or pools.
 *
 * Rust grants credit with `Pull`; JavaScript never sends more than was granted, except what is available
 * when the request is sent, up to one slice: it goes with the head, so that a server that responds
 * immediately does not respond before it arrived. What a source offers beyond the credit waits here,
 * and the source is asked to stop.
 */

import { now } from '../process';
import { errors } from '../undici';
import {
  BODY_SLICE,
  type Bytes,
  bytesOfText,
  partOf,
  sizeOf,
  type SubmissionWriter,
  viewedBytes,
} from '../wire';

/** What the outgoing side needs from its request. */
export interface BodyOwner {
  readonly slot: number;
  readonly generation: number;
  /** Whether the request has settled: then nothing may be sent for it. */
  readonly settled: boolean;
  readonly writer: SubmissionWriter;
  scheduleFlush(): void;
  /** Like `scheduleFlush`, if the source may have more slices in this turn. */
  scheduleBodyFlush(): void;
  /** A chunk of the source was sent completely. */
  bodySent(chunk: Uint8Array | string): void;
  /** Everything offered was sent, and the source continues. */
  bodyDrained(): void;
  /** The whole body was sent. */
  requestSent(): void;
  /** Fails the request. */
  abortWith(error: Error): void;
}

interface Waiting {
  readonly bytes: Bytes;
  /** Size of `bytes` when offered: it drops to zero if the user detaches the memory in the meantime. */
  readonly size: number;
  readonly chunk: Uint8Array | string;
  offset: number;
}

/** How far the engine is with the request: it has no record of it, has one, asks for the body. */
type Engine = 'unaware' | 'submitted' | 'writing';

/** The state of the source; `short`: it ended before the declared length. */
type Source = 'going' | 'stopped' | 'ended' | 'ended short' | 'sent';

/**
 * Sends a body slice by slice, as far as there is credit.
 *
 * ```text
 * source   going ⇄ stopped ─ end ─▶ ended, ended short ─ all submitted ─▶ sent
 * engine   unaware ─ start ─▶ submitted ─ grant ─▶ writing
 * ```
 */
export class OutgoingBody {
  readonly #owner: BodyOwner;
  /** Declared length; `null` for chunked. */
  readonly #length: number | null;
  readonly #strict: boolean;
  /** Asks the source for more, once everything it had to stop for was sent. */
  onDrain: (() => void) | null = null;

  #engine: Engine = 'unaware';
  #source: Source = 'going';
  #onBegun: (() => void) | null = null;
  #credit = 0;
  #accepted = 0;
  #waiting: Waiting[] = [];
  #sentAt = Number.POSITIVE_INFINITY;
  #warned = false;

  constructor(owner: BodyOwner, length: number | null, strict: boolean) {
    this.#owner = owner;
    this.#length = length;
    this.#strict = strict;
  }

  /** Whether the whole body was sent. */
  get finished(): boolean {
    return this.#source === 'sent';
  }

  /** When its end was sent, by `now()`; `Infinity` before that. */
  get sentAt(): number {
    return this.#sentAt;
  }

  /** Whether a chunk waits for credit. */
  get waits(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether everything offered was sent, and the request continues. */
  get drained(): boolean {
    return this.#waiting.length === 0 && !this.#owner.settled;
  }

  /** Whether the source ended, sent or not. */
  get ended(): boolean {
    return this.#source !== 'going' && this.#source !== 'stopped';
  }

  /** Bytes the source has offered so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /**
   * The request's first record was written: slices may follow from now on; with `withHead`, what its
   * source has offered before follows immediately.
   */
  start(withHead: boolean): void {
    this.#engine = 'submitted';
    if (withHead) this.#credit = Math.min(this.#accepted, BODY_SLICE);
    this.#send();
  }

  /** Bytes reported to its request as sent. */
  get reported(): number {
    return this.#waiting.reduce((sum, { size }) => sum - size, this.#accepted);
  }

  /** `bytes` more are requested. */
  grant(bytes: number): void {
    this.#engine = 'writing';
    this.#credit += bytes;
    this.#send();
    const onBegun = this.#onBegun;
    this.#onBegun = null;
    onBegun?.();
  }

  /**
   * Calls back when the engine has begun to write what was sent: immediately if nothing was sent yet,
   * or if the engine has asked for more since.
   */
  whenBegun(callback: () => void): void {
    if (this.#engine === 'submitted') this.#onBegun = callback;
    else callback();
  }

  /**
   * Offers a chunk. Returns whether the source may continue immediately; otherwise `onDrain` follows.
   *
   * @throws RequestContentLengthMismatchError if strict and the body exceeds its length; TypeError if
   * the chunk is neither text nor bytes.
   */
  write(chunk: Uint8Array | string): boolean {
    if (this.#owner.settled) return false;
    let bytes = bytesOfChunk(chunk);
    let size = sizeOf(bytes);
    if (size === 0) return true;
    let sent = chunk;
    if (this.#length !== null && this.#accepted + size > this.#length) {
      if (this.#strict) throw new errors.RequestContentLengthMismatchError();
      this.#warn();
      // The server would read bytes beyond the declared length as the next request.
      size = this.#length - this.#accepted;
      if (size === 0) return true;
      sent = partOf(bytes, 0, size);
      bytes = bytesOfChunk(sent);
    }
    this.#accepted += size;
    this.#waiting.push({ bytes, size, chunk: sent, offset: 0 });
    this.#send();
    if (this.#waiting.length === 0) return true;
    if (this.#source === 'going') this.#source = 'stopped';
    return false;
  }

  /**
   * The source ended.
   *
   * @throws RequestContentLengthMismatchError if strict and the body is shorter than declared.
   */
  end(): void {
    if (this.#owner.settled || this.ended) return;
    const isShort = this.#length !== null && this.#accepted !== this.#length;
    if (isShort) {
      if (this.#strict) throw new errors.RequestContentLengthMismatchError();
      this.#warn();
    }
    this.#source = isShort ? 'ended short' : 'ended';
    this.#send();
  }

  #warn(): void {
    if (this.#warned) return;
    this.#warned = true;
    process.emitWarning(new errors.RequestContentLengthMismatchError());
  }

  #send(): void {
    const owner = this.#owner;
    if (this.#engine === 'unaware' || owner.settled || this.finished) return;
    let wrote = false;
    while (this.#waiting.length > 0 && this.#credit > 0) {
      const first = this.#waiting[0] as Waiting;
      if (sizeOf(first.bytes) !== first.size) {
        owner.abortWith(new errors.RequestContentLengthMismatchError());
        return;
      }
      const size = Math.min(first.size - first.offset, this.#credit, BODY_SLICE);
      owner.writer.bodyChunk(
        owner.slot,
        owner.generation,
        first.bytes,
        first.offset,
        first.offset + size,
      );
      wrote = true;
      first.offset += size;
      this.#credit -= size;
      if (first.offset < first.size) continue;
      this.#waiting.shift();
      owner.bodySent(first.chunk);
      if (owner.settled) break;
    }
    if (owner.settled) return;
    if (this.ended && this.#waiting.length === 0) {
      if (this.#source === 'ended short') owner.writer.bodyLeft(owner.slot, owner.generation);
      else owner.writer.bodyEnd(owner.slot, owner.generation);
      wrote = true;
      this.#source = 'sent';
      this.#sentAt = now();
      owner.requestSent();
    }
    if (!wrote) return;
    if (this.ended || this.#waiting.length > 0) {
      owner.scheduleFlush();
      return;
    }
    owner.scheduleBodyFlush();
    if (this.#source !== 'stopped') return;
    this.#source = 'going';
    this.onDrain?.();
    owner.bodyDrained();
  }
}

/**
 * Text is sent as UTF-8.
 *
 * @throws TypeError with Node's code `ERR_INVALID_ARG_TYPE` for anything but text and bytes.
 */
function bytesOfChunk(chunk: unknown): Bytes {
  const bytes = typeof chunk === 'string' ? bytesOfText(chunk) : viewedBytes(chunk);
  if (bytes !== null) return bytes;
  const error = new TypeError(
    `The "chunk" argument must be of type string or an instance of Buffer, TypedArray, or DataView. Received ${chunk === null ? 'null' : typeof chunk}`,
  );
  throw Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}
