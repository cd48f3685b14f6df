/**
 * When a completion may be delivered.
 *
 * What lives here: which records of a batch must wait for a later turn of the event loop, the waiting
 * batches, and the number of requests in flight, on which that depends. The session passes in each
 * batch and asks before it delivers a record. It must not know slots, pools, or how a record is
 * delivered.
 *
 * A batch may contain what sockets would have delivered in several turns, with microtasks in between.
 * A record that must not share a turn with earlier ones is left, and everything behind it waits as
 * well, including later batches: nothing overtakes.
 *
 * ```text
 *           nothing waits                 all delivered
 * arrived ─────────────────▶ delivering ───────────▶ done
 *    │                        │      ▲
 *    │ another batch waits    │      │ next turn, the oldest first;
 *    │              a record  │      │ after RIPE_TURNS it is ripe
 *    │              must wait ▼      │
 *    └─────────────────────▶ waiting ┘
 * ```
 *
 * When a batch is ripe, every socket has been polled since it arrived.
 */

import { now, queueMicrotask, setImmediate } from '../process';
import { alignBatch, FEW, type Latin1Buffer, MOST_DISCONNECTS, RIPE_TURNS, SOON } from '../wire';

/** Slabs that accompany a batch: the memory of its large chunks. */
export type Slabs = Buffer[] | undefined | null;

/** Delivers the records of a batch starting at `from`. Returns `length`, or where one had to wait. */
export type Walk = (
  batch: Latin1Buffer,
  words: Uint32Array,
  length: number,
  slabs: Slabs,
  from: number,
) => number;

/** What was delivered in this turn that other records must not share a turn with. */
const Delivered = { Response: 1, End: 2, Connect: 4, Disconnect: 8 } as const;

/** A batch, or the rest of one, that is delivered in a later turn. */
interface Waiting {
  readonly batch: Latin1Buffer;
  readonly words: Uint32Array;
  readonly slabs: Slabs;
  readonly length: number;
  position: number;
  /** Turns it has waited. */
  turns: number;
}

/** See above. */
export class Turns {
  readonly #walk: Walk;
  /** Bits of `Delivered` since microtasks last ran: one doorbell may deliver several batches. */
  #delivered = 0;
  /** How many disconnects are among it. */
  #disconnects = 0;
  #forgetScheduled = false;
  /** In order of arrival. */
  readonly #waiting: Waiting[] = [];
  /** The batch being walked is ripe. */
  #isRipe = false;
  /** Requests in flight, excluding paused ones. */
  requests = 0;
  /** How many there were before anything was delivered in this turn. */
  #crowd = 0;

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  /** A batch has arrived; its memory belongs to the addon again when this returns. */
  deliver(batch: Latin1Buffer, words: Uint32Array, length: number, slabs: Slabs): void {
    const end = this.#waiting.length > 0 ? 0 : this.#walkFrom(batch, words, length, slabs, 0);
    if (end === length) return;
    const rest = alignBatch(Buffer.from(batch.subarray(end, length)));
    this.#waiting.push({ ...rest, slabs, length: length - end, position: 0, turns: 0 });
    if (this.#waiting.length === 1) setImmediate(this.#nextTurn);
  }

  #walkFrom(
    batch: Latin1Buffer,
    words: Uint32Array,
    length: number,
    slabs: Slabs,
    from: number,
  ): number {
    if (this.#delivered === 0) this.#crowd = this.requests;
    try {
      return this.#walk(batch, words, length, slabs, from);
    } finally {
      if (this.#delivered !== 0 && !this.#forgetScheduled) {
        this.#forgetScheduled = true;
        queueMicrotask(this.#forget);
      }
    }
  }

  readonly #forget = (): void => {
    this.#forgetScheduled = false;
    this.#delivered = 0;
    this.#disconnects = 0;
  };

  readonly #nextTurn = (): void => {
    const waiting = this.#waiting;
    for (const each of waiting) each.turns++;
    try {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const { batch, words, length, slabs, position } = next;
        // If the walk throws, the rest of this batch is invalid.
        next.position = length;
        this.#isRipe = next.turns >= RIPE_TURNS;
        next.position = this.#walkFrom(batch, words, length, slabs, position);
        if (next.position < length) return;
        waiting.shift();
      }
    } finally {
      this.#isRipe = false;
      const next = waiting[0];
      if (next !== undefined && next.position >= next.length) waiting.shift();
      if (waiting.length > 0) setImmediate(this.#nextTurn);
    }
  };

  // Each of these is asked about the next record; if the answer is yes, it is delivered.

  /** `bodySentAt`: see `SlotOwner`. */
  mayDeliverHead(bodySentAt: number): boolean {
    if (this.#comesTooSoon(bodySentAt) || this.#mustTakeTurns()) return false;
    this.#delivered |= Delivered.Response;
    return true;
  }

  /** A chunk never waits by itself. */
  deliversData(): void {
    this.#delivered |= Delivered.Response;
  }

  mayDeliverEnd(bodySentAt: number): boolean {
    if (this.#comesTooSoon(bodySentAt) || this.#mustTakeTurns()) return false;
    this.#delivered |= Delivered.End;
    return true;
  }

  /**
   * Code that awaits a response continues in a microtask: if its failure were delivered before that,
   * it would go unhandled.
   */
  mayDeliverError(): boolean {
    return (this.#delivered & Delivered.Response) === 0;
  }

  /** A connection is reported immediately; the first response on it is not delivered in the same turn. */
  deliversConnect(): void {
    this.#delivered |= Delivered.Connect;
  }

  /**
   * A `disconnect` must not precede the `end` of the body that it followed, and thousands must not
   * hold the event loop.
   */
  mayDeliverDisconnect(): boolean {
    if ((this.#delivered & Delivered.End) !== 0) return false;
    if (this.#disconnects === MOST_DISCONNECTS) return false;
    this.#disconnects++;
    this.#delivered |= Delivered.Disconnect;
    return true;
  }

  /**
   * Whether the head or the end of the response to a streamed body must wait until its batch is ripe.
   *
   * The I/O thread has written the body by now, but this thread may see body and response at the same
   * time: a server that runs here, too, and responds before it has read, would be overtaken by its own
   * response. And the body's source, if it was asked for more in this batch, continues in a microtask:
   * the response would find it half read, whether it has just ended or is about to fail. The head waits
   * as well, so that what arrived together is delivered together: a caller that aborts at the head, as
   * fetch does to follow a redirect, sees nothing of a response that is complete.
   */
  #comesTooSoon(bodySentAt: number): boolean {
    return bodySentAt !== 0 && !this.#isRipe && now() - bodySentAt < SOON;
  }

  /**
   * Whether a response must wait because another one completed in this turn, or a connection was
   * reported. With few in flight, code that awaited one continues before the next one is delivered, and
   * may abort it, as with sockets that are read in sequence; the same goes for `connect` listeners.
   * Those that have completed in this turn count: what replaces them is often sent in a microtask.
   */
  #mustTakeTurns(): boolean {
    const inFlight = Math.max(this.#crowd, this.requests);
    return (this.#delivered & (Delivered.End | Delivered.Connect)) !== 0 && inFlight <= FEW;
  }
}
