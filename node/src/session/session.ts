/**
 * The request table of this environment (the main thread or one worker).
 *
 * What lives here: slots and generations, the submission writers and when they flush, dispatching each
 * completion to its owner, and what keeps the process alive. `turns.ts` decides when a completion may
 * be delivered. One session per loaded module; pools and requests call it. It must not know handlers,
 * headers or undici's semantics.
 *
 * A slot is identified by number and generation. Freeing a slot raises its generation, so that late
 * completions for its previous owner are dropped.
 */

import type { NativeAddon, NativeEnvironment } from '../native';
import { ProcessSettings } from '../options';
import { queueMicrotask, setImmediate, setInterval } from '../process';
import {
  alignBatch,
  Completion,
  FLUSH_EVERY,
  INBOUND_BYTES,
  type Latin1Buffer,
  Pages,
  readBatch,
  type RecordSink,
  Submission,
  SubmissionWriter,
} from '../wire';
import { EngineClock } from './engine-clock';
import { PoolTable } from './pool-table';
import { type Slabs, Turns } from './turns';
import { YoungChunks } from './young-chunks';

/** Owner of a slot: a request, or the byte stream after an upgrade. */
export interface SlotOwner {
  readonly slot: number;
  readonly generation: number;
  /** Also an informational one. `text`: reason phrase (over HTTP/2 the stream id), LF, fields. */
  onHead(status: number, flags: number, text: string): void;
  onUpgrade(status: number, flags: number, text: string): void;
  onData(chunk: Buffer): void;
  /** `received`: bytes of a decoded body before that, otherwise 0. */
  onEnd(trailers: string, received: number): void;
  /** The payload is in `batch` from `start` to `end`, only until this returns. */
  onError(batch: Buffer, start: number, end: number): void;
  /**
   * When the last piece of its body was sent, by `now()`: `Infinity` while there are more, 0 for a
   * body sent with its head. The response may have to wait for it, see `Turns`.
   */
  readonly bodySentAt: number;
  /** `bytes` more of the outgoing body are requested. */
  onPull(bytes: number): void;
  /** When its parts happened; see the record. `start` of the payload in `batch`. */
  onTimings?(batch: Buffer, start: number, flags: number): void;
  /** After `cancelled`: Rust has released the request. */
  onReleased?(): void;
  /** The connection with this serial number takes the request, which asked to be told. */
  onAssigned(serial: number): void;
}

/** A request whose handler has paused. */
export interface Pausing {
  /** Writes the record that says so, if it is still paused. */
  reportPause(): void;
}

/** Options of a session; tests pass a scripted addon. */
export interface SessionOptions {
  /** Number of I/O threads; 0 lets the addon choose. */
  readonly ioThreads?: number;
}

/** Longest delay of a timer; the timer exists for its `ref()`, not for its ticks. */
const NEVER = 0x7fffffff;

const EMPTY = Buffer.alloc(0);

/** Up to this many bytes, a loop is faster than `copy`, which creates a view first. */
const TINY = 64;

/** The request table; see above. */
export class Session implements RecordSink {
  readonly #addon: NativeAddon;
  readonly #environment: NativeEnvironment;
  readonly #inbound: Latin1Buffer;
  readonly #inboundWords: Uint32Array;
  readonly #writers: SubmissionWriter[] = [];

  readonly #slots: (SlotOwner | null)[] = [];
  readonly #generations: number[] = [];
  readonly #freeSlots: number[] = [];

  /** One that was collected is destroyed. */
  readonly pools = new PoolTable((id) => {
    this.writerOf(id).command(Submission.PoolDestroy, id);
    this.scheduleFlush();
  });

  /** Those of the batch being drained. */
  #slabs: Slabs = null;
  readonly #youngChunks = new YoungChunks();
  /** When the engine's times were. */
  readonly clock: EngineClock;
  /** Owners that have cancelled, and want to know when Rust has released their request. */
  readonly #cancelled = new Map<number, SlotOwner>();
  #draining = false;
  readonly #turns: Turns;
  #flushScheduled = false;
  readonly processSettings = new ProcessSettings();
  /** A turn is a delivery, or what leaves in one microtask. */
  #turn = 0;
  /** The turn in which the process settings were last compared. */
  #followedIn = -1;
  /** Records written since the last flush. */
  #unflushed = 0;

  /** Requests that paused in this turn of the event loop. */
  #pausing: Pausing[] = [];

  #holds = 0;
  readonly #keepAlive: NodeJS.Timeout;

  constructor(addon: NativeAddon, options: SessionOptions = {}) {
    this.#addon = addon;
    this.#inbound = Buffer.from(new ArrayBuffer(INBOUND_BYTES)) as Buffer as Latin1Buffer;
    this.#inboundWords = new Uint32Array(this.#inbound.buffer);
    this.#keepAlive = setInterval(() => {
      // Only its ref() matters.
    }, NEVER);
    this.#keepAlive.unref();
    this.#turns = new Turns((batch, words, length, slabs, from) =>
      this.#walk(batch, words, length, slabs, from),
    );
    this.#environment = addon.open(
      this.#inbound,
      (length, slabs, overflow) => this.#drain(length, slabs, overflow),
      options.ioThreads ?? 0,
    );
    this.clock = new EngineClock(() => addon.clock(this.#environment));
    const pages = new Pages(() => addon.page(this.#environment));
    const threads = Math.max(1, addon.threads(this.#environment));
    for (let thread = 0; thread < threads; thread++) {
      this.#writers.push(
        new SubmissionWriter(
          (buffer, length, page) => addon.submit(this.#environment, thread, buffer, length, page),
          pages,
        ),
      );
    }
  }

  /** The addon's counters, see `Counter` in the schema. */
  get counters(): Float64Array {
    return this.#addon.counters(this.#environment);
  }

  /** The native environment, for the trust store. */
  get native(): { readonly addon: NativeAddon; readonly environment: NativeEnvironment } {
    return { addon: this.#addon, environment: this.#environment };
  }

  /**
   * Call this before a record that may lead to a connection: passes changed process settings to the
   * engine. If there `isConnected`, once per turn is enough.
   *
   * @throws what prevents that; it is tried again the next time.
   */
  followProcess(isConnected: boolean): void {
    const { turn } = this;
    if (this.#followedIn === turn && isConnected) return;
    const settings = this.processSettings;
    if (settings.hasChanged()) {
      this.pools.processChanged();
      settings.accept();
    }
    this.#followedIn = turn;
  }

  /** Number of the current turn: settings of the process need comparing once in each. */
  get turn(): number {
    if (!this.#draining) this.scheduleBodyFlush();
    return this.#turn;
  }

  // Slots ------------------------------------------------------------------------------------

  /** A slot number for a new owner; its generation is `generationOf(slot)`. Call `occupy` next. */
  reserve(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    this.#slots.push(null);
    this.#generations.push(1);
    return this.#slots.length - 1;
  }

  /** The generation that the next owner of this slot has. */
  generationOf(slot: number): number {
    return this.#generations[slot] as number;
  }

  /** Makes `owner` the receiver of its slot's completions, replacing any other. */
  occupy(owner: SlotOwner): void {
    this.#slots[owner.slot] = owner;
  }

  /** Frees the slot: later completions for it are dropped. */
  free(owner: SlotOwner): void {
    const { slot } = owner;
    if (this.#slots[slot] !== owner) return;
    this.#slots[slot] = null;
    this.#vacate(slot);
  }

  /**
   * The owner has written `Cancel`: its completions are dropped, and its slot is freed when Rust has
   * released the request. Until then the process stays alive, as it does while a Node socket closes,
   * so that the `disconnect` is delivered. `waits`: the owner still gets
   * `Timings`, and `onReleased`. Returns whether it does.
   */
  cancelled(owner: SlotOwner, waits = false): boolean {
    const { slot } = owner;
    if (this.#slots[slot] !== owner) return false;
    this.#slots[slot] = null;
    if (waits) this.#cancelled.set(slot, owner);
    this.hold();
    return waits;
  }

  #vacate(slot: number): void {
    // 32 bits on the wire: a slot must be used four billion times to repeat one.
    this.#generations[slot] = ((this.#generations[slot] as number) + 1) >>> 0;
    this.#freeSlots.push(slot);
  }

  /** The writer that carries a pool's submissions. Call `scheduleFlush` after writing. */
  writerOf(pool: number): SubmissionWriter {
    return this.#writers[pool % this.#writers.length] as SubmissionWriter;
  }

  // Flush ------------------------------------------------------------------------------------

  /**
   * Schedules a flush: at the end of the current delivery, otherwise in a microtask, and at once if
   * many records wait.
   */
  scheduleFlush(): void {
    // So that the I/O thread works on the first requests while JavaScript creates the others.
    if (++this.#unflushed >= FLUSH_EVERY) this.#flush();
    else if (!this.#draining) this.scheduleBodyFlush();
  }

  /**
   * Like `scheduleFlush`, for slices of a body: they are sent after the source has had its turn, even
   * during a delivery, so that everything it offers is sent together.
   */
  scheduleBodyFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(this.#flushSoon);
  }

  readonly #flushSoon = (): void => {
    this.#flushScheduled = false;
    this.#turn++;
    this.#flush();
  };

  #flush(): void {
    this.#unflushed = 0;
    for (const writer of this.#writers) writer.flush();
  }

  /**
   * `owner` has paused. Rust is notified at the end of this turn of the event loop, if it is still
   * paused: a stream that fills up and is read in the same turn, like a small body, costs no record.
   */
  pauseSoon(owner: Pausing): void {
    if (this.#pausing.push(owner) === 1) setImmediate(this.#reportPauses);
  }

  readonly #reportPauses = (): void => {
    const pausing = this.#pausing;
    this.#pausing = [];
    for (const owner of pausing) owner.reportPause();
    this.#flush();
  };

  // Life -------------------------------------------------------------------------------------

  /** Whether a request is in flight that has not paused. */
  get isBusy(): boolean {
    return this.#turns.requests > 0;
  }

  /** A request is in flight, or has resumed: it keeps the process alive until `requestRests`. */
  requestRuns(): void {
    this.#turns.requests++;
    this.hold();
  }

  /** The request has settled or paused. */
  requestRests(): void {
    this.#turns.requests--;
    this.release();
  }

  /** Keeps the process alive until `release` has been called as often. */
  hold(): void {
    if (this.#holds++ === 0) this.#keepAlive.ref();
  }

  release(): void {
    if (--this.#holds === 0) this.#keepAlive.unref();
  }

  /**
   * An error that must reach `uncaughtException`, as it would if the user's code had been called
   * from the event loop. During a delivery it is thrown later, so that the batch's other records still
   * arrive; otherwise it is thrown here.
   */
  raise(error: unknown): void {
    if (!this.#draining) throw error;
    this.escaped(error);
  }

  escaped(error: unknown): void {
    queueMicrotask(() => {
      throw error;
    });
  }

  // Completions ------------------------------------------------------------------------------

  #drain(length: number, slabs: Slabs, overflow: Buffer | undefined | null): void {
    this.#youngChunks.collectIfDue();
    if (overflow) {
      const { batch, words } = alignBatch(overflow);
      this.#turns.deliver(batch, words, length, slabs);
    } else this.#turns.deliver(this.#inbound, this.#inboundWords, length, slabs);
  }

  #walk(
    batch: Latin1Buffer,
    words: Uint32Array,
    length: number,
    slabs: Slabs,
    from: number,
  ): number {
    this.#slabs = slabs;
    this.#draining = true;
    this.#turn++;
    try {
      return readBatch(batch, words, length, this, from);
    } finally {
      this.#draining = false;
      this.#turn++;
      this.#slabs = null;
      if (this.#unflushed > 0) this.#flush();
    }
  }

  /** Delivers a record to its owner. Returns false if it must wait for its turn. */
  record(
    batch: Latin1Buffer,
    kind: number,
    flags: number,
    aux: number,
    slot: number,
    generation: number,
    start: number,
    end: number,
  ): boolean {
    if (kind >= Completion.Connected) {
      if (kind === Completion.Disconnected && !this.#turns.mayDeliverDisconnect()) return false;
      if (kind === Completion.Connected && this.pools.has(slot)) this.#turns.deliversConnect();
      this.pools.deliver(batch, kind, flags, slot, generation, start, end);
      return true;
    }
    const owner = this.#slots[slot];
    if (owner?.generation !== generation) {
      if (owner === null && this.#generations[slot] === generation)
        this.#recordOfCancelled(kind, slot, flags, batch, start);
      return true;
    }
    switch (kind) {
      case Completion.Head:
        if (!this.#turns.mayDeliverHead(owner.bodySentAt)) return false;
        owner.onHead(aux, flags, batch.latin1Slice(start, end));
        return true;
      case Completion.Data:
        this.#turns.deliversData();
        owner.onData(this.#chunk(batch, flags, start, end));
        return true;
      case Completion.End:
        if (!this.#turns.mayDeliverEnd(owner.bodySentAt)) return false;
        if ((flags & 1) === 0) owner.onEnd(start === end ? '' : batch.latin1Slice(start, end), 0);
        else owner.onEnd(batch.latin1Slice(start + 8, end), batch.readDoubleLE(start));
        return true;
      case Completion.Error:
        if (!this.#turns.mayDeliverError()) return false;
        owner.onError(batch, start, end);
        return true;
      case Completion.Timings:
        owner.onTimings?.(batch, start, flags);
        return true;
      case Completion.Pull:
        owner.onPull(batch.readUInt32LE(start));
        return true;
      case Completion.Assigned:
        owner.onAssigned(batch.readUInt32LE(start));
        return true;
      case Completion.Informational:
        owner.onHead(aux, flags, batch.latin1Slice(start, end));
        return true;
      case Completion.Upgrade:
        owner.onUpgrade(aux, flags, batch.latin1Slice(start, end));
        return true;
      default:
        throw new RangeError(`dodici: unknown completion ${kind}`);
    }
  }

  /** A free slot has another generation, so this one was cancelled. */
  #recordOfCancelled(
    kind: number,
    slot: number,
    flags: number,
    batch: Buffer,
    start: number,
  ): void {
    const owner = this.#cancelled.get(slot);
    if (kind === Completion.Timings) owner?.onTimings?.(batch, start, flags);
    if (kind !== Completion.End && kind !== Completion.Error) return;
    this.#vacate(slot);
    this.release();
    if (owner === undefined) return;
    this.#cancelled.delete(slot);
    owner.onReleased?.();
  }

  /** The chunk of a `Data` record: a part of a slab, or a copy that the user may keep. */
  #chunk(batch: Buffer, flags: number, start: number, end: number): Buffer {
    if ((flags & 1) !== 0) {
      const slab = this.#slabs?.[batch.readUInt32LE(start)] ?? EMPTY;
      const offset = batch.readUInt32LE(start + 4);
      const length = batch.readUInt32LE(start + 8);
      this.#youngChunks.delivered(length);
      return length === slab.length ? slab : slab.subarray(offset, offset + length);
    }
    const length = end - start;
    this.#youngChunks.delivered(length);
    const chunk = Buffer.allocUnsafe(length);
    if (length > TINY) batch.copy(chunk, 0, start, end);
    else for (let i = 0; i < length; i++) chunk[i] = batch[start + i] as number;
    return chunk;
  }
}
