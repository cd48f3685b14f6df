// When body chunks cause collections of V8's young generation, with a scripted V8.

import { expect, it } from 'vitest';

import { YoungChunks } from '../../src/session/young-chunks';

const MIB = 1 << 20;

/** Delivers chunks of 1 MiB, with a scripted V8. */
class Scripted {
  external = 0;
  kept = 0;
  /** Duration of a collection in milliseconds. */
  takes = 0.2;
  /** Milliseconds that the delivery of one MiB takes. */
  passes = 0;
  /** MiB delivered before each collection. */
  readonly collections: number[] = [];
  #delivered = 0;
  #now = 0;
  readonly #chunks = new YoungChunks(() => ({
    external: () => this.external,
    collect: () => {
      this.collections.push(this.#delivered);
      this.external = this.kept;
      this.#now += this.takes;
    },
    now: () => this.#now,
  }));

  deliver(mib: number, keeps: boolean): void {
    for (let i = 0; i < mib; i++) {
      this.#chunks.collectIfDue();
      this.#chunks.delivered(MIB);
      this.external += MIB;
      if (keeps) this.kept += MIB;
      this.#delivered++;
      this.#now += this.passes;
    }
  }

  /** MiB from one collection to the next. */
  get distances(): number[] {
    return this.collections.map((at, i) => at - (this.collections[i - 1] ?? 0));
  }
}

it('collects every 8 MiB while chunks are garbage', () => {
  const v8 = new Scripted();
  v8.deliver(65, false);
  expect(v8.distances).toEqual([8, 8, 8, 8, 8, 8, 8, 8]);
});

it('does not collect while a program keeps its chunks, and resumes once it has released them', () => {
  const v8 = new Scripted();
  v8.deliver(1200, true);
  expect(v8.distances).toEqual([8, 8, 8, 8, 16, 32, 64, 128, 256, 256, 256]);
  v8.kept = 0;
  v8.collections.length = 0;
  v8.deliver(600, false);
  expect(v8.distances.slice(-5)).toEqual([8, 8, 8, 8, 8]);
});

it('is not affected by one collection of V8’s own, or one long collection', () => {
  const v8 = new Scripted();
  v8.deliver(16, false);
  v8.external = 0;
  v8.takes = 20;
  v8.deliver(9, false);
  v8.takes = 0.2;
  v8.deliver(40, false);
  expect(new Set(v8.distances)).toEqual(new Set([8]));
});

it('collects less often where collections take long', () => {
  const v8 = new Scripted();
  v8.takes = 5;
  v8.deliver(1200, false);
  expect(v8.distances).toEqual([8, 8, 8, 16, 32, 64, 128, 256, 256, 256]);
});

it('goes on collecting on a machine where everything takes long', () => {
  const v8 = new Scripted();
  v8.takes = 5;
  v8.passes = 4;
  v8.deliver(65, false);
  expect(new Set(v8.distances)).toEqual(new Set([8]));
});

it('asks for the function a few times, then gives up if V8 does not expose it', () => {
  let asked = 0;
  const chunks = new YoungChunks(() => {
    asked++;
    return { external: () => 0, collect: undefined, now: () => 0 };
  });
  for (let i = 0; i < 10; i++) {
    chunks.delivered(64 * MIB);
    chunks.collectIfDue();
  }
  expect(asked).toBe(3);
});
