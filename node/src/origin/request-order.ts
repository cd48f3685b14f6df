/**
 * The order in which the requests of an origin are submitted to the engine.
 *
 * What lives here: which of three rules applies to a request. Those of a client that pipelines wait for
 * their turn (`pipelined-requests.ts`), those of another single connection for the bodies before them
 * (`held-requests.ts`), and all others at most for a connection (`unread-requests.ts`).
 * `OriginDispatcher` has one. It must not know counters or events.
 */

import type { Request } from '../request';
import type { PoolSettings } from '../options';
import { type HeldHost, HeldRequests } from './held-requests';
import { PipelinedRequests, type PipelineHost } from './pipelined-requests';
import { type UnreadHost, UnreadRequests } from './unread-requests';

/** What it needs from the dispatcher. */
export interface OrderHost extends HeldHost, UnreadHost, PipelineHost {
  readonly settings: PoolSettings;
  /** Whether a connection speaks HTTP/2: streams are not ordered. */
  readonly isMultiplexed: boolean;
}

/** See above. */
export class RequestOrder {
  readonly #host: OrderHost;
  /** Requests of a single connection waiting for their turn. */
  readonly #held: HeldRequests;
  /** Others whose bodies are about to be read. */
  readonly #unread: UnreadRequests;
  #pipelined: PipelinedRequests | null = null;

  constructor(host: OrderHost) {
    this.#host = host;
    this.#held = new HeldRequests(host);
    this.#unread = new UnreadRequests(host);
    const { kind, pipelining } = host.settings;
    if (kind === 'client' && pipelining > 1) {
      this.#pipelined = new PipelinedRequests(host, pipelining);
    }
  }

  /** The pipeline of a client whose `pipelining` is or was above 1. */
  get pipelined(): PipelinedRequests | null {
    return this.#pipelined;
  }

  /** Affects which requests are submitted together. */
  set pipelining(value: number) {
    if (this.#pipelined !== null) this.#pipelined.depth = Math.max(1, value);
    else if (this.#host.settings.kind === 'client' && value > 1) this.#startPipeline(value);
    this.#pipelined?.advance();
  }

  /** The engine has the requests so far, in this order. */
  #startPipeline(depth: number): void {
    const pipelined = new PipelinedRequests(this.#host, depth);
    this.#pipelined = pipelined;
    for (const request of this.#host.requests.all()) {
      if (request.slot !== -1) pipelined.adopt(request);
    }
    for (const request of this.#held.take()) pipelined.adopt(request);
  }

  /** Submits `request` when it is its turn; until then, `signal` may end it. */
  submit(request: Request, signal: unknown): void {
    if (this.#pipelined !== null) this.#pipelined.submit(request, signal);
    else if (request.start()) this.#submitStarted(request);
  }

  #submitStarted(request: Request): void {
    const host = this.#host;
    const isFree = host.settings.connections !== 1 || host.isMultiplexed;
    // One connection answers in the order of dispatch: later requests queue behind one that waits.
    if (!isFree || host.waitsForServername(request)) this.#held.submit(request);
    else if (request.needsSource) this.#unread.submit(request);
    else host.send(request);
  }

  /** There is a connection now, or there is none again. */
  goOn(): void {
    this.#unread.goOn();
    this.#held.goOn();
    this.#pipelined?.advance();
  }

  /** Streams do not wait for the order of a pipeline or for earlier bodies. */
  multiplex(): void {
    const waiting = this.#held.take();
    if (this.#pipelined !== null) {
      waiting.push(...this.#pipelined.dissolve());
      this.#pipelined = null;
    }
    for (const request of waiting) {
      if (!request.settled && (request.isStarted || request.start())) this.#submitStarted(request);
    }
  }

  /** `request` has settled, and is no longer on the list. */
  settled(request: Request): void {
    if (!this.#held.isEmpty) this.#held.goOn();
    this.#pipelined?.settled(request);
  }

  /** Takes those that wait here for a connection, to fail them: of a client, `all` or the oldest. */
  takeWaiting(all: boolean): Request[] {
    const waiting = this.#unread.take();
    const { requests } = this.#host;
    const { first } = requests;
    const isOurs =
      this.#pipelined === null
        ? !this.#held.isEmpty && first?.slot === -1
        : this.#pipelined.running === 0;
    if (!isOurs) return waiting;
    if (all) this.#held.take();
    waiting.push(...requests.take(first, all ? Infinity : 1));
    return waiting;
  }
}
