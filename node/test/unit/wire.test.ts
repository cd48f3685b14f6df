import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import {
  Completion,
  DispatchAux,
  DispatchFlag,
  HeadFlag,
  LAYOUT_HASH,
  RECORD_HEADER,
  Submission,
  WireBody,
  WireDecode,
} from '../../src/wire/generated';
import { bytesOfText as bytes } from '../../src/wire/bytes';
import { Pages } from '../../src/wire/pages';
import { alignBatch, readBatch } from '../../src/wire/reader';
import { SubmissionWriter } from '../../src/wire/writer';

const golden = JSON.parse(
  readFileSync(
    new URL('../../../crates/dodici-wire/tests/golden/records.json', import.meta.url),
    'utf8',
  ),
);

/** What `write` submits, in hex. */
function submitted(write: (writer: SubmissionWriter) => void): string {
  let hex = '';
  const writer = new SubmissionWriter((buffer, length) => {
    hex += buffer.toString('hex', 0, length);
  });
  write(writer);
  writer.flush();
  return hex;
}

const bits = (table: Record<string, number>, names: string[]) =>
  names.reduce((sum, name) => sum | table[name]!, 0);

const fieldList = (fields: [string, string][]) =>
  fields.map(([name, value]) => `${name}\n${value}\n`).join('');

const writers: Record<string, (writer: SubmissionWriter, record: any) => void> = {
  Dispatch: (writer, r) =>
    writer.dispatch(
      r.slot,
      r.generation,
      bits(DispatchFlag, r.flags),
      (WireBody as Record<string, number>)[r.body]! |
        (r.timed ? DispatchAux.Timed : 0) |
        bits(DispatchAux, r.aux ?? []),
      r.pool,
      r.head,
      r.headersTimeout,
      r.bodyTimeout,
      r.bodyLength,
      r.data === undefined ? null : bytes(r.data),
      r.decode === undefined ? 0 : (WireDecode as Record<string, number>)[r.decode],
      r.maxSize,
      r.totalTimeout,
      r.minBodyRate,
    ),
  BodyChunk: (writer, r) =>
    writer.bodyChunk(
      r.slot,
      r.generation,
      bytes(`--${r.data}--`),
      2,
      2 + (r.data as string).length,
    ),
  BodyLeft: (writer, r) => writer.bodyLeft(r.slot, r.generation),
  BodyEnd: (writer, r) => writer.bodyEnd(r.slot, r.generation, fieldList(r.trailers)),
  Cancel: (writer, r) => writer.cancel(r.slot, r.generation, r.resets),
  PoolInspect: (writer, r) => writer.command(Submission.PoolInspect, r.slot, r.generation),
  PoolPreconnect: (writer, r) => writer.poolPreconnect(r.slot, r.generation, r.count),
  LookupResult: (writer, r) => writer.lookupResult(r.slot, r.generation, r.answer),
  Credit: (writer, r) => writer.credit(r.slot, r.generation, r.bytes, r.flags.includes('Paused')),
};

describe('submission writer', () => {
  it('belongs to the same schema as the golden vectors', () => {
    expect(golden.layoutHash).toBe(LAYOUT_HASH);
  });

  for (const { name, hex, record } of golden.submissions) {
    const write = writers[record.kind];
    if (write === undefined) continue;
    it(`writes ${name} byte for byte as Rust does`, () => {
      expect(submitted((writer) => write(writer, record))).toBe(hex);
    });
  }

  it('puts the pool in the slot field of pool records', () => {
    const destroy = Buffer.from(
      submitted((writer) => writer.command(Submission.PoolDestroy, 7)),
      'hex',
    );
    const connect = Buffer.from(
      submitted((writer) => writer.command(Submission.PoolConnect, 8)),
      'hex',
    );
    const create = Buffer.from(
      submitted((writer) => writer.poolOptions(Submission.PoolCreate, 9, Buffer.from('abcd'))),
      'hex',
    );
    expect([destroy[0], destroy.readUInt32LE(4)]).toEqual([8, 7]);
    expect([connect[0], connect.readUInt32LE(4)]).toEqual([9, 8]);
    const pipelining = Buffer.from(
      submitted((writer) => writer.poolPipelining(7, 2 ** 32 - 1)),
      'hex',
    );
    expect([pipelining[0], pipelining.readUInt32LE(4), pipelining.readUInt32LE(16)]).toEqual([
      12,
      7,
      2 ** 32 - 1,
    ]);
    expect([create[0], create.readUInt32LE(4), create.toString('latin1', 16)]).toEqual([
      6,
      9,
      'abcd',
    ]);
  });

  it('leaves no trace of a record that could not be written, and pads with zeros', () => {
    let hex = '';
    const writer = new SubmissionWriter((buffer, length) => {
      hex = buffer.toString('hex', 0, length);
    });
    writer.bodyChunk(1, 1, bytes('secret'.repeat(10)), 0, 60);
    writer.flush();
    expect(() => writer.bodyChunk(2, 1, bytes('abc'), 0, 40)).toThrow(RangeError);
    expect(writer.pending).toBe(false);
    writer.bodyChunk(3, 1, bytes('a'), 0, 1);
    writer.flush();
    expect(hex.slice(2 * RECORD_HEADER)).toBe('61000000');
  });

  it('flushes early, in order, when the buffer is full', () => {
    const batches: number[] = [];
    const slots: number[] = [];
    const writer = new SubmissionWriter(
      (buffer, length) => {
        batches.push(length / RECORD_HEADER);
        for (let at = 0; at < length; at += RECORD_HEADER) slots.push(buffer.readUInt32LE(at + 4));
      },
      null,
      64,
    );
    for (let slot = 0; slot < 10; slot++) writer.cancel(slot, 1);
    writer.flush();
    expect(batches).toEqual([4, 4, 2]);
    expect(slots).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('grows for a record that is larger than its buffer', () => {
    const chunk = bytes('x'.repeat(1000));
    let seen = '';
    const writer = new SubmissionWriter(
      (buffer, length) => {
        seen = buffer.toString('latin1', RECORD_HEADER, length);
      },
      null,
      64,
    );
    writer.bodyChunk(1, 1, chunk, 0, 1000);
    writer.flush();
    expect(seen).toBe('x'.repeat(1000));
  });

  describe('with pages', () => {
    const KIB = 1024;
    /** A writer that records the page of each flush, and the position of its first body byte. */
    function lending(answers: (number | Buffer | undefined)[]) {
      const flushes: { page: number | undefined; first: string; length: number }[] = [];
      const writer = new SubmissionWriter(
        (buffer, length, page) => {
          flushes.push({ page, first: String.fromCharCode(buffer[RECORD_HEADER]!), length });
        },
        new Pages(() => answers.shift()),
      );
      return { writer, flushes };
    }
    const body = (mark: string) => bytes(mark.repeat(20 * KIB));

    it('copies small flushes, whatever memory they are in', () => {
      const { writer, flushes } = lending([Buffer.alloc(64 * KIB)]);
      writer.bodyChunk(1, 1, body('a'), 0, 20 * KIB);
      writer.flush();
      writer.cancel(1, 1);
      writer.flush();
      writer.bodyChunk(1, 1, body('b'), 0, 20 * KIB);
      writer.flush();
      expect(flushes.map(({ page }) => page)).toEqual([undefined, undefined, 0]);
    });

    it('writes only to pages it was given, and lends each flush with its page', () => {
      const pages = [Buffer.alloc(64 * KIB), Buffer.alloc(64 * KIB)];
      const { writer, flushes } = lending([pages[0], pages[1], 0, 1]);
      for (const mark of ['a', 'b', 'c', 'd']) {
        writer.bodyChunk(1, 1, body(mark), 0, 20 * KIB);
        writer.flush();
      }
      expect(flushes.map(({ page, first }) => [page, first])).toEqual([
        [undefined, 'a'],
        [0, 'b'],
        [1, 'c'],
        [0, 'd'],
      ]);
      // The last one wrote to a page that had been returned, and left the other one alone.
      expect([pages[0]![RECORD_HEADER], pages[1]![RECORD_HEADER]]).toEqual([100, 99]);
    });

    it('falls back to its own memory while all pages are lent', () => {
      const { writer, flushes } = lending([Buffer.alloc(64 * KIB), undefined, undefined, 0]);
      for (const mark of ['a', 'b', 'c', 'd', 'e']) {
        writer.bodyChunk(1, 1, body(mark), 0, 20 * KIB);
        writer.flush();
      }
      const seen = flushes.map(({ page, first }) => `${page ?? 'own'} ${first}`);
      expect(seen).toEqual(['own a', '0 b', 'own c', 'own d', '0 e']);
    });

    it('writes a record larger than a page to its own memory', () => {
      const { writer, flushes } = lending([Buffer.alloc(32 * KIB), 0]);
      writer.bodyChunk(1, 1, body('a'), 0, 20 * KIB);
      writer.flush();
      writer.cancel(1, 1);
      writer.bodyChunk(1, 1, bytes('b'.repeat(100 * KIB)), 0, 100 * KIB);
      writer.flush();
      expect(flushes.map(({ page, length }) => [page, length])).toEqual([
        [undefined, 20 * KIB + RECORD_HEADER],
        [undefined, RECORD_HEADER],
        [undefined, 100 * KIB + RECORD_HEADER],
      ]);
    });

    it('stops using a page it has lent, even if the submission fails', () => {
      const pages = [Buffer.alloc(64 * KIB), Buffer.alloc(64 * KIB)];
      const answers = [...pages];
      let fails = false;
      const writer = new SubmissionWriter(
        () => {
          if (fails) throw new Error('closed');
        },
        new Pages(() => answers.shift()),
      );
      writer.bodyChunk(1, 1, body('a'), 0, 20 * KIB);
      writer.flush();
      writer.bodyChunk(1, 1, body('b'), 0, 20 * KIB);
      fails = true;
      expect(() => writer.flush()).toThrow('closed');
      writer.bodyChunk(1, 1, body('c'), 0, 20 * KIB);
      expect(pages[0]![RECORD_HEADER]).toBe(98);
      expect(pages[1]![RECORD_HEADER]).toBe(99);
    });
  });

  it('submits nothing when nothing was written', () => {
    expect(submitted(() => {})).toBe('');
  });
});

interface Seen {
  kind: number;
  flags: number;
  aux: number;
  slot: number;
  generation: number;
  payload: string;
}

function read(
  hex: string,
  sink?: (index: number) => void,
): { records: Seen[]; escaped: unknown[] } {
  const bytes = Buffer.from(hex, 'hex');
  const { batch, words } = alignBatch(Buffer.from(new Uint8Array(bytes).buffer));
  const records: Seen[] = [];
  const escaped: unknown[] = [];
  readBatch(batch, words, bytes.length, {
    record(from, kind, flags, aux, slot, generation, start, end) {
      records.push({ kind, flags, aux, slot, generation, payload: from.latin1Slice(start, end) });
      sink?.(records.length - 1);
      return true;
    },
    escaped: (error) => escaped.push(error),
  });
  return { records, escaped };
}

describe('completion reader', () => {
  for (const { name, hex, record } of golden.completions) {
    const expected = Array.isArray(record) ? record : [record];
    it(`reads ${name} as Rust wrote it`, () => {
      const { records } = read(hex);
      expect(records.length).toBe(expected.length);
      records.forEach((seen, i) => {
        const want = expected[i];
        expect(seen.kind).toBe((Completion as Record<string, number>)[want.kind]);
        expect(seen.slot).toBe(want.slot);
        expect(seen.generation).toBe(want.generation);
        if (want.status !== undefined) {
          expect(seen.aux).toBe(want.status);
          expect(seen.flags).toBe(bits(HeadFlag, want.flags));
          expect(seen.payload).toBe(`${want.reason}\n${fieldList(want.fields)}`);
        }
        if (want.received !== undefined) {
          const payload = Buffer.from(seen.payload, 'latin1');
          expect([seen.flags, payload.readDoubleLE(0)]).toEqual([1, want.received]);
          expect(seen.payload.slice(8)).toBe(fieldList(want.trailers));
        } else if (want.trailers !== undefined) expect(seen.payload).toBe(fieldList(want.trailers));
        if (want.host !== undefined) expect(seen.payload).toBe(want.host);
        if (want.kind === 'Timings') {
          const payload = Buffer.from(seen.payload, 'latin1');
          const times = [0, 1, 2, 3, 4].map((index) => payload.readDoubleLE(8 + 8 * index));
          expect([seen.flags & 1, payload.readUInt32LE(0)]).toEqual([1, want.serial]);
          expect(times).toEqual(want.times);
        }
        if (want.question !== undefined) expect(seen.payload).toBe(want.question);
        if (want.kind === 'Data' && want.data !== undefined) expect(seen.payload).toBe(want.data);
      });
    });
  }

  it('continues with the next record when one throws', () => {
    const { hex } = golden.completions.find((c: any) => Array.isArray(c.record));
    const boom = new Error('boom');
    const { records, escaped } = read(hex, (index) => {
      if (index === 1) throw boom;
    });
    expect(records.length).toBe(3);
    expect(escaped).toEqual([boom]);
  });

  it('rejects a record that claims more bytes than the batch has', () => {
    const record = Buffer.alloc(RECORD_HEADER);
    record[0] = 1;
    record.writeUInt32LE(100, 12);
    expect(() => read(record.toString('hex'))).toThrow(RangeError);
  });

  it('reads a batch that does not start at a multiple of four', () => {
    const { hex } = golden.completions.find((c: any) => c.name === 'a pull');
    const bytes = Buffer.from(hex, 'hex');
    const shifted = Buffer.from(new ArrayBuffer(bytes.length + 1), 1);
    bytes.copy(shifted);
    const { batch, words } = alignBatch(shifted);
    expect(batch.equals(bytes)).toBe(true);
    expect(words[1]).toBe(bytes.readUInt32LE(4));
  });
});
