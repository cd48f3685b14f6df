/**
 * The body of a response between the dispatcher and its reader.
 *
 * What lives here: buffered chunks, one reader, and the pause that bounds the buffer. A hop feeds
 * it; `ResponseBody` reads it. It must not know responses or streams, and holds no reference to
 * them: a response that its user has dropped can be collected while its body arrives.
 *
 * ```text
 *         ┌ push ┐
 * open ───┴──────┴─ end ─▶ ended      cancel: failed, and the request is aborted
 *   └─────── fail, cancel ─▶ failed
 * ```
 */

/** Controls the body's source. */
export interface Feeder {
  pause(): void;
  resume(): void;
  abort(reason?: Error): void;
}

/** Takes the chunks. */
export interface BodyReader {
  /** Whether somebody waits for what comes next. */
  readonly isWaiting: boolean;
  /** There is more, or the end, or an error. */
  ready(): void;
}

/**
 * Bytes buffered for a reader beyond which the source is paused. 64 KiB, as in undici; the engine
 * holds the rest of the window. A whole body of that size is not worth a pause.
 */
const ENOUGH = 64 * 1024;

/** One piece of memory with the bytes of all. */
function copyOf(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const copy = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    copy.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return copy;
}

/** Told when the body is over; the fetch it belongs to. */
export interface BodyOwner {
  /** The body was read to its end, failed, or was cancelled. Called once. */
  bodyOver(): void;
}

/** See above. */
export class IncomingBody {
  #feeder: Feeder;
  #owner: BodyOwner | null;
  #chunks: Uint8Array[] = [];
  #size = 0;
  #state: 'open' | 'ended' | 'failed' = 'open';
  #error: unknown = undefined;
  #reader: BodyReader | null = null;
  /** The reader waits for the complete body. */
  #isGreedy = false;
  #isPaused = false;
  /** Bytes received so far. */
  received = 0;

  constructor(feeder: Feeder, owner: BodyOwner | null) {
    this.#feeder = feeder;
    this.#owner = owner;
  }

  /** Whether the body has ended or failed. */
  get isOver(): boolean {
    return this.#state !== 'open';
  }

  /** Whether the body is complete. */
  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** Whether no chunk is buffered. */
  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Whether somebody waits for what comes next. */
  get isAwaited(): boolean {
    return this.#reader?.isWaiting ?? false;
  }

  get hasFailed(): boolean {
    return this.#state === 'failed';
  }

  /** The error it failed with. */
  get error(): unknown {
    return this.#error;
  }

  // The feeding side -------------------------------------------------------------------------

  /** Changes the source: to a decoder in front of the dispatcher. */
  set feeder(feeder: Feeder) {
    this.#feeder = feeder;
  }

  push(chunk: Uint8Array): void {
    if (this.#state !== 'open' || chunk.byteLength === 0) return;
    this.#chunks.push(chunk);
    this.#size += chunk.byteLength;
    this.received += chunk.byteLength;
    if (this.#isGreedy) return;
    this.#reader?.ready();
    if (this.#size > ENOUGH && !this.#isPaused && this.#state === 'open') {
      this.#isPaused = true;
      this.#feeder.pause();
    }
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#reader?.ready();
  }

  /** A truncated body is useless: buffered chunks are dropped. */
  fail(error: unknown): void {
    if (this.#state === 'failed' || (this.#state === 'ended' && this.#owner === null)) return;
    this.#state = 'failed';
    this.#error = error;
    this.#drop();
    this.#over();
    this.#reader?.ready();
  }

  // The reading side -------------------------------------------------------------------------

  /** The reader takes chunks one by one; `ready` is called after each that arrives. */
  read(reader: BodyReader): void {
    this.#reader = reader;
  }

  /** Like `read`, for a reader that waits for the end: `ready` is called once, at the end. */
  readAll(reader: BodyReader): void {
    this.#isGreedy = true;
    this.#reader = reader;
    this.#resume();
  }

  /**
   * Everything buffered, copied into its own memory: a read costs more than copying what it can
   * return. `null`: nothing is buffered.
   */
  take(): Uint8Array | null {
    const chunks = this.#chunks;
    const taken = chunks.length === 0 ? null : copyOf(chunks, this.#size);
    this.#drop();
    this.#resume();
    if (this.#state === 'ended' && this.#chunks.length === 0) this.#over();
    return taken;
  }

  /** All of an ended body, in its own memory unless there is only one chunk. */
  takeAll(): Uint8Array {
    const chunks = this.#chunks;
    const [only] = chunks;
    const all = chunks.length === 1 ? (only as Uint8Array) : Buffer.concat(chunks, this.#size);
    this.#drop();
    this.#over();
    return all;
  }

  /** A second body with the same bytes; only of one that has ended and has not been read. */
  fork(): IncomingBody {
    const other = new IncomingBody(this.#feeder, null);
    other.#chunks = [...this.#chunks];
    other.#size = this.#size;
    other.#state = this.#state;
    return other;
  }

  /** The rest is not wanted. */
  cancel(reason: unknown): void {
    const wasOpen = this.#state === 'open';
    this.#drop();
    this.#over();
    if (!wasOpen) return;
    this.#state = 'failed';
    this.#error = reason;
    this.#feeder.abort(reason as Error | undefined);
  }

  /** The response was collected; a reader that waits for the complete body may still exist. */
  abandon(reason: unknown): void {
    if (!this.#isGreedy) this.cancel(reason);
  }

  #resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#feeder.resume();
  }

  #drop(): void {
    this.#chunks = [];
    this.#size = 0;
  }

  #over(): void {
    const owner = this.#owner;
    this.#owner = null;
    owner?.bodyOver();
  }
}
