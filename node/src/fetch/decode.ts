/**
 * Content decoding in JavaScript.
 *
 * What lives here: which codings of a response are decoded, and the chain of Node's decoders. Used
 * for dispatchers that are not ours, such as mocks: the engine decodes by itself. It must not know
 * responses.
 *
 * undici's fetch accepts a truncated gzip, deflate or br body; here it is an error, as in the
 * engine.
 */

import type { Transform } from 'node:stream';
import zlib = require('node:zlib');

import type { Feeder, IncomingBody } from './incoming-body';

/** Maximum number of codings of one response, as in undici. */
const MOST_CODINGS = 5;

/** 8 MiB (RFC 9659, section 3). */
const ZSTD_WINDOW_LOG = 23;

type Make = () => Transform;

const createZstd = (zlib as { createZstdDecompress?: (options: object) => Transform })
  .createZstdDecompress;

/** `ZSTD_d_windowLogMax`, if Node's zlib has it. */
const ZSTD_D_WINDOW_LOG_MAX = 100;

const gunzip: Make = () => zlib.createGunzip();

const MAKERS = new Map<string, Make | 'deflate'>([
  ['gzip', gunzip],
  ['x-gzip', gunzip],
  ['deflate', 'deflate'],
  ['br', () => zlib.createBrotliDecompress()],
]);
if (createZstd !== undefined) {
  MAKERS.set('zstd', () => createZstd({ params: { [ZSTD_D_WINDOW_LOG_MAX]: ZSTD_WINDOW_LOG } }));
}

/**
 * The codings to decode, the last one first; none if one of them is unknown.
 *
 * @throws Error with undici's message if there are too many.
 */
export function codingsOf(contentEncoding: string | null): string[] {
  if (!contentEncoding) return [];
  const codings = contentEncoding.toLowerCase().split(',');
  if (codings.length > MOST_CODINGS) {
    throw new Error(
      `too many content-encodings in response: ${codings.length}, maximum allowed is ${MOST_CODINGS}`,
    );
  }
  const trimmed = codings.map((coding) => coding.trim()).reverse();
  return trimmed.every((coding) => MAKERS.has(coding)) ? trimmed : [];
}

/** zlib and raw streams have the same name; the first byte tells them apart. */
function makeDecoder(coding: string, firstByte: number): Transform {
  const make = MAKERS.get(coding) as Make | 'deflate';
  if (make !== 'deflate') return make();
  return (firstByte & 0x0f) === 0x08 ? zlib.createInflate() : zlib.createInflateRaw();
}

/** The decoder of one coding, created at its first byte. */
class Stage {
  #decoder: Transform | null = null;
  #isEnded = false;

  constructor(
    private readonly coding: string,
    private readonly next: (chunk: Uint8Array) => void,
    private readonly ended: () => void,
    private readonly failed: (error: Error) => void,
    private readonly drained: () => void,
  ) {}

  /** Returns whether it accepts more immediately; otherwise `drained` is called. */
  write(chunk: Uint8Array): boolean {
    if (chunk.byteLength === 0) return true;
    this.#decoder ??= this.#make(chunk[0] as number);
    return this.#decoder.write(chunk);
  }

  /** An empty body is valid in every coding. */
  end(): void {
    if (this.#decoder === null) this.#end();
    else this.#decoder.end();
  }

  pause(): void {
    this.#decoder?.pause();
  }

  resume(): void {
    this.#decoder?.resume();
  }

  destroy(): void {
    this.#isEnded = true;
    this.#decoder?.destroy();
  }

  #end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.ended();
  }

  #make(firstByte: number): Transform {
    const decoder = makeDecoder(this.coding, firstByte);
    decoder.on('data', this.next);
    decoder.on('end', () => this.#end());
    decoder.on('drain', this.drained);
    decoder.on('error', (error) => {
      if (this.#isEnded) return;
      this.#isEnded = true;
      this.failed(error);
    });
    return decoder;
  }
}

/** Decodes between a dispatcher and a body. */
export class Decoder implements Feeder {
  readonly #feeder: Feeder;
  readonly #stages: Stage[] = [];

  /** `codings`: the last one first, at least one. `failed` gets the error of a decoder. */
  constructor(
    codings: readonly string[],
    feeder: Feeder,
    body: IncomingBody,
    failed: (error: Error) => void,
  ) {
    this.#feeder = feeder;
    const last = codings.length - 1;
    codings.forEach((coding, index) => {
      const next = (): Stage => this.#stages[index + 1] as Stage;
      const stage = new Stage(
        coding,
        index === last
          ? (chunk) => body.push(chunk)
          : (chunk) => {
              if (!next().write(chunk)) this.#stages[index]?.pause();
            },
        index === last ? () => body.end() : () => next().end(),
        (error) => {
          this.#destroy();
          failed(error);
        },
        index === 0 ? () => feeder.resume() : () => this.#stages[index - 1]?.resume(),
      );
      this.#stages.push(stage);
    });
  }

  write(chunk: Uint8Array): void {
    if (this.#stages[0]?.write(chunk) === false) this.#feeder.pause();
  }

  end(): void {
    this.#stages[0]?.end();
  }

  pause(): void {
    this.#stages.at(-1)?.pause();
  }

  resume(): void {
    this.#stages.at(-1)?.resume();
  }

  abort(reason?: Error): void {
    this.#destroy();
    this.#feeder.abort(reason);
  }

  #destroy(): void {
    for (const stage of this.#stages) stage.destroy();
  }
}
