/**
 * Which requests of a client count as running when `pipelining` allows more than one.
 *
 * What lives here: undici's rules for when a request leaves the queue of a `Client`, and the two counters
 * derived from them. The dispatcher of such a client has one; clients with `pipelining: 1` and pools have
 * none, their requests queue in the engine. It must not know connections, handlers or events.
 *
 * The engine decides again what is written (`admission.rs` of dodici-pool), and may hold back more, but
 * never less: see `docs/decisions/0039-two-sets-of-pipelining-rules.md`.
 *
 * Running requests are always the oldest ones: a request that must wait makes all later ones wait.
 */

/** The place of a request, in this order. */
export const Place = {
  /** Not in a pipeline, or its handler is being notified. */
  None: 0,
  /** In the queue. */
  Waiting: 1,
  /** Left the queue. */
  Running: 2,
  /** Left the queue, and nothing may follow before its response head. */
  Blocking: 3,
  /** Its connection has ended, and its reader is still behind; or it has become a byte stream. */
  Gone: 4,
} as const;

/** A request, as far as its place in the pipeline depends on it. */
export interface Pipelined {
  place: number;
  /** It was submitted before: a lost connection brought it back into the queue. */
  submitted: boolean;
  /** It ran on a connection that has ended: its handler must be notified of the next attempt. */
  isReplay: boolean;
  /** Its response has begun. */
  readonly hasHead: boolean;
  /** Its response has ended well. */
  readonly completed: boolean;
  /** -1 until its record was written: before that, no connection carries it. */
  readonly slot: number;
  readonly next: Pipelined | null;
  readonly idempotent: boolean;
  readonly blocking: boolean;
  readonly isUpgrade: boolean;
  readonly servername: string | null;
  /** Whether its body comes from a source that can be read only once. */
  hasSource(): boolean;
  /** Whether its connection ends after it, whatever the response says; valid when it was sent. */
  readonly isReset: boolean;
  /** The same of a request with, or without, a body. */
  endsConnection(hasBody: boolean): boolean;
}

/** See above. */
export class Pipeline<Request extends Pipelined> {
  /** Requests that left the queue. */
  running = 0;
  #depth: number;
  /** The running request whose body is being sent. */
  #writing: Request | null = null;
  #blocking: Request | null = null;
  /** Why nothing may follow the running requests on their connection. */
  #shut: 'no' | 'may become a byte stream' | 'ends' = 'no';
  #servername: string | null = null;

  constructor(depth: number) {
    this.#depth = depth;
  }

  set depth(value: number) {
    this.#depth = value;
  }

  /** Whether a running request keeps others from leaving. */
  get isShut(): boolean {
    return this.#shut !== 'no' || this.#writing !== null || this.#blocking !== null;
  }

  /**
   * The oldest waiting request, if it may leave now. `first` is the oldest request of all.
   */
  candidate(first: Request | null): Request | null {
    if (this.isShut || this.running >= this.#depth) return null;
    let request: Request | null = first;
    while (request !== null && request.place >= Place.Running) {
      request = request.next as Request | null;
    }
    if (request === null || request.place === Place.None) return null;
    if (this.running === 0) return request;
    // What cannot be repeated must not be lost with the connection of another request, and a byte
    // stream begins only where all responses have ended.
    if (!request.idempotent || request.isUpgrade || request.hasSource()) return null;
    return request.servername === this.#servername ? request : null;
  }

  /** `request`, the candidate, leaves the queue. */
  admit(request: Request): void {
    this.running++;
    this.#servername = request.servername;
    request.place = Place.Running;
    // Whether its body is one that its method does not expect is known when it was sent.
    if (request.endsConnection(false)) this.#shut = 'ends';
    else if (request.isUpgrade) this.#shut = 'may become a byte stream';
    if (request.blocking) {
      request.place = Place.Blocking;
      this.#blocking = request;
    }
    if (request.hasSource()) this.#writing = request;
  }

  /** The response head of `request` was delivered. `isLast`: its connection ends with the response. */
  headDelivered(request: Request, isLast: boolean): void {
    if (isLast && request.place >= Place.Running) this.#shut = 'ends';
    if (this.#blocking !== request) return;
    request.place = Place.Running;
    this.#blocking = null;
  }

  /** The body of `request` was sent. Returns whether that makes a difference. */
  bodySent(request: Request): boolean {
    if (request.place >= Place.Running && request.isReset) this.#shut = 'ends';
    if (this.#writing !== request) return false;
    this.#writing = null;
    return true;
  }

  /**
   * `request` has ended. Returns whether its connection probably ends with it: as in undici, a request
   * that fails costs its connection.
   */
  settled(request: Request): boolean {
    const ran = request.place === Place.Running || request.place === Place.Blocking;
    request.place = Place.None;
    if (this.#writing === request) this.#writing = null;
    if (this.#blocking === request) this.#blocking = null;
    if (!ran) return false;
    this.running--;
    // What was answered and ends the connection is followed by the end of it: see `requeue`.
    if (this.running === 0 && !(request.completed && this.#shut === 'ends')) this.#shut = 'no';
    return !request.completed && request.slot !== -1;
  }

  /** The connection has ended: running requests wait again, unless they were answered. */
  requeue(first: Request | null): void {
    for (let request = first; request !== null; request = request.next as Request | null) {
      if (request.place !== Place.Running && request.place !== Place.Blocking) continue;
      const isOver = request.hasHead || request.isUpgrade;
      request.place = isOver ? Place.Gone : Place.Waiting;
      request.isReplay = !isOver;
    }
    this.running = 0;
    this.#writing = null;
    this.#blocking = null;
    this.#shut = 'no';
  }
}
