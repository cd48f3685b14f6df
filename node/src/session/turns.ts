/**
 * When a completion may be told.
 *
 * What lives here: which records of a batch have to wait for a later turn of the event loop, the
 * batches that wait, and how many requests are in flight, on which it depends. The session hands over
 * each batch that comes and asks before it delivers a record. It must not know slots, pools, or how a
 * record is delivered.
 *
 * A batch may hold what sockets would have told in several turns, with microtasks in between. A record
 * that must not share a turn with what was told before it is left, and all that lies behind it waits as
 * well, also later batches: nothing overtakes.
 *
 * ```text
 *           nothing waits               all is told
 *  comes ──────────────────▶ being told ───────────▶ done
 *    │                        │      ▲
 *    │ another batch waits    │      │ next turn, the oldest first;
 *    │              a record  │      │ after RIPE_TURNS it is ripe
 *    │              must wait ▼      │
 *    └─────────────────────▶ waiting ┘
 * ```
 *
 * When a batch is ripe, every socket has been polled since it came.
 */

import { now, queueMicrotask, setImmediate } from '../process';
import { alignBatch, FEW, type Latin1Buffer, RIPE_TURNS, SOON } from '../wire';

/** Slabs that come with a batch: memory that its large chunks lie in. */
export type Slabs = Buffer[] | undefined | null;

/** Delivers the records of a batch from `from` on. Returns where it stopped: `length`, unless one had to wait. */
export type Walk = (
  batch: Latin1Buffer,
  words: Uint32Array,
  length: number,
  slabs: Slabs,
  from: number,
) => number;

/** What was told in this turn, as far as something else must not be told in the same. */
const Told = { Response: 1, End: 2, Connect: 4 } as const;

/** A batch, or the rest of one, that is delivered in a later turn. */
interface Waiting {
  readonly batch: Latin1Buffer;
  readonly words: Uint32Array;
  readonly slabs: Slabs;
  readonly length: number;
  position: number;
  /** Turns that it has waited. */
  turns: number;
}

/** See above. */
export class Turns {
  readonly #walk: Walk;
  /** Bits of `Told`, since microtasks ran last: one doorbell may bring several batches. */
  #told = 0;
  #forgetScheduled = false;
  /** In the order of their arrival. */
  readonly #waiting: Waiting[] = [];
  /** The batch being walked is ripe. */
  #isRipe = false;
  /** Requests in flight; those that are paused do not count. */
  requests = 0;

  constructor(walk: Walk) {
    this.#walk = walk;
  }

  /** A batch has come; its memory is the addon's again when this returns. */
  deliver(batch: Latin1Buffer, words: Uint32Array, length: number, slabs: Slabs): void {
    const told = this.#waiting.length > 0 ? 0 : this.#tell(batch, words, length, slabs, 0);
    if (told === length) return;
    const rest = alignBatch(Buffer.from(batch.subarray(told, length)));
    this.#waiting.push({ ...rest, slabs, length: length - told, position: 0, turns: 0 });
    if (this.#waiting.length === 1) setImmediate(this.#nextTurn);
  }

  #tell(
    batch: Latin1Buffer,
    words: Uint32Array,
    length: number,
    slabs: Slabs,
    from: number,
  ): number {
    try {
      return this.#walk(batch, words, length, slabs, from);
    } finally {
      if (this.#told !== 0 && !this.#forgetScheduled) {
        this.#forgetScheduled = true;
        queueMicrotask(this.#forget);
      }
    }
  }

  readonly #forget = (): void => {
    this.#forgetScheduled = false;
    this.#told = 0;
  };

  readonly #nextTurn = (): void => {
    const waiting = this.#waiting;
    for (const each of waiting) each.turns++;
    try {
      for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
        const { batch, words, length, slabs, position } = next;
        // Should the walk throw, the rest of this batch means nothing.
        next.position = length;
        this.#isRipe = next.turns >= RIPE_TURNS;
        next.position = this.#tell(batch, words, length, slabs, position);
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

  // Each of these is asked about the record that comes next; who is told yes delivers it.

  /** `bodyLeftAt`: see `SlotOwner`. */
  mayTellHead(bodyLeftAt: number): boolean {
    if (this.#comesTooSoon(bodyLeftAt) || this.#mustTakeTurns()) return false;
    this.#told |= Told.Response;
    return true;
  }

  /** A chunk never waits by itself. */
  tellsData(): void {
    this.#told |= Told.Response;
  }

  mayTellEnd(bodyLeftAt: number): boolean {
    if (this.#comesTooSoon(bodyLeftAt) || this.#mustTakeTurns()) return false;
    this.#told |= Told.End;
    return true;
  }

  /**
   * Whoever awaits a response goes on in a microtask: if its failure came before that, nobody would be
   * listening yet.
   */
  mayTellError(): boolean {
    return (this.#told & Told.Response) === 0;
  }

  /** A connection is told of at once; the first response over it is not told in the same turn. */
  tellsConnect(): void {
    this.#told |= Told.Connect;
  }

  /** A `disconnect` must not come before the `end` of the body that it followed. */
  mayTellDisconnect(): boolean {
    return (this.#told & Told.End) === 0;
  }

  /**
   * Whether the head or the end of the response to a streamed body has to wait until its batch is ripe.
   *
   * The I/O thread has written the body by now, but for this thread body and response may be there at
   * the same time: a server that runs here, too, and responds before it has read, would be overtaken
   * by its own response. And the body's source, if it was asked for more in this batch, goes on in a
   * microtask: the response would find it half read, whether it has just ended or is about to fail.
   * The head waits as well, so that what came together is told together: a caller that aborts at the
   * head, as fetch does to follow a redirect, hears nothing of a response that is complete.
   */
  #comesTooSoon(bodyLeftAt: number): boolean {
    return bodyLeftAt !== 0 && !this.#isRipe && now() - bodyLeftAt < SOON;
  }

  /**
   * Whether a response has to wait because another one was complete in this turn, or a connection was
   * told of. Among a few, whoever awaited one goes on before the next one is told, and may abort it, as
   * with sockets that are read one after the other; and so does whoever heard of a connection.
   */
  #mustTakeTurns(): boolean {
    return (this.#told & (Told.End | Told.Connect)) !== 0 && this.requests <= FEW;
  }
}
