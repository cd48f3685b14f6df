/**
 * Pages: the addon's memory for large flushes.
 *
 * What lives here: the views of an environment's pages. A submission writer asks for one for a large
 * flush. It must not know what is written. What a page is: `node/native/src/pages.rs`.
 */

import type { Latin1Buffer } from './latin1';

/** Memory for submissions. */
export interface Page {
  /** Its number for the addon; `undefined` for JavaScript's own memory, which is copied. */
  readonly number: number | undefined;
  readonly buffer: Latin1Buffer;
  readonly words: Uint32Array;
}

/** JavaScript's own memory. Not from Buffer's pool: it must start at a multiple of four. */
export function ownPage(capacity: number): Page {
  return pageOf(Buffer.from(new ArrayBuffer(capacity)), undefined);
}

/** The pages of one environment. */
export class Pages {
  readonly #pages: Page[] = [];
  readonly #ask: () => number | Buffer | undefined;

  /** `ask` is the addon's `page()`. */
  constructor(ask: () => number | Buffer | undefined) {
    this.#ask = ask;
  }

  /** A page that is not lent; `null` if there is none. */
  next(): Page | null {
    const answer = this.#ask();
    if (answer === undefined) return null;
    if (typeof answer === 'number') return this.#pages[answer] as Page;
    const page = pageOf(answer, this.#pages.length);
    this.#pages.push(page);
    return page;
  }
}

function pageOf(buffer: Buffer, number: number | undefined): Page {
  const words = new Uint32Array(buffer.buffer, buffer.byteOffset, buffer.length >>> 2);
  return { number, buffer: buffer as Latin1Buffer, words };
}
