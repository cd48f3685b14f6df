import { readFileSync } from 'node:fs';

import { describe, expect, it } from 'vitest';

import { parseFields } from '../../src/headers';
import {
  Completion,
  DispatchFlag,
  HeadFlag,
  LAYOUT_HASH,
  RECORD_HEADER,
  WireBody,
} from '../../src/wire/generated';
import { alignBatch, readBatch } from '../../src/wire/reader';
import { SubmissionWriter } from '../../src/wire/writer';

const golden = JSON.parse(
  readFileSync(
    new URL('../../../crates/dodici-wire/tests/golden/records.json', import.meta.url),
    'utf8',
  ),
);

/** Hex of what `write` submits. */
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
      (WireBody as Record<string, number>)[r.body]!,
      r.pool,
      r.head,
      r.headersTimeout,
      r.bodyTimeout,
      r.bodyLength,
      r.data === undefined ? null : Buffer.from(r.data),
    ),
  BodyChunk: (writer, r) =>
    writer.bodyChunk(
      r.slot,
      r.generation,
      Buffer.from(`--${r.data}--`),
      2,
      2 + (r.data as string).length,
    ),
  BodyLeft: (writer, r) => writer.bodyLeft(r.slot, r.generation),
  BodyEnd: (writer, r) => writer.bodyEnd(r.slot, r.generation, fieldList(r.trailers)),
  Cancel: (writer, r) => writer.cancel(r.slot, r.generation),
  LookupAnswer: (writer, r) => writer.lookupAnswer(r.slot, r.generation, r.answer),
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

  it('names a pool in the slot of pool records', () => {
    const destroy = Buffer.from(
      submitted((writer) => writer.poolDestroy(7)),
      'hex',
    );
    const connect = Buffer.from(
      submitted((writer) => writer.poolConnect(8)),
      'hex',
    );
    const create = Buffer.from(
      submitted((writer) => writer.poolCreate(9, Buffer.from('abcd'))),
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

  it('hands over early, in order, when the buffer is full', () => {
    const batches: number[] = [];
    const slots: number[] = [];
    const writer = new SubmissionWriter((buffer, length) => {
      batches.push(length / RECORD_HEADER);
      for (let at = 0; at < length; at += RECORD_HEADER) slots.push(buffer.readUInt32LE(at + 4));
    }, 64);
    for (let slot = 0; slot < 10; slot++) writer.cancel(slot, 1);
    writer.flush();
    expect(batches).toEqual([4, 4, 2]);
    expect(slots).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('grows for a record that is larger than its buffer', () => {
    const chunk = Buffer.alloc(1000, 'x');
    let seen = '';
    const writer = new SubmissionWriter((buffer, length) => {
      seen = buffer.toString('latin1', RECORD_HEADER, length);
    }, 64);
    writer.bodyChunk(1, 1, chunk, 0, 1000);
    writer.flush();
    expect(seen).toBe('x'.repeat(1000));
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
        if (want.trailers !== undefined) expect(seen.payload).toBe(fieldList(want.trailers));
        if (want.host !== undefined) expect(seen.payload).toBe(want.host);
        if (want.kind === 'Data' && want.data !== undefined) expect(seen.payload).toBe(want.data);
      });
    });
  }

  it('goes on with the next record when one throws', () => {
    const { hex } = golden.completions.find((c: any) => Array.isArray(c.record));
    const boom = new Error('boom');
    const { records, escaped } = read(hex, (index) => {
      if (index === 1) throw boom;
    });
    expect(records.length).toBe(3);
    expect(escaped).toEqual([boom]);
  });

  it('refuses a record that claims more bytes than the batch has', () => {
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

describe('parsed headers', () => {
  it('have lower-case names and an array where a name repeats', () => {
    const text = fieldList([
      ['Content-Type', 'text/plain'],
      ['Set-Cookie', 'a'],
      ['SET-COOKIE', 'b'],
      ['set-cookie', 'c'],
    ]);
    expect(parseFields(text)).toEqual({
      'content-type': 'text/plain',
      'set-cookie': ['a', 'b', 'c'],
    });
  });

  it('store names of Object.prototype as own properties', () => {
    const headers = parseFields(
      fieldList([
        ['__proto__', 'x'],
        ['constructor', 'y'],
        ['__proto__', 'z'],
      ]),
    );
    expect(Object.keys(headers)).toEqual(['__proto__', 'constructor']);
    expect(Object.getOwnPropertyDescriptor(headers, '__proto__')!.value).toEqual(['x', 'z']);
    expect(Object.getPrototypeOf(headers)).toBe(Object.prototype);
  });

  it('keep empty values and values with colons', () => {
    expect(
      parseFields(
        fieldList([
          ['a', ''],
          ['b', 'c: d'],
        ]),
      ),
    ).toEqual({ a: '', b: 'c: d' });
  });

  it('stay right after more names than are interned', () => {
    for (let i = 0; i < 2000; i++) parseFields(`X-Name-${i}\nv\n`);
    expect(parseFields('X-Name-1999\nv\nX-Other\nw\n')).toEqual({
      'x-name-1999': 'v',
      'x-other': 'w',
    });
  });
});
