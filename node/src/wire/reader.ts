/**
 * Completions: walks a batch of records from Rust.
 *
 * What lives here: the frame of a record. Called by the session for each batch. It must not know
 * requests, pools or payloads: `headers` and `connection` decode those.
 */

import { RECORD_HEADER } from './generated';
import type { Latin1Buffer } from './latin1';

/** Receives the records of a batch, in order. */
export interface RecordSink {
  /** Payload: bytes `start` to `end` of the batch. Returns `false` to stop before this record. */
  record(
    batch: Latin1Buffer,
    kind: number,
    flags: number,
    aux: number,
    slot: number,
    generation: number,
    start: number,
    end: number,
  ): boolean;
  /** An exception thrown by `record`. The batch continues with the next record. */
  escaped(error: unknown): void;
}

/**
 * Walks the records of `batch` from byte `from` to byte `length`. Returns where it stopped: `length`
 * unless the sink stopped it before a record.
 *
 * A sink that throws loses only that record; the others still arrive.
 *
 * @throws RangeError if a record claims more bytes than the batch has: the two sides disagree about
 * the layout, and everything after that point is meaningless.
 */
export function readBatch(
  batch: Latin1Buffer,
  words: Uint32Array,
  length: number,
  sink: RecordSink,
  from = 0,
): number {
  let position = from;
  while (position < length) {
    const word = position >>> 2;
    const head = words[word] as number;
    const payload = words[word + 3] as number;
    const start = position + RECORD_HEADER;
    const end = start + payload;
    if (!(end <= length)) {
      throw new RangeError(
        `dodici: a record of ${payload} bytes at ${position} passes the end of its batch (${length})`,
      );
    }
    let taken = true;
    try {
      taken = sink.record(
        batch,
        head & 0xff,
        (head >>> 8) & 0xff,
        head >>> 16,
        words[word + 1] as number,
        words[word + 2] as number,
        start,
        end,
      );
    } catch (error) {
      sink.escaped(error);
    }
    if (!taken) return position;
    position = start + ((payload + 3) & ~3);
  }
  return length;
}

/** Words of a batch; a batch that does not start at a multiple of four is copied first. */
export function alignBatch(batch: Buffer): { batch: Latin1Buffer; words: Uint32Array } {
  let aligned = batch;
  if ((batch.byteOffset & 3) !== 0) {
    aligned = Buffer.from(new ArrayBuffer((batch.length + 3) & ~3), 0, batch.length);
    batch.copy(aligned);
  }
  return {
    batch: aligned as Latin1Buffer,
    words: new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> 2),
  };
}
