/**
 * The body of a response, on its way from the dispatcher to whoever reads it.
 *
 * What lives here: chunks that nobody has taken yet, one reader, and the pause that keeps an unread body
 * small. A hop feeds it; `ResponseBody` reads it. It must not know responses or streams, and nothing
 * here refers to them: a response that its user has dropped can be collected while its body comes.
 *
 * ```text
 *         ┌ push ┐
 * open ───┴──────┴─ end ─▶ ended      cancel: failed, and the dispatcher is told
 *   └─────── fail, cancel ─▶ failed
 * ```
 */

/** What holds the body's source. */
export interface Feeder {
  pause(): void;
  resume(): void;
  abort(reason?: Error): void;
}

/** Who takes the chunks. */
export interface BodyReader {
  /** More is there, or the end, or a failure: take it. */
  ready(): void;
}

/**
 * Bytes that wait for a reader before the source is paused. 64 KiB, as in undici; the engine holds the
 * rest of the window.
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

/** What came to pass with the body, for the fetch it belongs to. */
export interface BodyOwner {
  /** The body was read to its end, failed, or was given up. Once. */
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
  /** The reader wants everything, at once. */
  #isGreedy = false;
  #isPaused = false;
  /** Bytes that have come so far. */
  received = 0;

  constructor(feeder: Feeder, owner: BodyOwner | null) {
    this.#feeder = feeder;
    this.#owner = owner;
  }

  /** Whether nothing more will come. */
  get isOver(): boolean {
    return this.#state !== 'open';
  }

  /** Whether the whole body is here. */
  get hasEnded(): boolean {
    return this.#state === 'ended';
  }

  /** Whether nothing of what came waits. */
  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  get hasFailed(): boolean {
    return this.#state === 'failed';
  }

  /** What it failed with. */
  get error(): unknown {
    return this.#error;
  }

  // The feeding side -------------------------------------------------------------------------

  /** From now on somebody else feeds it: a decoder in front of the dispatcher. */
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
    if (this.#size >= ENOUGH && !this.#isPaused && this.#state === 'open') {
      this.#isPaused = true;
      this.#feeder.pause();
    }
  }

  end(): void {
    if (this.#state !== 'open') return;
    this.#state = 'ended';
    this.#reader?.ready();
  }

  /** Half a body is none: what waits is dropped. */
  fail(error: unknown): void {
    if (this.#state === 'failed' || (this.#state === 'ended' && this.#owner === null)) return;
    this.#state = 'failed';
    this.#error = error;
    this.#drop();
    this.#over();
    this.#reader?.ready();
  }

  // The reading side -------------------------------------------------------------------------

  /** Chunks are taken as the reader wants them; `ready` is called after each that comes. */
  read(reader: BodyReader): void {
    this.#reader = reader;
  }

  /** As `read`, for a reader that waits for the end: `ready` is called once, then. */
  readAll(reader: BodyReader): void {
    this.#isGreedy = true;
    this.#reader = reader;
    this.#resume();
  }

  /**
   * What waits, in memory of its own: all of it, because a read costs more than copying what one read
   * can take. `null`: nothing waits.
   */
  take(): Uint8Array | null {
    const chunks = this.#chunks;
    const taken = chunks.length === 0 ? null : copyOf(chunks, this.#size);
    this.#drop();
    this.#resume();
    if (this.#state === 'ended' && this.#chunks.length === 0) this.#over();
    return taken;
  }

  /** All of an ended body: bytes that nobody else has, unless there is but one chunk. */
  takeAll(): Uint8Array {
    const chunks = this.#chunks;
    const [only] = chunks;
    const all = chunks.length === 1 ? (only as Uint8Array) : Buffer.concat(chunks, this.#size);
    this.#drop();
    this.#over();
    return all;
  }

  /** A second body with the same bytes; only of one that has ended and that nobody has read. */
  fork(): IncomingBody {
    const other = new IncomingBody(this.#feeder, null);
    other.#chunks = [...this.#chunks];
    other.#size = this.#size;
    other.#state = this.#state;
    return other;
  }

  /** Nobody wants the rest. */
  cancel(reason: unknown): void {
    const wasOpen = this.#state === 'open';
    this.#drop();
    this.#over();
    if (!wasOpen) return;
    this.#state = 'failed';
    this.#error = reason;
    this.#feeder.abort(reason as Error | undefined);
  }

  /** Nobody has it any more; a reader that waits for all of it may, without the response. */
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
