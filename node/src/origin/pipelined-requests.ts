/**
 * The order in which requests are submitted for an origin with a pipelining connection.
 *
 * What lives here: submitting those whose turn it is, which `pipeline.ts` decides. The dispatcher of a
 * client whose `pipelining` is or was above 1 has one. It must not know counters or events.
 */

import { setImmediate } from '../process';
import { type Request, Pipeline, Place } from '../request';
import type { NativePool } from './native-pool';
import type { RequestList } from './request-list';

/** What it needs from the dispatcher. */
export interface PipelineHost {
  readonly requests: RequestList;
  readonly isDestroyed: boolean;
  /** Whether `connect` listeners are running: requests are submitted after them. */
  readonly isAnnouncing: boolean;
  /** Whether the connection is about to end; `advance` follows. */
  readonly isEnding: boolean;
  /** @throws if the engine's pool cannot be created. */
  nativeFor(servername: string | null): NativePool;
  /** Opens a connection. */
  openFor(target: NativePool): void;
  /** Ends the connection, because a request that was about to be sent on it was aborted. */
  giveUpConnection(): void;
  /** It is the turn of `request`, and its body is available. */
  send(request: Request): void;
  /** There may be capacity for more. */
  checkDrain(): void;
}

/** See above. */
export class PipelinedRequests {
  readonly #host: PipelineHost;
  readonly #pipeline: Pipeline<Request>;
  /** Requests with bodies wait for the end of the turn. */
  #scheduled = false;
  #advancing = false;
  #dissolved = false;
  /** A request has failed, and its connection probably with it: that is known by the next turn. */
  #awaitsEnd = false;

  constructor(host: PipelineHost, depth: number) {
    this.#host = host;
    this.#pipeline = new Pipeline(depth);
  }

  /** The pipelining depth. */
  set depth(value: number) {
    this.#pipeline.depth = value;
  }

  /** Requests that left the queue. */
  get running(): number {
    return this.#pipeline.running;
  }

  /** Whether one more of `size` requests would have to wait. */
  isBusy(size: number, depth: number): boolean {
    const pipeline = this.#pipeline;
    return pipeline.isShut || size >= depth || size > pipeline.running;
  }

  /** The engine has these already, and in this order. */
  adopt(request: Request): void {
    request.place = Place.Waiting;
    request.submitted = true;
  }

  /** Adds a request that is submitted when it is its turn; until then, `signal` ends it. */
  submit(request: Request, signal: unknown): void {
    request.place = Place.Waiting;
    if (request.needsSource) this.#schedule();
    else this.advance();
    if (signal != null && !request.isStarted) request.watchSignal(signal);
  }

  /** The caller may end the stream as soon as `dispatch` returns: then there is no body to wait for. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    process.nextTick(() => {
      this.#scheduled = false;
      this.advance();
      this.#host.checkDrain();
    });
  }

  /** Submits every request whose turn it is. */
  advance(): void {
    // A handler that dispatches a request while its own is started: the new one follows afterwards.
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      while (this.#advanceOne());
    } finally {
      this.#advancing = false;
    }
  }

  /** Submits the oldest waiting request. Returns whether to continue with the next one. */
  #advanceOne(): boolean {
    const host = this.#host;
    const pipeline = this.#pipeline;
    if (this.#dissolved || this.#scheduled || this.#awaitsEnd) return false;
    if (host.isAnnouncing || host.isEnding || host.isDestroyed) return false;
    const request = pipeline.candidate(host.requests.first);
    if (request === null) return false;
    let target: NativePool;
    try {
      target = host.nativeFor(request.servername);
    } catch (error) {
      request.abortWith(error as Error);
      return true;
    }
    if (!target.isConnected) {
      host.openFor(target);
      return false;
    }
    pipeline.admit(request);
    if (!this.#notify(request) || request.submitted) return true;
    request.submitted = true;
    request.measureStream();
    if (request.settled) return true;
    if (request.needsSource) request.waitForSource(() => host.send(request));
    else host.send(request);
    return true;
  }

  /**
   * Notifies the handler that its request is being sent, also when a lost connection has brought it back.
   * Returns whether it still must be sent. As in undici, the connection belongs to the request from here
   * on, and ends with it if the handler aborts.
   */
  #notify(request: Request): boolean {
    if (request.isStarted && !request.isReplay) return true;
    request.isReplay = false;
    if (request.start()) return true;
    if (request.wasAborted) this.#host.giveUpConnection();
    return false;
  }

  /** The response head of `request` was delivered; see `Pipeline`. */
  headDelivered(request: Request, isLast: boolean): void {
    this.#pipeline.headDelivered(request, isLast);
    this.advance();
  }

  /** The body of `request` was sent. */
  bodySent(request: Request): void {
    if (!this.#pipeline.bodySent(request)) return;
    this.advance();
    this.#host.checkDrain();
  }

  /** `request` has ended. */
  settled(request: Request): void {
    if (this.#pipeline.settled(request) && !this.#awaitsEnd) {
      this.#awaitsEnd = true;
      setImmediate(() => {
        if (!this.#awaitsEnd) return;
        this.#awaitsEnd = false;
        this.advance();
        this.#host.checkDrain();
      });
    }
    this.advance();
  }

  /** The connection has ended: running requests wait again. */
  requeue(): void {
    this.#awaitsEnd = false;
    this.#pipeline.requeue(this.#host.requests.first);
  }

  /** Order no longer matters. Returns those that were not submitted. */
  dissolve(): Request[] {
    this.#dissolved = true;
    const waiting: Request[] = [];
    for (const request of this.#host.requests.all()) {
      if (!request.submitted && request.place === Place.Waiting) waiting.push(request);
      request.place = Place.None;
    }
    return waiting;
  }
}
