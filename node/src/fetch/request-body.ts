/**
 * The body of a fetch request.
 *
 * What lives here: the types that `init.body` may have, what a dispatcher gets for each, and which
 * of them can be sent again. It must not know requests or handlers.
 *
 * A body with a *source* is the same each time it is opened. A stream is read once, and not before
 * the dispatcher asks for it.
 */

import stream = require('node:stream');
import { types } from 'node:util';

import { encodeForm } from '../body';
import { bytesOf, copyOf } from '../wire';

/** See above. */
export interface RequestBody {
  /** The body's source, which mocks compare; `null` for a stream. */
  readonly source: unknown;
  /** In bytes; `null` if unknown. */
  readonly length: number | null;
  /** The user's value if there is no source. */
  readonly stream: unknown;
  /** The body for a dispatcher. `failed` gets the error of a stream. */
  open(failed: (error: unknown) => void): unknown;
  /** No more of it is needed. */
  cancel(reason: unknown): void;
}

/** A body and its `content-type`. */
export interface TypedBody {
  readonly body: RequestBody;
  readonly type: string | null;
}

/** Text or bytes. */
class WholeBody implements RequestBody {
  readonly stream = null;

  constructor(
    readonly source: string | Uint8Array,
    readonly length: number,
  ) {}

  open(): unknown {
    return this.source;
  }

  cancel(): void {
    // Nothing to stop.
  }
}

class BlobBody implements RequestBody {
  readonly stream = null;

  constructor(readonly source: Blob) {}

  get length(): number {
    return this.source.size;
  }

  open(): unknown {
    return this.source;
  }

  cancel(): void {
    // A Blob can be read again.
  }
}

class FormBody implements RequestBody {
  readonly stream = null;
  readonly length: number | null;
  readonly type: string;

  constructor(
    readonly source: object,
    private readonly boundary?: string,
  ) {
    const { contentType, length } = encodeForm(source as FormData, boundary);
    this.type = contentType;
    this.length = length;
  }

  open(): unknown {
    return encodeForm(this.source as FormData, this.boundary).chunks;
  }

  cancel(): void {
    // A form can be encoded again.
  }
}

/** The chunks of a stream or an iterable. */
interface Chunks {
  next(): Promise<IteratorResult<unknown, unknown>>;
  cancel(reason: unknown): Promise<unknown> | undefined;
}

function chunksOfStream(stream: ReadableStream<unknown>): Chunks {
  const reader = stream.getReader();
  return {
    next: () => reader.read(),
    cancel: (reason) => reader.cancel(reason).finally(() => reader.releaseLock()),
  };
}

function chunksOfIterable(iterable: AsyncIterable<unknown>): Chunks {
  const iterator = iterable[Symbol.asyncIterator]() as AsyncIterator<unknown, unknown>;
  return {
    next: async () => {
      const { done, value } = await iterator.next();
      if (done) return { done, value };
      return { done: false, value: types.isUint8Array(value) ? value : toBytes(value) };
    },
    cancel: () => iterator.return?.(),
  };
}

/** As undici converts what an iterable yields. */
function toBytes(value: unknown): Buffer {
  return Buffer.from(value as string);
}

class StreamBody implements RequestBody {
  readonly source = null;
  readonly length: number | null;
  #chunks: Chunks | null = null;

  constructor(
    readonly stream: ReadableStream<unknown> | AsyncIterable<unknown>,
    length: number | null = null,
  ) {
    this.length = length;
  }

  #read(): Chunks {
    const { stream } = this;
    this.#chunks ??=
      stream instanceof ReadableStream ? chunksOfStream(stream) : chunksOfIterable(stream);
    return this.#chunks;
  }

  open(failed: (error: unknown) => void): unknown {
    return this.#pump(failed);
  }

  async *#pump(failed: (error: unknown) => void): AsyncGenerator<unknown, void, undefined> {
    let isOver = false;
    try {
      const chunks = this.#read();
      for (;;) {
        const { done, value } = await chunks.next();
        if (done) break;
        yield value;
      }
      isOver = true;
    } catch (error) {
      isOver = true;
      failed(error);
    } finally {
      if (!isOver) this.cancel(undefined);
    }
  }

  cancel(reason: unknown): void {
    // The stream may be locked by now; its errors are reported to its own source.
    try {
      void this.#read()
        .cancel(reason)
        ?.then(undefined, () => undefined);
    } catch {
      return;
    }
  }
}

/** Exists in Node, but not in its types. */
export const { isDisturbed } = stream as unknown as { isDisturbed(stream: unknown): boolean };

/** Whether it has not been read. */
function isFresh(stream: ReadableStream): boolean {
  return !stream.locked && !isDisturbed(stream);
}

const BOUNDARY = /^multipart\/form-data; boundary=([^;" ]+)$/;

/** The boundary that one of the peer's Requests put into its `content-type`. */
function boundaryIn(type: string | null): string | undefined {
  return BOUNDARY.exec(type ?? '')?.[1];
}

/** The body of one of the peer's Requests, from its `source`. */
export function bodyOfRequest(
  source: unknown,
  stream: ReadableStream<unknown>,
  length: number | null,
  type: string | null,
): RequestBody {
  if (typeof source === 'string' || types.isUint8Array(source)) {
    return new WholeBody(source, length ?? Buffer.byteLength(source));
  }
  if (source instanceof Blob) return new BlobBody(source);
  if (source === null || source === undefined) return new StreamBody(stream, length);
  return new FormBody(source, boundaryIn(type));
}

/** Encoded as by the peer, whose text mocks compare. */
function wellFormed(text: string): string {
  return (text as unknown as { toWellFormed(): string }).toWellFormed();
}

/** The body for `init.body`; `null` if the peer has to reject it or convert it to text. */
export function readBody(given: unknown, isForm: (value: unknown) => boolean): TypedBody | null {
  if (typeof given === 'string') {
    const text = wellFormed(given);
    const body = new WholeBody(text, Buffer.byteLength(text));
    return { body, type: 'text/plain;charset=UTF-8' };
  }
  if (typeof given !== 'object' || given === null) return null;
  if (given instanceof ReadableStream) {
    return isFresh(given) ? { body: new StreamBody(given), type: null } : null;
  }
  if (given instanceof URLSearchParams) {
    const text = given.toString();
    const body = new WholeBody(text, Buffer.byteLength(text));
    return { body, type: 'application/x-www-form-urlencoded;charset=UTF-8' };
  }
  if (given instanceof Blob) return { body: new BlobBody(given), type: given.type || null };
  const { [Symbol.asyncIterator]: iterate } = given as Partial<AsyncIterable<unknown>>;
  if (typeof iterate === 'function') {
    const { locked } = given as { locked?: unknown };
    if (locked || isDisturbed(given)) return null;
    return { body: new StreamBody(given as AsyncIterable<unknown>), type: null };
  }
  if (isForm(given)) {
    const body = new FormBody(given);
    return { body, type: body.type };
  }
  const { buffer = given, byteLength } = given as Partial<ArrayBufferView>;
  if (!types.isArrayBuffer(buffer)) return null;
  // Detached memory has no bytes and must not be accessed.
  if (byteLength === 0) return { body: new WholeBody(new Uint8Array(0), 0), type: null };
  const bytes = bytesOf(given);
  if (bytes === null) return null;
  const copy = copyOf(bytes);
  return { body: new WholeBody(copy, copy.byteLength), type: null };
}
