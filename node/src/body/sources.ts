/**
 * Sources of request body chunks: Node streams and iterables.
 *
 * What lives here: pumps that read a source as fast as `OutgoingBody` accepts it, and undici's rules
 * for what happens to the source when either side fails. The request owns one source. It must not know
 * records.
 */

import { IncomingMessage } from 'node:http';
import type { Readable, Stream } from 'node:stream';

import { queueMicrotask, setImmediate } from '../process';
import { errors } from '../undici';
import { asGiven, type Bytes } from '../wire';
import type { Body, BodyIterable } from './classify';
import type { OutgoingBody } from './outgoing';

/** A source being pumped. */
export interface BodySource {
  /** Starts reading. Chunks may be offered before this returns. */
  begin(): void;
  /** Stops reading, because the request settled; with `error` if sending it failed. */
  stop(error?: Error): void;
}

/** Callbacks of a source to its request. */
export interface SourceListener {
  /** The first byte was offered, or the source ended or failed before. Called at most once. */
  sourceReady(): void;
  /** The source failed. */
  sourceFailed(error: Error): void;
}

/**
 * Destroys a stream that is not destroyed yet; streams without `destroy()` get the error as an event.
 * Never throws, although some managed sockets do.
 */
export function destroyStream(stream: Stream, error?: Error): void {
  const target = stream as Stream & {
    destroyed?: boolean;
    destroy?: (error?: Error) => void;
    socket?: unknown;
  };
  if (target.destroyed) return;
  if (typeof target.destroy === 'function') {
    // A server's request object would take its socket with it, and the response could not be sent.
    if ((target.constructor as unknown) === IncomingMessage) target.socket = null;
    try {
      target.destroy(error);
    } catch {
      // The stream's owner handles its end.
    }
  } else if (error) {
    queueMicrotask(() => stream.emit('error', error));
  }
}

/**
 * Observes the failure of a stream, even before it is read. A stream that does not destroy itself is
 * destroyed at its end. Returns what ends this.
 */
export function watchStream(stream: Readable, onError: (error: Error) => void): () => void {
  const state = (stream as { _readableState?: { autoDestroy?: boolean } })._readableState;
  const onEnd = state?.autoDestroy ? null : (): void => destroyStream(stream);
  stream.on('error', onError);
  if (onEnd) stream.on('end', onEnd);
  return () => {
    stream.removeListener('error', onError);
    if (onEnd) stream.removeListener('end', onEnd);
  };
}

/** The length of a stream that has ended already and is still unread; `null` otherwise. */
export function streamLength(stream: Readable): number | null {
  const state = (
    stream as { _readableState?: { objectMode?: boolean; ended?: boolean; length?: number } }
  )._readableState;
  return state?.objectMode === false && state.ended === true && Number.isFinite(state.length)
    ? (state.length as number)
    : null;
}

/** The source of `body`; `form` are the chunks of one that is a form. */
export function sourceOf(
  body: Body,
  form: BodyIterable | undefined,
  out: OutgoingBody,
  listener: SourceListener,
): BodySource {
  switch (body.kind) {
    case 'bytes':
      return new BytesSource(body.bytes, out, listener);
    case 'stream':
      return new StreamSource(body.stream, out, listener);
    case 'iterable':
      return new IterableSource(body.iterable, out, listener);
    case 'blob':
      return new IterableSource(readBlob(body.blob), out, listener);
    case 'form':
      return new IterableSource(form as BodyIterable, out, listener);
  }
}

/**
 * Chunks after which a source yields to the event loop. Otherwise one that always has another chunk
 * would block it until the engine's window is full, which takes long with tiny chunks, and the response
 * that ends such a body could not be read.
 */
const CHUNKS_PER_TURN = 1024;

/** What all sources have in common. */
abstract class Pump {
  #isReady = false;
  #chunks = 0;

  constructor(
    protected readonly out: OutgoingBody,
    protected readonly listener: SourceListener,
  ) {}

  protected becomeReady(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.listener.sourceReady();
  }

  /** Counts a chunk. Returns whether the source must yield to the event loop. */
  protected isTurnOver(): boolean {
    return ++this.#chunks % CHUNKS_PER_TURN === 0;
  }
}

/** Pumps a Node stream. */
class StreamSource extends Pump implements BodySource {
  readonly #stream: Readable;
  #finished = false;
  readonly #resume = (): void => {
    if (!this.#finished) this.#stream.resume?.();
  };
  readonly #resumeIfDrained = (): void => {
    if (this.out.drained) this.#resume();
  };

  constructor(stream: Readable, out: OutgoingBody, listener: SourceListener) {
    super(out, listener);
    this.#stream = stream;
    out.onDrain = this.#resume;
  }

  begin(): void {
    const stream = this.#stream;
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('error', this.#onError);
    stream.on('close', this.#onClose);
    stream.resume?.();

    // Events before we listened are not emitted again.
    const state = stream as Readable & {
      errorEmitted?: boolean;
      endEmitted?: boolean;
      closeEmitted?: boolean;
    };
    if (state.errorEmitted ?? stream.errored) {
      setImmediate(() => this.#finish(stream.errored ?? new errors.RequestAbortedError()));
    } else if (state.endEmitted ?? stream.readableEnded) {
      setImmediate(() => this.#finish(null));
    }
    if (state.closeEmitted ?? stream.closed) setImmediate(this.#onClose);
  }

  stop(error?: Error): void {
    if (!this.#finished) {
      this.#finished = true;
      this.#detach();
    }
    destroyStream(this.#stream, error);
  }

  readonly #onData = (chunk: Uint8Array | string): void => {
    if (this.#finished) return;
    try {
      const isAccepted = this.out.write(chunk);
      const isTurnOver = isAccepted && this.isTurnOver();
      if (!isAccepted || isTurnOver) this.#stream.pause?.();
      if (isTurnOver) setImmediate(this.#resumeIfDrained);
      if (this.out.accepted > 0) this.becomeReady();
    } catch (error) {
      destroyStream(this.#stream, error as Error);
    }
  };

  readonly #onEnd = (): void => this.#finish(null);

  readonly #onError = (error: Error): void => this.#finish(error);

  readonly #onClose = (): void => {
    // Broken streams emit 'close' before 'error': one tick decides.
    queueMicrotask(() => this.#stream.removeListener('error', this.#onError));
    if (this.#finished) return;
    const error = new errors.RequestAbortedError();
    queueMicrotask(() => this.#finish(error));
  };

  #finish(failure: Error | null): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#detach();
    let error = failure;
    if (!error) {
      try {
        this.out.end();
      } catch (mismatch) {
        error = mismatch as Error;
      }
    }
    if (error) {
      this.listener.sourceFailed(error);
      destroyStream(this.#stream, error);
    } else {
      destroyStream(this.#stream);
    }
    this.becomeReady();
  }

  /** The error listener stays until 'close': a destroyed stream may still emit its error. */
  #detach(): void {
    this.#stream.removeListener('data', this.#onData);
    this.#stream.removeListener('end', this.#onEnd);
    if (this.#stream.closed) this.#stream.removeListener('close', this.#onClose);
  }
}

/** Pumps an iterable, sync or async, including web streams and generators. */
class IterableSource extends Pump implements BodySource {
  readonly #iterable: BodyIterable;
  #stopped: Error | null = null;
  #wake: (() => void) | null = null;

  constructor(iterable: BodyIterable, out: OutgoingBody, listener: SourceListener) {
    super(out, listener);
    this.#iterable = iterable;
    out.onDrain = () => this.#wakeUp();
  }

  begin(): void {
    void this.#pump();
  }

  /** Ends the loop at its next step, which calls the iterator's `return()`, like a `break`. */
  stop(error?: Error): void {
    this.#stopped ??= error ?? new errors.RequestAbortedError();
    this.#wakeUp();
  }

  /** Ends the loop from inside. */
  #throwIfStopped(): void {
    if (this.#stopped !== null) throw this.#stopped;
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  async #pump(): Promise<void> {
    try {
      for await (const chunk of this.#iterable as AsyncIterable<Uint8Array | string>) {
        this.#throwIfStopped();
        if (this.isTurnOver()) {
          await new Promise((resolve) => setImmediate(resolve));
          this.#throwIfStopped();
        }
        this.out.write(chunk);
        // The chunk may be sent with the head, and then nothing wakes us.
        if (this.out.accepted > 0) this.becomeReady();
        this.#throwIfStopped();
        if (!this.out.drained) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#throwIfStopped();
        }
      }
      if (!this.#stopped) this.out.end();
    } catch (error) {
      // A chunk sent with the head reaches the server, as in undici.
      this.out.whenBegun(() => this.listener.sourceFailed(error as Error));
    }
    this.becomeReady();
  }
}

/** The chunks of a Blob; Blobs of other realms may have no streams. */
export async function* readBlob(blob: Blob): AsyncGenerator<unknown, void, undefined> {
  if (typeof blob.stream === 'function') yield* blob.stream() as unknown as AsyncIterable<unknown>;
  else yield new Uint8Array(await blob.arrayBuffer());
}

/** Pumps bytes that are too large for one record. */
class BytesSource extends Pump implements BodySource {
  readonly #bytes: Bytes;

  constructor(bytes: Bytes, out: OutgoingBody, listener: SourceListener) {
    super(out, listener);
    this.#bytes = bytes;
  }

  begin(): void {
    try {
      this.out.write(asGiven(this.#bytes));
      this.out.end();
    } catch (error) {
      this.listener.sourceFailed(error as Error);
    }
  }

  stop(): void {
    // Nothing is being read.
  }
}
