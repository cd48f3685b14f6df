/**
 * When to ask V8 for a young-generation collection because of body chunks.
 *
 * A chunk is a small object for large memory outside V8's heap. V8 collects the whole heap for every
 * 64 MiB of such memory, however short-lived: 17 times per second at 1 GB/s. Nearly all chunks are
 * garbage by the next turn, which a collection of the young generation detects in a fraction of the
 * time, and then their memory is reused while it is still in the CPU's caches. V8 offers it as
 * `gc({ type: 'minor' })`.
 *
 * What lives here: how many bytes have become chunks, and whether collecting pays off. The session
 * counts and asks. It must not know records, slots or requests.
 */

import { mayChangeV8Flags, now } from '../process';

const MIB = 1 << 20;

/**
 * Bytes of chunks between collections. 8 MiB: of 8, 12, 16, 24 and 32, tried with bodies of 64 KiB,
 * those from 8 to 16 need the least CPU time, and this the least memory. With 32, V8 makes full
 * collections as well.
 */
const EVERY = 8 * MIB;

/** The interval if collections reclaim little: V8's own collections come every 64 MiB. */
const RARELY = 256 * MIB;

/**
 * Milliseconds that a collection may take. 3: ten times the usual duration, so that a program with a
 * large live young generation does not scan it for every 8 MiB.
 */
const LONG = 3;

/**
 * One that took no more than this share of the time since the last is not long, however slow the
 * machine: without it, V8 would make full collections, which take several times as long.
 */
const LONG_SHARE = 0.25;

/**
 * Consecutive collections that reclaimed little, or took long, before the interval grows. 3: right after
 * one of V8's own a single one reclaims little, and on a busy machine any one may take long.
 */
const IN_A_ROW = 3;

/** Attempts to get the function. 3: the flag is process-wide, and another thread may have reset it. */
const ATTEMPTS = 3;

/** What it needs from V8; tests pass their own. */
export interface Collector {
  /** External memory known to V8, in bytes. */
  external(): number;
  /** Collects the young generation; `undefined` if unavailable. */
  readonly collect: (() => void) | undefined;
  /** Milliseconds. */
  now(): number;
}

/** See above. */
export class YoungChunks {
  readonly #make: () => Collector;
  #collector: Collector | undefined;
  /** Bytes delivered since the last collection. */
  #bytes = 0;
  #every = EVERY;
  /** External memory just before the last collection. */
  #before = Infinity;
  /** When the last collection ended. */
  #endedAt = 0;
  /** Consecutive collections that reclaimed little or took long. */
  #bad = 0;
  #attempts = 0;

  constructor(make: () => Collector = v8Collector) {
    this.#make = make;
  }

  /** This many bytes have become chunks. */
  delivered(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Collects if due. Call it before chunks are delivered, when the last ones are no longer in use. */
  collectIfDue(): void {
    if (this.#bytes >= this.#every) this.#collect();
  }

  #collect(): void {
    const collector = (this.#collector ??= this.#make());
    if (collector.collect === undefined) {
      this.#collector = undefined;
      this.#bytes = 0;
      if (++this.#attempts === ATTEMPTS) this.#every = Infinity;
      return;
    }
    const external = collector.external();
    // More than half of what was added since the last collection is still alive: the program keeps
    // its chunks, and collecting is futile.
    const isVain = external - this.#before > this.#bytes / 2;
    this.#before = external;
    this.#bytes = 0;
    const began = collector.now();
    collector.collect();
    const ended = collector.now();
    const took = ended - began;
    const isLong = took > LONG && took > (began - this.#endedAt) * LONG_SHARE;
    this.#endedAt = ended;
    this.#bad = isVain || isLong ? this.#bad + 1 : 0;
    if (this.#bad === 0) this.#every = EVERY;
    else if (this.#bad >= IN_A_ROW) this.#every = Math.min(this.#every * 2, RARELY);
  }
}

/** Node's modules are loaded here: importing the package must not wait for them. */
function v8Collector(): Collector {
  const v8 = require('node:v8') as typeof import('node:v8');
  return {
    external: () => v8.getHeapStatistics().external_memory,
    collect: minorCollection(v8),
    now,
  };
}

type Gc = (options: { type: 'minor' }) => void;

/**
 * V8 exposes the function in contexts created while `--expose-gc` is set. The flag is cleared
 * immediately, so that no other context gets it.
 */
function minorCollection(v8: typeof import('node:v8')): (() => void) | undefined {
  const vm = require('node:vm') as typeof import('node:vm');
  if (process.env['DODICI_YOUNG_COLLECTIONS'] === '0') return undefined;
  let gc = globalThis.gc as Gc | undefined;
  if (gc === undefined && mayChangeV8Flags()) {
    try {
      v8.setFlagsFromString('--expose-gc');
      gc = vm.runInNewContext('gc') as Gc;
    } catch {
      // A runtime that does not expose it: V8 collects as it sees fit.
    } finally {
      v8.setFlagsFromString('--no-expose-gc');
    }
  }
  if (typeof gc !== 'function') return undefined;
  const collect = gc;
  return () => collect({ type: 'minor' });
}
