/**
 * The body of a request that is sent.
 *
 * What lives here: what is known of its length, watching and reading its source, and how much of it
 * was sent. `Sending` extends it with the head and the records. It must not know handlers.
 */

import type { AsyncResource } from 'node:async_hooks';

import {
  type BodyOwner,
  type BodySource,
  destroyStream,
  type EncodedForm,
  encodeForm,
  OutgoingBody,
  type SourceListener,
  sourceOf,
  streamLength,
  watchStream,
} from '../body';
import { addHeader } from '../headers';
import { setImmediate } from '../process';
import { type DispatchOptions, errors } from '../undici';
import { sizeOf, type SubmissionWriter } from '../wire';
import type { SendContext } from './context';
import { RequestDescription } from './description';
import type { DiagnosticRequest } from './diagnostics';
import type { SentBody } from './taken-over';

/** See above. */
export abstract class SendingBody extends RequestDescription implements BodyOwner, SourceListener {
  readonly context: SendContext;
  /** -1 until the `Dispatch` record was written. */
  slot = -1;
  generation = 0;
  settled = false;
  protected outgoing: OutgoingBody | null = null;
  private source: BodySource | null = null;
  /** Declared or known length; `null` for none. Valid after `prepare`. */
  protected length: number | null = null;
  /** The body is known to have no bytes. */
  protected knownEmpty = false;
  private form: EncodedForm | null = null;
  /** A warning to emit when the request is sent. */
  protected warning: Error | null = null;
  /** Waits for the first chunk; see `waitForSource`. */
  private onReady: (() => void) | null = null;
  /** Whether `onRequestStart` was called. */
  isStarted = false;
  /** Failure of the body before that. */
  protected earlyError: Error | null = null;
  /** Ends `watchBody`. */
  private unwatch: (() => void) | null = null;

  constructor(context: SendContext, options: DispatchOptions) {
    super(options);
    this.context = context;
  }

  abstract observed: DiagnosticRequest | null;
  protected abstract readonly caller: AsyncResource | null;
  abstract get writer(): SubmissionWriter;
  abstract scheduleFlush(): void;
  abstract scheduleBodyFlush(): void;
  abstract bodySent(chunk: Uint8Array | string): void;
  abstract requestSent(): void;
  abstract abortWith(error: Error | undefined): void;
  /** Calls the handler's `onRequestStart` now, if that waits for the request's turn. */
  protected abstract hurry(): void;
  /** Ends the request with an error of its body. */
  protected abstract fail(error: unknown): void;

  /** Observes a stream's failure as long as the request lives, even before it is read. */
  protected watchBody(): void {
    const { body } = this;
    if (body?.kind !== 'stream') return;
    this.unwatch = watchStream(body.stream, (error) => {
      if (this.isStarted) this.sourceFailed(error);
      else {
        this.earlyError = error;
        this.hurry();
      }
    });
  }

  /** The request has ended: its stream is no longer observed. */
  protected unwatchBody(): void {
    this.unwatch?.();
    this.unwatch = null;
  }

  /** Stops the body; `error` as in `BodySource.stop`. Without a source, the stream is destroyed as undici does. */
  protected stopBody(error?: Error): void {
    this.onReady = null;
    if (this.source !== null) this.source.stop(error);
    else if (this.body !== null && this.body.kind === 'stream')
      destroyStream(this.body.stream, error);
  }

  /** Whether a part of the body waits for credit. */
  get bodyWaits(): boolean {
    return this.slot !== -1 && this.outgoing?.waits === true;
  }

  bodyDrained(): void {
    this.context.bodyDrained();
  }

  get bodySentAt(): number {
    return this.outgoing === null ? 0 : this.outgoing.sentAt;
  }

  /** Whether the body was sent completely, or there is none. */
  protected get bodyFinished(): boolean {
    return this.outgoing === null || this.outgoing.finished;
  }

  /** The body for another attempt; `undefined` if a part of it may be gone. */
  get bodyAgain(): unknown {
    const { body, source } = this;
    if (body === null) return null;
    return source === null || !this.isBodyReadOnce ? body.source : undefined;
  }

  /** How much of its body was sent, as far as the handler knows. */
  protected get sentBody(): SentBody {
    const { outgoing, slot, body } = this;
    if (outgoing !== null) return { bytes: outgoing.reported, isAll: outgoing.finished };
    if (slot === -1) return { bytes: 0, isAll: false };
    return { bytes: body?.kind === 'bytes' ? sizeOf(body.bytes) : 0, isAll: true };
  }

  private get isBodyReadOnce(): boolean {
    return this.body?.kind === 'stream' || this.body?.kind === 'iterable';
  }

  /** The peer sends the body. */
  protected letGoOfBody(): void {
    this.onReady = null;
    this.unwatchBody();
    if (!this.isBodyReadOnce) this.source?.stop();
  }

  /** Whether the body must be asked for its first chunk before the head can be written. */
  get needsSource(): boolean {
    const { body } = this;
    return (
      body !== null && !this.knownEmpty && (body.kind === 'stream' || body.kind === 'iterable')
    );
  }

  /** Whether it waits for its turn on a single connection: for its source, or to warn in order. */
  get leavesLater(): boolean {
    return this.warning !== null || this.needsSource;
  }

  /** Like `needsSource`, but not for a stream that has ended without a byte since `prepare`. */
  hasSource(): boolean {
    const { body } = this;
    if (!this.needsSource) return false;
    return body?.kind !== 'stream' || streamLength(body.stream) !== 0;
  }

  /**
   * The request's turn has come: checks once more whether its stream has ended already, which
   * determines the length. Fails the request if that is not the declared one.
   */
  measureStream(): void {
    const { body } = this;
    if (body?.kind !== 'stream' || this.knownEmpty) return;
    // An empty read makes a stream notice its end.
    body.stream.read?.(0);
    const known = streamLength(body.stream);
    if (known === null) return;
    try {
      this.settleLength(known);
    } catch (error) {
      this.fail(error);
    }
  }

  /**
   * Determines the body's length and type.
   *
   * @throws InvalidArgumentError, RequestContentLengthMismatchError; nothing was sent then.
   */
  prepare(): void {
    const { body } = this;
    let known: number | null = null;
    if (body === null) known = 0;
    else if (body.kind === 'bytes') known = sizeOf(body.bytes);
    else if (body.kind === 'blob') known = this.prepareBlob(body.blob);
    else if (body.kind === 'form') {
      this.form = encodeForm(body.form);
      if (this.contentType === null) this.addField('content-type', this.form.contentType);
      known = this.form.length;
    } else if (body.kind === 'stream') {
      known = streamLength(body.stream);
      // It will not be read, so it would not notice its end.
      if (known === 0) body.stream.read?.(0);
    }

    this.settleLength(known);
  }

  private addField(name: string, value: string): void {
    if (this.observed === null) addHeader(this, name, value);
    else this.observed.addHeader(name, value);
  }

  /** @throws RequestContentLengthMismatchError */
  private settleLength(known: number | null): void {
    this.knownEmpty = known === 0;
    this.length = this.resolveLength(known);
    if (this.contradictsLength(this.length)) {
      const mismatch = new errors.RequestContentLengthMismatchError();
      if (this.context.strictContentLength) throw mismatch;
      this.warning = mismatch;
    }
  }

  private prepareBlob(blob: Blob): number | null {
    const { type, size } = blob;
    if (this.contentType === null && type) this.addField('content-type', type);
    // A subclass may return anything; without a valid length, it is sent chunked.
    return Number.isSafeInteger(size) && size >= 0 ? size : null;
  }

  /**
   * Starts reading a stream or iterable, and calls `ready` once it is known whether it has a first
   * chunk: undici writes an empty body as none, so the head must wait for that. It waits for one
   * turn of the event loop at most; a slower source is sent chunked.
   */
  waitForSource(ready: () => void): void {
    this.onReady = ready;
    this.openSource();
    if (this.onReady === null) return;
    setImmediate(() => this.sourceReady());
  }

  sourceReady(): void {
    const ready = this.onReady;
    this.onReady = null;
    ready?.();
  }

  sourceFailed(error: Error): void {
    if (this.settled) return;
    // The engine has it.
    if (this.source !== null && this.slot === -1) this.context.bodyFailed(error);
    this.abortWith(error);
  }

  protected openSource(): void {
    const { body } = this;
    if (body === null) return;
    const { strictContentLength } = this.context;
    const outgoing = new OutgoingBody(this, this.length, strictContentLength);
    this.outgoing = outgoing;
    this.source = sourceOf(body, this.form?.chunks, outgoing, this);
    const { caller, source } = this;
    if (caller === null) {
      source.begin();
      return;
    }
    const { onDrain } = outgoing;
    if (onDrain !== null) outgoing.onDrain = () => caller.runInAsyncScope(onDrain);
    caller.runInAsyncScope(() => source.begin());
  }

  /** `Pull`: for the slot's completions. */
  onPull(bytes: number): void {
    this.outgoing?.grant(bytes);
  }
}
