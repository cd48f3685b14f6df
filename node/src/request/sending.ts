/**
 * The outgoing half of a request: from the description to records.
 *
 * What lives here: the start, the choice of the body's framing, the complete head, the `Dispatch`
 * record and messages about it. `Request` extends it with the incoming half. It must not know pools'
 * counters, nor how responses are delivered.
 */

import { AsyncResource } from 'node:async_hooks';

import { type Connection, TotalTimeoutError, withPhase } from '../connection';
import { type Decompression, NO_LIMIT, NOT_DECODED } from '../options';
import { clearTimeout, now, setTimeout } from '../process';
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
import { type Controlled, RequestController } from './controller';
import {
  channels,
  DiagnosticRequest,
  HeldMessages,
  observe,
  type ObservedRequest,
} from './diagnostics';
import { onAbort } from './abort-signal';
import { SendingBody } from './sending-body';
import { CollectedTimings, timingsChannel } from './timings';

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
export abstract class Sending extends SendingBody implements ObservedRequest, Controlled {
  readonly handler: DispatchHandler;
  /**
   * The receiver of the final head: undici's own handlers call back in the context they keep, and
   * stack traces show undici's.
   */
  protected readonly headHandler: DispatchHandler;
  /** The async context it was created in, if there is one to keep. */
  protected readonly caller: AsyncResource | null;
  completed = false;
  /** Its connection ends after it, because it says so; valid when it was sent. */
  isReset = false;
  aborted = false;
  observed: DiagnosticRequest | null = null;
  /** `null`: nobody wants to know them; by default, our fetch and subscribers do. */
  protected readonly timings: CollectedTimings | null;
  /** Only after `start`. */
  protected controller: RequestController | null = null;
  /** Ends `watchSignal`. */
  private stopWatching: (() => void) | null = null;

  private target: SendTarget | null = null;
  /** The connection that carries it, if that is to be known. */
  protected connection: Connection | null = null;
  /** Messages that name its connection, or follow the one that does; `null`: nobody listens. */
  private messages: HeldMessages | null = null;
  /** Its total timeout, while it waits in JavaScript. */
  private expiry: { readonly at: number; readonly timer: NodeJS.Timeout } | null = null;

  constructor(context: SendContext, options: DispatchOptions, handler: DispatchHandler) {
    super(context, options);
    const caller = currentContext(handler);
    this.caller = caller;
    this.handler = caller === null ? handler : new ContextHandler(handler, caller);
    this.headHandler = caller === handler ? handler : this.handler;
    const isWatched = this.fetchDecoding !== null || timingsChannel.hasSubscribers;
    const isTimed = this.wantsTimings ?? context.timings ?? isWatched;
    this.timings = isTimed ? new CollectedTimings() : null;
  }

  abstract paused(): void;
  abstract resumed(): void;
  /** Receiver of the slot's completions. */
  protected abstract asSlotOwner(): SlotOwner;

  get origin(): string {
    return this.context.origin;
  }

  /**
   * undici's `request()` and the like read `rawHeaders` of every response, but use them only if the
   * caller chose `responseHeaders: 'raw'`.
   */
  get seldomLooksAtRaw(): boolean {
    const handler = this.handler as { responseHeaders?: unknown };
    return handler.responseHeaders === null && handler instanceof AsyncResource;
  }

  get delaysOthers(): boolean {
    return this.context.hasQueued;
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

  /** Determines what can be known of the body. Returns whether the request is still to be sent. */
  describe(): boolean {
    try {
      this.prepare();
    } catch (error) {
      this.fail(error);
    }
    return !this.settled;
  }

  /**
   * Calls the handler for each attempt that is not hidden from it. Returns whether the request is
   * still to be sent: if the handler has aborted it, nothing is written.
   */
  start(): boolean {
    this.unwatchSignal();
    const controller = (this.controller ??= new RequestController(this, this.timings));
    this.isStarted = true;
    if (this.earlyError !== null) {
      controller.abort(this.earlyError);
      return false;
    }
    try {
      (this.handler.onRequestStart as NonNullable<DispatchHandler['onRequestStart']>)(
        controller,
        null,
      );
    } catch (error) {
      this.fail(error);
    }
    return !this.settled;
  }

  /**
   * The handler is called when it is the request's turn; before, it cannot abort. If `signal` fires
   * meanwhile, the handler is called immediately: it listens to the signal, too, and first.
   */
  watchSignal(signal: unknown): void {
    if (!this.settled) this.stopWatching = onAbort(signal, () => this.hurry());
  }

  protected unwatchSignal(): void {
    this.stopWatching?.();
    this.stopWatching = null;
  }

  /** Whether `abort` was called; requests may fail without it. */
  get wasAborted(): boolean {
    return this.controller?.aborted === true;
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

  /**
   * Applies subscribers' changes to the published request.
   *
   * @throws InvalidArgumentError, NotSupportedError for a value that no request may have.
   */
  protected readBack(observed: DiagnosticRequest): void {
    const changed = DiagnosticRequest.readBack(observed);
    if (changed !== null) Object.assign(this, changed);
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
    this.messages = HeldMessages.of(head);

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

    const aux = this.timings === null ? kind : kind | DispatchAux.Timed;
    let flags = this.dispatchFlags(!empty);
    if (this.expectContinue) {
      // Over HTTP/2, undici sends it even without a body; there the engine adds the field.
      flags |= DispatchFlag.ExpectContinue;
      if (!empty) framing += 'expect: 100-continue\r\n';
    }

    const isReported = this.messages !== null || this.isUpgrade;
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
    this.connection = this.connectionOf(serial);
    this.messages?.release(this, this.connection);
  }

  /** Publishes a message now, or after `sendHeaders`. */
  private publish(message: () => void): void {
    if (this.messages === null) message();
    else this.messages.add(message);
  }

  bodySent(chunk: Uint8Array | string): void {
    if (channels.bodyChunkSent.hasSubscribers) {
      this.publish(() => channels.bodyChunkSent.publish({ request: observe(this), chunk }));
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
      this.publish(() => channels.bodySent.publish({ request: observe(this) }));
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
