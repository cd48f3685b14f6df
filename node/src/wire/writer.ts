/**
 * Submissions: encodes records from JavaScript to Rust.
 *
 * What lives here: the buffers for each I/O thread's records, and the layout of every submission. The
 * session owns one writer per thread and decides when to flush. It must not know what a request or a
 * pool is, only their numbers. Layouts: `crates/dodici-wire`.
 */

import { asGiven, type Bytes, partOf, sizeOf } from './bytes';
import {
  CreditFlag,
  DEFAULT_TIMEOUT,
  DispatchAux,
  DispatchFlag,
  FLUSH_CAPACITY,
  LEND_FROM,
  RECORD_HEADER,
  Submission,
} from './generated';
import type { Latin1Buffer } from './latin1';
import { ownPage, type Page, type Pages } from './pages';

/**
 * Sends the first `length` bytes of `buffer`, a whole number of records. With the number of a page
 * they are lent, otherwise copied.
 */
export type Submit = (buffer: Buffer, length: number, page?: number) => void;

/** Submissions that consist of their kind and whom they are about. */
export type PoolCommand =
  | typeof Submission.PoolClose
  | typeof Submission.PoolDestroy
  | typeof Submission.PoolConnect
  | typeof Submission.PoolInspect
  | typeof Submission.ConnectionDestroy
  | typeof Submission.ConnectionGiveUp;

/** Bytes of a `Dispatch` payload before the head: pool, head length, two timeouts, body length. */
const DISPATCH_FIELDS = 24;

/** Bytes that follow these with `DispatchFlag.Decode`: the manner, the maximum decoded size. */
const DECODE_FIELDS = 12;

/** Bytes that follow these with `DispatchAux.Limits`: total timeout, minimum rate. */
const LIMIT_FIELDS = 8;

const TWO_POW_32 = 0x1_0000_0000;

/** Encodes submissions of one I/O thread. */
export class SubmissionWriter {
  /** The buffer that is copied; grows. */
  #own: Page;
  readonly #pages: Pages | null;
  readonly #submit: Submit;

  /** A page that a record did not fit into: the next one to write to. */
  #aside: Page | null = null;

  #page: number | undefined;
  #buffer: Latin1Buffer;
  #words: Uint32Array;
  #position = 0;

  constructor(submit: Submit, pages: Pages | null = null, capacity = FLUSH_CAPACITY) {
    this.#submit = submit;
    this.#pages = pages;
    this.#own = ownPage(capacity);
    this.#page = undefined;
    this.#buffer = this.#own.buffer;
    this.#words = this.#own.words;
  }

  /** Whether records wait for `flush`. */
  get pending(): boolean {
    return this.#position !== 0;
  }

  /** Submits all records in one native call. */
  flush(): void {
    const length = this.#position;
    if (length === 0) return;
    this.#position = 0;
    if (length < LEND_FROM || this.#pages === null) {
      this.#submit(this.#buffer, length);
      return;
    }
    try {
      this.#submit(this.#buffer, length, this.#page);
    } finally {
      this.#writeIn(this.#aside ?? this.#pages.next() ?? this.#own);
      this.#aside = null;
    }
  }

  #writeIn(page: Page): void {
    this.#page = page.number;
    this.#buffer = page.buffer;
    this.#words = page.words;
  }

  /**
   * `Dispatch`. `aux` is a `WireBody` with `DispatchAux` bits; `head` must be latin1; `body` goes inside
   * the record and may be `null`.
   * Timeouts in milliseconds, `DEFAULT_TIMEOUT` for the pool's. `decode` is a `WireDecode`, or 0 for
   * none; `maxSize` the maximum decoded size, or 0. `totalTimeout` and `minBodyRate` are like timeouts.
   */
  dispatch(
    slot: number,
    generation: number,
    flags: number,
    aux: number,
    pool: number,
    head: string,
    headersTimeout: number,
    bodyTimeout: number,
    bodyLength: number,
    body: Bytes | null,
    decode = 0,
    maxSize = 0,
    totalTimeout = DEFAULT_TIMEOUT,
    minBodyRate = DEFAULT_TIMEOUT,
  ): void {
    const headLength = head.length;
    let fields = decode === 0 ? DISPATCH_FIELDS : DISPATCH_FIELDS + DECODE_FIELDS;
    const hasLimits = totalTimeout !== DEFAULT_TIMEOUT || minBodyRate !== DEFAULT_TIMEOUT;
    if (hasLimits) fields += LIMIT_FIELDS;
    const payload = fields + headLength + (body === null ? 0 : sizeOf(body));
    let at = this.#reserve(payload);
    const words = this.#words;
    const word = at >>> 2;
    words[word] = pool;
    words[word + 1] = headLength;
    words[word + 2] = headersTimeout;
    words[word + 3] = bodyTimeout;
    words[word + 4] = bodyLength % TWO_POW_32;
    words[word + 5] = Math.floor(bodyLength / TWO_POW_32);
    if (decode !== 0) {
      words[word + 6] = decode;
      words[word + 7] = maxSize % TWO_POW_32;
      words[word + 8] = Math.floor(maxSize / TWO_POW_32);
      flags |= DispatchFlag.Decode;
    }
    at += fields;
    if (hasLimits) {
      words[(at >>> 2) - 2] = totalTimeout;
      words[(at >>> 2) - 1] = minBodyRate;
      aux |= DispatchAux.Limits;
    }
    this.#buffer.latin1Write(head, at, headLength);
    if (body !== null) this.#buffer.set(asGiven(body), at + headLength);
    this.#announce(Submission.Dispatch, flags, aux, slot, generation, payload);
  }

  /** `BodyChunk`: bytes `start` to `end` of `chunk`, at most `BODY_SLICE`. */
  bodyChunk(slot: number, generation: number, chunk: Bytes, start: number, end: number): void {
    const size = sizeOf(chunk);
    if (end > size) throw new RangeError('dodici: a slice lies outside of its chunk');
    const isWhole = start === 0 && end === size;
    const at = this.#reserve(end - start);
    this.#buffer.set(isWhole ? asGiven(chunk) : partOf(chunk, start, end), at);
    this.#announce(Submission.BodyChunk, 0, 0, slot, generation, end - start);
  }

  /** `BodyEnd` of a body that is shorter than declared. */
  bodyLeft(slot: number, generation: number): void {
    this.#announce(Submission.BodyEnd, 1, 0, slot, generation, 0);
  }

  /** `BodyEnd`; `trailers` is a field list, latin1. */
  bodyEnd(slot: number, generation: number, trailers = ''): void {
    const { length } = trailers;
    if (length > 0) this.#buffer.latin1Write(trailers, this.#reserve(length), length);
    this.#announce(Submission.BodyEnd, 0, 0, slot, generation, length);
  }

  /** `Cancel`; `resets`: the connection of an upgraded stream. */
  cancel(slot: number, generation: number, resets = false): void {
    this.#announce(Submission.Cancel, resets ? 1 : 0, 0, slot, generation, 0);
  }

  /** `Credit` for `bytes` delivered bytes; `paused` stops the delivery until the next one. */
  credit(slot: number, generation: number, bytes: number, paused = false): void {
    const flags = paused ? CreditFlag.Paused : 0;
    this.#number(Submission.Credit, flags, slot, generation, bytes);
  }

  /** `PoolCreate` or `PoolConfigure` with encoded options. */
  poolOptions(
    kind: typeof Submission.PoolCreate | typeof Submission.PoolConfigure,
    pool: number,
    options: Uint8Array,
  ): void {
    this.#buffer.set(options, this.#reserve(options.byteLength));
    this.#announce(kind, 0, 0, pool, 0, options.byteLength);
  }

  /** A record about a pool, or about one of its connections, that says all by its kind. */
  command(kind: PoolCommand, pool: number, connection = 0): void {
    this.#announce(kind, 0, 0, pool, connection, 0);
  }

  /** `PoolPipelining`. */
  poolPipelining(pool: number, depth: number): void {
    this.#number(Submission.PoolPipelining, 0, pool, 0, depth);
  }

  /** `PoolPreconnect`. */
  poolPreconnect(pool: number, question: number, count: number): void {
    this.#number(Submission.PoolPreconnect, 0, pool, question, count);
  }

  /** `LookupResult`: the addresses found, or the number of an error. */
  lookupResult(pool: number, lookup: number, answer: readonly string[] | number): void {
    if (typeof answer === 'number') {
      this.#number(Submission.LookupResult, 1, pool, lookup, answer);
      return;
    }
    const text = answer.map((address) => `${address}\n`).join('');
    this.#buffer.latin1Write(text, this.#reserve(text.length), text.length);
    this.#announce(Submission.LookupResult, 0, 0, pool, lookup, text.length);
  }

  /** A record whose payload is one number. */
  #number(kind: number, flags: number, slot: number, generation: number, value: number): void {
    this.#words[this.#reserve(4) >>> 2] = value;
    this.#announce(kind, flags, 0, slot, generation, 4);
  }

  /** Makes room for a record and zeroes its padding; returns where its payload goes. */
  #reserve(payload: number): number {
    const size = RECORD_HEADER + ((payload + 3) & ~3);
    if (this.#position + size > this.#buffer.length) this.#makeRoom(size);
    if ((payload & 3) !== 0) this.#words[((this.#position + size) >>> 2) - 1] = 0;
    return this.#position + RECORD_HEADER;
  }

  /**
   * Writes the frame of a record whose payload, if any, was written. Called after the payload, because
   * memory is reused: what could not be written is not announced.
   */
  #announce(
    kind: number,
    flags: number,
    aux: number,
    slot: number,
    generation: number,
    payload: number,
  ): void {
    if (payload === 0) this.#reserve(0);
    const words = this.#words;
    const word = this.#position >>> 2;
    words[word] = kind | (flags << 8) | (aux << 16);
    words[word + 1] = slot;
    words[word + 2] = generation;
    words[word + 3] = payload;
    this.#position += RECORD_HEADER + ((payload + 3) & ~3);
  }

  /** Flushes first to preserve order; only a record larger than the buffer grows it. */
  #makeRoom(size: number): void {
    this.flush();
    if (size <= this.#buffer.length) return;
    let capacity = this.#own.buffer.length;
    while (capacity < size) capacity *= 2;
    if (this.#page !== undefined) {
      // Nobody else gets it while it is not lent.
      this.#aside = { number: this.#page, buffer: this.#buffer, words: this.#words };
    }
    if (capacity > this.#own.buffer.length) this.#own = ownPage(capacity);
    this.#writeIn(this.#own);
  }
}
