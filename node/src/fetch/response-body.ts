/**
 * The body of a response, for its user.
 *
 * What lives here: reading all of it without a stream, and the stream, which is created when it is
 * accessed. The peer's Response finds it as `body` in its state. It must not know how bytes arrive.
 *
 * ```text
 * untouched ─ text(), json() … ─▶ taken
 *     └─ stream ─▶ streamed: from now on the stream is the body
 * ```
 */

import { queueMicrotask } from '../process';
import type { BodyReader, IncomingBody } from './incoming-body';

/** Converts the bytes of a body to text or something else. */
export type Convert<T> = (bytes: Uint8Array) => T;

/** A promise rejected with `reason`, which is any value if it comes from a signal. */
export function rejected(reason: unknown): Promise<never> {
  // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- see above
  return Promise.reject(reason);
}

/** The result as a promise, rejected with what `convert` throws. */
export function converted<T>(convert: Convert<T>, bytes: Uint8Array): Promise<T> {
  try {
    return Promise.resolve(convert(bytes));
  } catch (error) {
    return rejected(error);
  }
}

/** Waits for all of a body. */
class Collector<T> implements BodyReader {
  readonly isWaiting = true;
  readonly promise: Promise<T>;
  #resolve!: (value: T) => void;
  #reject!: (reason: unknown) => void;

  constructor(
    private readonly incoming: IncomingBody,
    private readonly convert: Convert<T>,
  ) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  ready(): void {
    const { incoming } = this;
    if (incoming.hasFailed) {
      this.#reject(incoming.error);
      return;
    }
    try {
      this.#resolve(this.convert(incoming.takeAll()));
    } catch (error) {
      this.#reject(error);
    }
  }
}

/**
 * A body's reference to its stream: strong while a read waits, weak otherwise, so that an unused
 * stream can be collected.
 */
class PulledBodyLink implements BodyReader {
  waiting: PulledBody | null = null;
  readonly #source: WeakRef<PulledBody>;

  constructor(source: PulledBody) {
    this.#source = new WeakRef(source);
  }

  get isWaiting(): boolean {
    return this.waiting !== null;
  }

  ready(): void {
    (this.waiting ?? this.#source.deref())?.ready();
  }
}

/** The underlying source of the stream, which holds it. */
class PulledBody {
  readonly type = 'bytes';
  readonly link: PulledBodyLink = new PulledBodyLink(this);
  #controller!: ReadableByteStreamController;
  #isClosed = false;

  /** `holder` lives as long as the stream does. */
  constructor(
    private readonly incoming: IncomingBody,
    readonly holder: object,
  ) {}

  start(controller: ReadableByteStreamController): void {
    this.#controller = controller;
  }

  pull(): void {
    this.link.waiting = this;
    this.ready();
  }

  cancel(reason: unknown): void {
    this.#isClosed = true;
    this.link.waiting = null;
    this.incoming.cancel(reason);
  }

  ready(): void {
    if (this.#isClosed) return;
    const { incoming, link } = this;
    if (incoming.hasFailed) {
      this.#isClosed = true;
      link.waiting = null;
      this.#controller.error(incoming.error);
      return;
    }
    if (link.waiting === null) return;
    link.waiting = null;
    const chunk = incoming.take();
    // A byte stream transfers the memory it is given.
    if (chunk !== null) this.#controller.enqueue(chunk);
    else if (!incoming.hasEnded) link.waiting = this;
    if (incoming.hasEnded && incoming.isEmpty) this.#close();
  }

  #close(): void {
    this.#isClosed = true;
    this.#controller.close();
    this.#controller.byobRequest?.respond(0);
  }
}

/** See above. */
export class ResponseBody {
  /** For the peer: there is no source to start again from. */
  readonly source = null;
  readonly length = null;
  #incoming: IncomingBody | null;
  #stream: ReadableStream<Uint8Array> | null = null;
  #isTaken = false;

  /**
   * `mayFail`: even after its end, until it is read: a signal may fire. `stream`: a half of another
   * body's stream, instead of an incoming body.
   */
  constructor(
    incoming: IncomingBody | null,
    private readonly mayFail: boolean,
    stream: ReadableStream<Uint8Array> | null = null,
  ) {
    this.#incoming = incoming;
    this.#stream = stream;
  }

  /** Whether it was read as a whole, without a stream. */
  get isTaken(): boolean {
    return this.#isTaken;
  }

  /** The incoming body, as long as there is no stream. */
  get untouched(): IncomingBody | null {
    return this.#stream === null && !this.#isTaken ? this.#incoming : null;
  }

  /** Passes all of it to `convert`. Only while it is `untouched`. */
  consume<T>(incoming: IncomingBody, convert: Convert<T>): Promise<T> {
    this.#isTaken = true;
    this.#incoming = null;
    if (incoming.hasEnded && !this.mayFail) return converted(convert, incoming.takeAll());
    if (incoming.hasFailed) return rejected(incoming.error);
    const collector = new Collector(incoming, convert);
    incoming.readAll(collector);
    // Aborting in the same turn as reading rejects the read, as in undici.
    if (incoming.hasEnded) queueMicrotask(() => collector.ready());
    return collector.promise;
  }

  get stream(): ReadableStream<Uint8Array> {
    return (this.#stream ??= this.#isTaken ? spentStream() : this.#makeStream());
  }

  /** The peer stores one half here when it has teed the stream. */
  set stream(stream: ReadableStream<Uint8Array>) {
    this.#stream = stream;
  }

  #makeStream(): ReadableStream<Uint8Array> {
    const incoming = this.#incoming as IncomingBody;
    const source = new PulledBody(incoming, this);
    incoming.read(source.link);
    const stream = makeByteStream(source);
    source.ready();
    return stream;
  }
}

function makeByteStream(source: { readonly type: 'bytes' }): ReadableStream<Uint8Array> {
  // Node 20's types have no byte source.
  return new ReadableStream<Uint8Array>(source as object);
}

/** The body of a response whose bytes were taken. */
function spentStream(): ReadableStream<Uint8Array> {
  const stream = makeByteStream({ type: 'bytes' });
  void stream.getReader().cancel();
  return stream;
}
