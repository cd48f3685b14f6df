/**
 * One request from `dispatch()` to its settlement: the incoming half.
 *
 * What lives here: delivery of completions to the handler under `pause` and credit, abort, failure,
 * upgrades. The pool creates one per request. It must not know events or other requests.
 *
 * ```text
 * made ─ start ─▶ started ─ send ─▶ sent ─ head ─▶ responding ─ end ─▶ completed
 *    └─────────────────┴──── abort, failure, error, destroy ─┴───────▶ aborted
 * ```
 *
 * JavaScript decides that a request is completed or aborted: later records find its slot empty.
 */

import { decodeError, UpgradedSocket, withPhase } from '../connection';
import { decodeReason, parseFields } from '../headers';
import type { Pausing, SlotOwner } from '../session';
import {
  assertHandler,
  type DispatchHandler,
  type DispatchOptions,
  errors,
  type ParsedHeaders,
} from '../undici';
import { CREDIT_STEP, HeadFlag, MORE_ROOM, PIECE_OVERHEAD, WINDOW } from '../wire';
import type { RequestContext, Undelivered } from './context';
import { RequestController } from './controller';
import { debugRequest, isDebugging } from './debug-log';
import { channels, observe, publishEnd, publishError } from './diagnostics';
import { OwnHandler } from './own-handler';
import { type Pipelined, Place } from './pipeline';
import { Sending } from './sending';
import { TakenOver } from './taken-over';
import { CollectedTimings } from './timings';

/** One request; see above. Has the name of undici's class, which appears in stack traces of callbacks. */
export class Request extends Sending implements SlotOwner, Pausing, Pipelined {
  declare readonly context: RequestContext;
  #queue: Undelivered[] | null = null;
  /** A callback is running: `resume()` inside it must not deliver recursively. */
  #delivering = false;
  /** The last head was received over HTTP/2. */
  #isHttp2 = false;
  /** The connection ends with the response. */
  #isLast = false;
  /** The engine decodes the response. */
  #isDecoded = false;
  /** The final head was received: from now on, a pause stops something. */
  #isResponding = false;
  /** Credit to be returned for delivered chunks: the length of each plus `PIECE_OVERHEAD`. */
  #owed = 0;
  /** Bytes until the window grows; 0 once it has. */
  #untilRoom = WINDOW;
  /** The state known to Rust: running, a pause to be reported at the end of this turn, or paused. */
  #delivery: 'running' | 'pausing' | 'paused' = 'running';

  /** The caller's fields, without those added since. */
  readonly #givenLines: string;
  #takenOver: TakenOver | null = null;
  /** It was aborted in the engine, which is still to report on it. */
  #isLeaving = false;
  /** Whether it is in the pool's list. */
  #counts = true;

  /** Neighbours in the pool's list of unsettled requests; used only by the pool. */
  previous: Request | null = null;
  next: Request | null = null;

  /** Used only by the pipeline. */
  place: number = Place.None;
  submitted = false;
  isReplay = false;
  hasHead = false;

  constructor(context: RequestContext, options: DispatchOptions, handler: DispatchHandler) {
    super(context, options, handler);
    this.#givenLines = this.lines;
    assertHandler(handler, this.isUpgrade);
    if (isDebugging) debugRequest(this, 'dispatched');
    if (channels.create.hasSubscribers) {
      const observed = observe(this, options);
      channels.create.publish({ request: observed });
      this.readBack(observed);
    }
    this.watchBody();
  }

  protected override hurry(): void {
    if (this.place === Place.Waiting && !this.isStarted && !this.settled) this.start();
  }

  /** The controller; only after `start`. */
  get #handle(): RequestController {
    return this.controller as RequestController;
  }

  protected override asSlotOwner(): SlotOwner {
    return this;
  }

  // Incoming ---------------------------------------------------------------------------------

  onHead(status: number, flags: number, text: string): void {
    this.#isHttp2 = (flags & HeadFlag.Http2) !== 0;
    this.#isLast = (flags & HeadFlag.Last) !== 0;
    this.#isResponding = status >= 200;
    if (this.#isResponding && this.timings !== null) CollectedTimings.status(this.timings, status);
    this.hasHead = true;
    this.#isDecoded = (flags & HeadFlag.Decoded) !== 0;
    if (this.fetchDecoding !== null) this.fetchDecoding.decoded = this.#isDecoded;
    if (this.#handle.paused) this.paused();
    // Heads are delivered to a paused handler, too, but never before what is already queued.
    if (this.#queue !== null) this.#queue.push({ kind: 'head', status, text });
    else this.onResponseStart(status, text);
  }

  onData(chunk: Buffer): void {
    if (this.#queue !== null || this.#handle.paused) this.#wait({ kind: 'data', chunk });
    else this.#deliverData(chunk);
  }

  onEnd(trailers: string, received: number): void {
    if (this.fetchDecoding !== null) this.fetchDecoding.received = received;
    if (this.#queue !== null || this.#handle.paused) this.#wait({ kind: 'end', trailers });
    else this.#deliverEnd(trailers);
  }

  onError(batch: Buffer, start: number, end: number): void {
    // An error does not wait for a paused handler, nor for chunks that it has not taken.
    const error = decodeError(batch, start, end);
    this.context.failing(this, error);
    if (!this.context.takeOver(this, error)) this.#deliverError(error);
  }

  /** Ends silently, before anything was sent: the peer is to serve what this returns. */
  handOver(): { readonly options: DispatchOptions; readonly handler: DispatchHandler } {
    const options = { origin: this.origin, ...this.asOptions(this.#givenLines, this.bodyAgain) };
    const handler = (this.#takenOver = new TakenOver(this.handler, this.sentBody));
    if (isDebugging) debugRequest(this, 'handed over to undici');
    this.settled = true;
    this.#queue = null;
    if (this.slot !== -1) this.context.session.free(this);
    this.letGoOfBody();
    this.#leave();
    return { options, handler };
  }

  onUpgrade(status: number, flags: number, text: string): void {
    const fields = text.indexOf('\n') + 1;
    const controller = this.#handle;
    this.#isHttp2 = (flags & HeadFlag.Http2) !== 0;
    if (this.timings !== null) CollectedTimings.status(this.timings, status);
    RequestController.receiveHead(controller, text, fields, this.#isHttp2);
    this.unwatchBody();
    const { session } = this.context;
    const socket = new UpgradedSocket(this.connection, session, this, this.#isHttp2);
    this.slot = -1;
    // As in undici, the pool releases the request before its handler gets the byte stream:
    // closing or destroying the pool in there does not affect the stream.
    this.#leave();
    this.#publishHead(status, text, fields);
    try {
      this.handler.onResponseStarted?.();
      this.handler.onRequestUpgrade?.(
        controller,
        status,
        parseFields(text, fields, this.#isHttp2),
        socket,
      );
    } catch (error) {
      this.#settleWithError(error as Error);
      socket.destroy(error as Error);
      return;
    }
    if (this.settled) {
      socket.destroy();
      return;
    }
    this.settled = true;
    this.completed = true;
    this.#endTimings(null);
    publishEnd(this, null);
  }

  onTimings(batch: Buffer, start: number, flags: number): void {
    if (this.timings === null) return;
    const connection = this.connectionOf(batch.readUInt32LE(start));
    const { epoch } = this.context.session.clock;
    CollectedTimings.receive(this.timings, batch, start, (flags & 1) !== 0, connection, epoch);
  }

  onReleased(): void {
    this.#isLeaving = false;
    if (this.timings !== null) this.#publishTimings(this.timings);
  }

  /** The request has ended, because of `error` if it has failed. */
  #endTimings(error: Error | null): void {
    if (this.timings === null) return;
    CollectedTimings.end(this.timings, error);
    if (!this.#isLeaving) this.#publishTimings(this.timings);
  }

  #publishTimings(timings: CollectedTimings): void {
    const { timingsListener, caller } = this;
    if (!CollectedTimings.publish(timings, this) || timingsListener === null) return;
    try {
      const call = (): void => timingsListener(timings as never);
      if (caller === null) call();
      else caller.runInAsyncScope(call);
    } catch (error) {
      this.context.reportError(error);
    }
  }

  #wait(item: Undelivered): void {
    (this.#queue ??= []).push(item);
  }

  /** `pause()` was called. */
  paused(): void {
    if (this.#delivery !== 'running' || this.settled) return;
    this.#delivery = 'pausing';
    this.context.session.pauseSoon(this);
  }

  reportPause(): void {
    // As in undici, a handler that pauses before the final head still waits for it; we check again
    // then.
    const isPaused = this.#isResponding && this.#handle.paused && !this.settled;
    this.#delivery = isPaused ? 'paused' : 'running';
    if (!isPaused) return;
    this.writer.credit(this.slot, this.generation, 0, true);
    this.context.session.requestRests();
  }

  /**
   * Whether the request keeps the process alive. As with Node's sockets, one that is not read does
   * not: a body that is never consumed would keep it alive forever.
   */
  get holds(): boolean {
    return this.#delivery !== 'paused';
  }

  #reportResumed(): void {
    if (this.#delivery !== 'paused') return;
    this.#delivery = 'running';
    this.context.session.requestRuns();
    this.writer.credit(this.slot, this.generation, this.#owed);
    this.#owed = 0;
    this.scheduleFlush();
  }

  /** `resume()` was called. */
  resumed(): void {
    if (this.settled) return;
    this.#reportResumed();
    if (this.#delivering) return;
    this.#returnCredit();
    this.#deliverWaiting();
  }

  #deliverWaiting(): void {
    while (this.#queue !== null && !this.settled) {
      const item = this.#queue[0];
      if (item === undefined) {
        this.#queue = null;
        return;
      }
      if (this.#handle.paused) return;
      this.#queue.shift();
      if (item.kind === 'data') this.#deliverData(item.chunk);
      else if (item.kind === 'head') this.onResponseStart(item.status, item.text);
      else this.#deliverEnd(item.trailers);
    }
  }

  /** HTTP/2 has none: the stream number takes its place. */
  #reasonPhrase(text: string, fields: number): string {
    return this.#isHttp2 ? '' : decodeReason(text.slice(0, fields - 1));
  }

  /** Number of its HTTP/2 stream, once a head was received on it; otherwise `null`. */
  get streamNumber(): number | null {
    return this.#isHttp2 ? RequestController.streamNumber(this.#handle) : null;
  }

  #publishHead(status: number, text: string, fields: number): void {
    if (isDebugging) debugRequest(this, `status ${status}`);
    if (!channels.headers.hasSubscribers) return;
    const response = {
      statusCode: status,
      headers: this.#handle.rawHeaders,
      statusText: this.#reasonPhrase(text, fields),
    };
    channels.headers.publish({ request: observe(this), response });
  }

  private onResponseStart(status: number, text: string): void {
    const { handler } = this;
    const controller = this.#handle;
    const fields = text.indexOf('\n') + 1;
    RequestController.receiveHead(controller, text, fields, this.#isHttp2);
    this.#delivering = true;
    try {
      if (handler.onResponseStarted) handler.onResponseStarted();
      this.#publishHead(status, text, fields);
      const reason = this.#reasonPhrase(text, fields);
      const receiver = status < 200 ? handler : this.headHandler;
      if (receiver instanceof OwnHandler && status >= 200) {
        receiver.onHead(controller, status, text, fields, reason);
      } else
        receiver.onResponseStart?.(
          controller,
          status,
          parseFields(text, fields, this.#isHttp2),
          reason,
        );
    } catch (error) {
      this.fail(error);
    }
    this.#delivering = false;
    const matters = this.place === Place.Blocking || (this.place === Place.Running && this.#isLast);
    if (matters && status >= 200) this.context.headDelivered(this, this.#isLast);
  }

  override requestSent(): void {
    super.requestSent();
    if (isDebugging) debugRequest(this, 'sent');
    if (this.place !== Place.None) this.context.sent(this);
  }

  #deliverData(chunk: Buffer): void {
    const controller = this.#handle;
    this.#delivering = true;
    try {
      if (channels.bodyChunkReceived.hasSubscribers) {
        channels.bodyChunkReceived.publish({ request: observe(this), chunk });
      }
      this.handler.onResponseData?.(controller, chunk);
    } catch (error) {
      this.fail(error);
    }
    this.#delivering = false;
    this.#owed += chunk.length + PIECE_OVERHEAD;
    if (!controller.paused) this.#returnCredit();
  }

  #returnCredit(): void {
    if (this.#owed < CREDIT_STEP || this.settled) return;
    let credit = this.#owed;
    this.#owed = 0;
    if (this.#untilRoom > 0) {
      this.#untilRoom -= credit;
      if (this.#untilRoom <= 0) {
        this.#untilRoom = 0;
        credit += MORE_ROOM;
      }
    }
    this.writer.credit(this.slot, this.generation, credit);
    this.scheduleFlush();
  }

  #deliverEnd(trailers: string): void {
    const controller = this.#handle;
    RequestController.receiveTrailers(controller, trailers);
    this.settled = true;
    this.completed = true;
    this.context.session.free(this);
    this.unwatchBody();
    this.#endTimings(null);
    publishEnd(this, controller);
    try {
      const parsed: ParsedHeaders = trailers === '' ? {} : parseFields(trailers, 0, this.#isHttp2);
      this.handler.onResponseEnd?.(controller, parsed);
    } catch (error) {
      this.#callOnError(error as Error);
    }
    if (!this.bodyFinished) this.stopBody();
    this.#leave();
  }

  /** The request no longer counts. */
  #leave(): void {
    if (!this.#counts) return;
    this.#counts = false;
    this.unwatchSignal();
    this.stopTotalTimeout();
    this.context.settled(this);
  }

  // Failure ----------------------------------------------------------------------------------

  /** An error from Rust: as in undici, the request no longer counts when its handler is called. */
  #deliverError(error: Error): void {
    if (this.settled) return;
    this.settled = true;
    this.#queue = null;
    this.context.session.free(this);
    this.#leave();
    this.unwatchBody();
    if (this.#isDecoded) RequestController.decodedFailed(this.#handle);
    this.#callOnError(error);
    if (!this.bodyFinished) this.stopBody(error);
  }

  /**
   * Its connection was taken away: what is still received for it is dropped, and its error follows.
   * Not so for an upgrade in progress, because byte streams outlive their pool.
   */
  cutOff(): void {
    this.#queue = null;
    if (this.slot !== -1 && !this.isUpgrade) this.context.session.free(this);
  }

  /** The user aborted, or the body failed: settles immediately. */
  abortWith(reason: Error | undefined): void {
    this.#takenOver?.abort(reason);
    // undici's functions pass such an error where a signal has no reason.
    const isBare = reason === undefined || reason instanceof errors.RequestAbortedError;
    this.#settleWithError(isBare ? this.#abortedError(reason) : reason);
  }

  /** The engine knows where the request is in between. */
  #abortedError(error: Error = new errors.RequestAbortedError()): Error {
    if (this.#isResponding) return withPhase(error, 'body');
    const waits = this.slot === -1 || this.context.isWaiting(this);
    return waits ? withPhase(error, 'queued') : error;
  }

  /** A callback threw: the request ends with that error. */
  protected override fail(error: unknown): void {
    this.#settleWithError(error as Error);
  }

  /**
   * Ends with `error`, from the pool's `destroy()`: Rust releases the request by itself, unless an
   * upgrade is in progress, because byte streams outlive their pool.
   */
  destroyWith(error: Error): void {
    if (this.slot !== -1 && !this.isUpgrade) this.context.session.free(this);
    this.#settleWithError(error, this.isUpgrade);
  }

  #settleWithError(error: Error, cancels = true): void {
    if (this.settled) return;
    this.settled = true;
    this.#queue = null;
    if (this.slot !== -1 && cancels) {
      this.writer.cancel(this.slot, this.generation);
      this.#isLeaving = this.context.session.cancelled(this, this.timings !== null);
      this.scheduleFlush();
    }
    this.unwatchBody();
    this.#callOnError(error);
    this.stopBody();
    this.#leave();
  }

  #callOnError(error: Error): void {
    this.#endTimings(error);
    publishError(this, error);
    this.aborted = true;
    try {
      this.handler.onResponseError?.(this.controller, error);
    } catch (thrown) {
      this.context.reportError(thrown);
    }
  }
}
