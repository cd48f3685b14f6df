/**
 * When V8 collects its young generation because of the chunks of bodies.
 *
 * A chunk is a small object that stands for large memory outside V8's heap. V8 starts a collection
 * of the whole heap for every 64 MiB of such memory, however short its life was: 17 a second at
 * 1 GB/s. Nearly all chunks are garbage by the next turn, which a collection of the young generation
 * finds out in a fraction of the time, and then their memory is used again while processor caches
 * still hold it. V8 offers it as `gc({ type: 'minor' })`.
 *
 * What lives here: how many bytes have become chunks, and whether collecting is worth while. The
 * session counts and asks. It must not know records, slots or requests.
 */

import { now } from '../process';

const MIB = 1 << 20;

/**
 * Bytes of chunks from one collection to the next. 8 MiB: of 8, 12, 16, 24 and 32, tried with bodies
 * of 64 KiB, those from 8 to 16 need the least processor time, and this the least memory. With 32,
 * V8 collects everything as well.
 */
const EVERY = 8 * MIB;

/** Where looking is in vain, it is done this rarely: V8's own collections come every 64 MiB. */
const RARELY = 256 * MIB;

/**
 * Milliseconds that a collection may take. 3: ten times what it usually takes, so that whoever
 * has a large young generation of his own alive is not asked to walk it for every 8 MiB.
 */
const LONG = 3;

/**
 * Collections in a row after which one that was in vain, or long, counts. 3: after one of V8's own
 * a single one looks vain, and on a busy machine any one may be long.
 */
const IN_A_ROW = 3;

/** Attempts to get the function. 3: the flag belongs to the process, and another thread may have put it back. */
const ATTEMPTS = 3;

/** What it needs of V8; tests pass their own. */
export interface Collector {
  /** Bytes outside the heap that V8 knows of. */
  external(): number;
  /** Collects the young generation; `undefined` where that cannot be had. */
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
  /** Collections in a row that were in vain or long. */
  #bad = 0;
  #attempts = 0;

  constructor(make: () => Collector = v8Collector) {
    this.#make = make;
  }

  /** So many bytes have become chunks. */
  delivered(bytes: number): void {
    this.#bytes += bytes;
  }

  /** Collects if it is time. Call it before chunks are delivered, when the last ones are done with. */
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
    // More than half of what came since the last collection is there beside what was there then: the
    // program keeps its chunks, and looking for garbage among them is in vain.
    const isVain = external - this.#before > this.#bytes / 2;
    this.#before = external;
    this.#bytes = 0;
    const began = collector.now();
    collector.collect();
    const isLong = collector.now() - began > LONG;
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
 * V8 gives the function to contexts that are made while `--expose-gc` is set. The flag is put back
 * at once, so that no other context gets it.
 */
function minorCollection(v8: typeof import('node:v8')): (() => void) | undefined {
  const vm = require('node:vm') as typeof import('node:vm');
  let gc = globalThis.gc as Gc | undefined;
  if (gc === undefined) {
    try {
      v8.setFlagsFromString('--expose-gc');
      gc = vm.runInNewContext('gc') as Gc;
    } catch {
      // A runtime that does not let go of it: V8 collects as it sees fit.
    } finally {
      v8.setFlagsFromString('--no-expose-gc');
    }
  }
  if (typeof gc !== 'function') return undefined;
  const collect = gc;
  return () => collect({ type: 'minor' });
}
