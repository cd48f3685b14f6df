/**
 * The outgoing half of a request: from the description to records.
 *
 * What lives here: the choice of the body's framing, the complete head, the `Dispatch` record and
 * the body's source. `Request` extends it with the incoming half. It must not know pools'
 * counters, nor how responses are delivered.
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
import { type Connection, TotalTimeoutError, withPhase } from '../connection';
import { addHeader } from '../headers';
import { type Decompression, NO_LIMIT, NOT_DECODED } from '../options';
import { clearTimeout, now, setImmediate, setTimeout } from '../process';
import type { SlotOwner } from '../session';
import { type DispatchHandler, type DispatchOptions, errors } from '../undici';
import {
  asGiven,
  BODY_SLICE,
  type Bytes,
  DEFAULT_TIMEOUT,
  DispatchAux,
  DispatchFlag,
  sizeOf,
  type SubmissionWriter,
  WireBody,
  WireDecode,
} from '../wire';
import { ContextHandler, currentContext } from './async-context';
import type { SendContext } from './context';
import {
  channels,
  DiagnosticRequest,
  observe,
  type ObservedRequest,
  publishHeaders,
  tellsConnection,
} from './diagnostics';
import { RequestDescription } from './description';
import { timingsChannel } from './timings';
import type { SentBody } from './taken-over';

/** Longest delay of a timer of Node's. */
const LONGEST_TIMER = 0x7fffffff;

/** A native pool, as far as a request needs it. */
export interface SendTarget {
  readonly id: number;
  readonly writer: SubmissionWriter;
  /** Its open connection with this serial number. */
  connection(serial: number): Connection | null;
}

/** The outgoing half; see above. */
export abstract class Sending
  extends RequestDescription
  implements BodyOwner, SourceListener, ObservedRequest
{
  readonly context: SendContext;
  readonly handler: DispatchHandler;
  /**
   * The receiver of the final head: undici's own handlers call back in the context they keep, and
   * stack traces show undici's.
   */
  protected readonly headHandler: DispatchHandler;
  /** The async context it was created in, if there is one to keep. */
  protected readonly caller: AsyncResource | null;
  /** -1 until the `Dispatch` record was written. */
  slot = -1;
  generation = 0;
  settled = false;
  completed = false;
  /** Its connection ends after it, because it says so; valid when it was sent. */
  isReset = false;
  aborted = false;
  observed: DiagnosticRequest | null = null;
  /** Whether somebody wants to know its timings: by default, our fetch and subscribers do. */
  protected readonly isTimed: boolean;

  private target: SendTarget | null = null;
  /** The connection that carries it, if that is to be known. */
  protected connection: Connection | null = null;
  /** Its head for `sendHeaders`, published when the connection is known. */
  private headToTell: string | null = null;
  /** Messages that follow it; `null`: they need not wait. */
  private untold: (() => void)[] | null = null;
  private outgoing: OutgoingBody | null = null;
  private source: BodySource | null = null;
  /** Declared or known length; `null` for none. Valid after `prepare`. */
  private length: number | null = null;
  /** The body is known to have no bytes. */
  private knownEmpty = false;
  private form: EncodedForm | null = null;
  /** A warning to emit when the request is sent. */
  protected warning: Error | null = null;
  /** Waits for the first chunk; see `waitForSource`. */
  private onReady: (() => void) | null = null;
  /** Whether `onRequestStart` was called. */
  isStarted = false;
  /** Failure of the body before that. */
  protected earlyError: Error | null = null;
  /** Its total timeout, while it waits in JavaScript. */
  private expiry: { readonly at: number; readonly timer: NodeJS.Timeout } | null = null;
  /** Ends `watchBody`. */
  private unwatch: (() => void) | null = null;

  constructor(context: SendContext, options: DispatchOptions, handler: DispatchHandler) {
    super(options);
    this.context = context;
    const caller = currentContext(handler);
    this.caller = caller;
    this.handler = caller === null ? handler : new ContextHandler(handler, caller);
    this.headHandler = caller === handler ? handler : this.handler;
    const isWatched = this.fetchDecoding !== null || timingsChannel.hasSubscribers;
    this.isTimed = this.wantsTimings ?? context.timings ?? isWatched;
  }

  abstract abortWith(error: Error | undefined): void;
  /** Receiver of the slot's completions. */
  protected abstract asSlotOwner(): SlotOwner;
  /** Calls the handler's `onRequestStart` now, if that waits for the request's turn. */
  protected abstract hurry(): void;
  /** Errors of the user's callbacks while sending. */
  protected abstract fail(error: unknown): void;

  get origin(): string {
    return this.context.origin;
  }

  get writer(): SubmissionWriter {
    return (this.target as SendTarget).writer;
  }

  protected connectionOf(serial: number): Connection | null {
    return this.target?.connection(serial) ?? null;
  }

  scheduleFlush(): void {
    this.context.session.scheduleFlush();
  }

  scheduleBodyFlush(): void {
    this.context.session.scheduleBodyFlush();
  }

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

  /**
   * Applies subscribers' changes to the published request.
   *
   * @throws InvalidArgumentError, NotSupportedError for a value that no request may have.
   */
  protected readBack(observed: DiagnosticRequest): void {
    const changed = DiagnosticRequest.readBack(observed);
    if (changed !== null) Object.assign(this, changed);
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

  private openSource(): void {
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

  /** It has to wait before it is sent, and its total timeout runs already. */
  startTotalTimeout(): void {
    const own = this.totalTimeout === DEFAULT_TIMEOUT ? null : this.totalTimeout;
    const milliseconds = own ?? this.context.totalTimeout;
    if (!milliseconds) return;
    const expire = () => this.abortWith(withPhase(new TotalTimeoutError(), 'queued'));
    const timer = setTimeout(expire, Math.min(milliseconds, LONGEST_TIMER));
    timer.unref();
    this.expiry = { at: now() + milliseconds, timer };
  }

  protected stopTotalTimeout(): void {
    if (this.expiry !== null) clearTimeout(this.expiry.timer);
  }

  /** What is left of it for the engine. */
  private get remainingTime(): number {
    if (this.expiry === null) return this.totalTimeout;
    this.stopTotalTimeout();
    return Math.max(1, Math.ceil(this.expiry.at - now()));
  }

  /** Writes the `Dispatch` record. The request must be prepared and unsettled. */
  send(target: SendTarget): void {
    const { context, body } = this;
    // The user can have detached or resized the memory since the length was taken.
    const declared = this.knownEmpty ? 0 : this.length;
    if (body?.kind === 'bytes' && sizeOf(body.bytes) !== declared) {
      this.abortWith(new errors.RequestContentLengthMismatchError());
      return;
    }
    if (this.warning !== null) process.emitWarning(this.warning);
    if (this.observed !== null) {
      try {
        this.readBack(this.observed);
      } catch (error) {
        this.abortWith(error as Error);
        return;
      }
    }
    const head = this.serialize(context.head);
    if (tellsConnection()) {
      this.headToTell = head;
      this.untold = [];
    }

    const { outgoing } = this;
    const empty =
      this.knownEmpty || (outgoing !== null && outgoing.ended && outgoing.accepted === 0);
    let kind: number = WireBody.None;
    let framing = '';
    let inline: Bytes | null = null;
    let length = 0;
    if (body === null || empty) {
      // RFC 9110, section 8.6: the length is sent if the method defines a meaning for a body.
      if (this.expectsPayload) framing = 'content-length: 0\r\n';
    } else if (this.length === null) {
      kind = WireBody.Chunked;
      framing = 'transfer-encoding: chunked\r\n';
    } else {
      kind = WireBody.Sized;
      length = this.length;
      framing = `content-length: ${length}\r\n`;
      if (body.kind === 'bytes' && length <= BODY_SLICE) {
        kind = WireBody.Full;
        inline = body.bytes;
      }
    }

    const aux = this.isTimed ? kind | DispatchAux.Timed : kind;
    let flags = this.dispatchFlags(!empty);
    if (this.expectContinue) {
      // Over HTTP/2, undici sends it even without a body; there the engine adds the field.
      flags |= DispatchFlag.ExpectContinue;
      if (!empty) framing += 'expect: 100-continue\r\n';
    }

    const isReported = this.untold !== null || this.isUpgrade;
    const { session } = context;
    this.target = target;
    this.slot = session.reserve();
    this.generation = session.generationOf(this.slot);
    session.occupy(this.asSlotOwner());
    target.writer.dispatch(
      this.slot,
      this.generation,
      flags,
      isReported ? aux | DispatchAux.Assigned : aux,
      target.id,
      `${head}${framing}\r\n`,
      this.headersTimeout,
      this.bodyTimeout,
      length,
      inline,
      this.decoding,
      this.fetchDecoding === null ? Math.max(this.decompression, NO_LIMIT) : NO_LIMIT,
      this.remainingTime,
      this.minBodyRate,
    );
    session.scheduleFlush();
    this.afterHead(kind, inline);
  }

  private afterHead(kind: number, inline: Bytes | null): void {
    if (kind === WireBody.Sized || kind === WireBody.Chunked) {
      const isRead = this.outgoing !== null;
      if (!isRead) this.openSource();
      if (!this.settled) this.outgoing?.start(isRead && !this.expectContinue);
      return;
    }
    this.outgoing = null;
    if (inline !== null) this.bodySent(asGiven(inline));
    if (!this.settled) this.requestSent();
  }

  /** Whether the response is decoded, and its maximum size. */
  protected get decompression(): Decompression {
    return this.decompress ?? this.context.decompress;
  }

  /** Whose rules apply; 0 for no decoding. */
  private get decoding(): WireDecode | 0 {
    const { fetchDecoding } = this;
    if (fetchDecoding !== null) {
      // The message has what was received: fetch decodes.
      if (channels.bodyChunkReceived.hasSubscribers) return 0;
      return fetchDecoding.follows ? WireDecode.FetchFollowing : WireDecode.Fetch;
    }
    return this.decompression === NOT_DECODED ? 0 : WireDecode.Interceptor;
  }

  private dispatchFlags(hasBody: boolean): number {
    let flags = 0;
    if (this.idempotent) flags |= DispatchFlag.Idempotent;
    if (this.blocking) flags |= DispatchFlag.Blocking;
    this.isReset = this.endsConnection(hasBody);
    if (this.isReset) flags |= DispatchFlag.Reset;
    if (this.method === 'HEAD') flags |= DispatchFlag.Head;
    else if (this.method === 'CONNECT') flags |= DispatchFlag.Connect;
    if (this.upgradeProtocol !== null) flags |= DispatchFlag.Upgrade;
    return flags;
  }

  /** Whether its connection ends after it, whatever the response says. */
  endsConnection(hasBody: boolean): boolean {
    // A body with a method that has none may confuse the server about its end, and some servers
    // send a body in response to HEAD.
    const reset = this.reset ?? (this.method === 'HEAD' || (hasBody && !this.expectsPayload));
    return reset || !this.context.head.keepAlive;
  }

  /** For the slot's completions. */
  onAssigned(serial: number): void {
    const connection = (this.target as SendTarget).connection(serial);
    this.connection = connection;
    const { headToTell, untold } = this;
    this.untold = null;
    if (headToTell !== null) publishHeaders(this, headToTell, connection);
    untold?.forEach((tell) => tell());
  }

  /** Publishes a message now, or after `sendHeaders`. */
  private tell(message: () => void): void {
    if (this.untold === null) message();
    else this.untold.push(message);
  }

  /** `Pull`: for the slot's completions. */
  onPull(bytes: number): void {
    this.outgoing?.grant(bytes);
  }

  bodySent(chunk: Uint8Array | string): void {
    if (channels.bodyChunkSent.hasSubscribers) {
      this.tell(() => channels.bodyChunkSent.publish({ request: observe(this), chunk }));
    }
    if (this.handler.onBodySent) {
      try {
        this.handler.onBodySent(chunk);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  requestSent(): void {
    if (channels.bodySent.hasSubscribers) {
      this.tell(() => channels.bodySent.publish({ request: observe(this) }));
    }
    if (this.handler.onRequestSent) {
      try {
        this.handler.onRequestSent();
      } catch (error) {
        this.fail(error);
      }
    }
  }
}
