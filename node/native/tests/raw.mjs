// A client that writes records by hand, for the tests of the addon alone: no TypeScript layer, so that a
// failure is the addon's. The numbers are read from the generated schema.

import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(import.meta.url);
const generated = readFileSync(new URL('../../src/wire/generated.ts', import.meta.url), 'utf8');

/** Tables and limits of the schema, by name. */
export const schema = Object.fromEntries([
  ...[...generated.matchAll(/^export const (\w+) = \{([^}]*)\}/gm)].map(([, name, body]) => [
    name,
    Object.fromEntries(
      [...body.matchAll(/(\w+): (\d+)/g)].map(([, key, value]) => [key, Number(value)]),
    ),
  ]),
  ...[...generated.matchAll(/^export const (\w+) = (\d+);/gm)].map(([, name, value]) => [
    name,
    Number(value),
  ]),
]);

const { Submission, Completion, OptionKey, Field, Counter } = schema;
const nameOf = (table, value) => Object.keys(table).find((key) => table[key] === value);

export const addonPath =
  process.env.DODICI_ADDON ??
  new URL(
    `../../prebuilds/${process.platform}-${process.arch}/dodici.node`,
    import.meta.url,
  ).pathname;
export const addon = require(addonPath);

/** One record. */
export function record(kind, slot, generation, payload = Buffer.alloc(0), flags = 0, aux = 0) {
  const out = Buffer.alloc(16 + payload.length + (-payload.length & 3));
  out.writeUInt8(kind, 0);
  out.writeUInt8(flags, 1);
  out.writeUInt16LE(aux, 2);
  out.writeUInt32LE(slot, 4);
  out.writeUInt32LE(generation, 8);
  out.writeUInt32LE(payload.length, 12);
  payload.copy(out, 16);
  return out;
}

/** A tagged value. */
export function tagged(tag, value) {
  let bytes = value;
  if (typeof value === 'number') {
    bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
  } else if (typeof value === 'boolean') {
    bytes = Buffer.from([Number(value)]);
  } else if (typeof value === 'string') {
    bytes = Buffer.from(value);
  }
  const out = Buffer.alloc(8 + bytes.length + (-bytes.length & 3));
  out.writeUInt16LE(tag, 0);
  out.writeUInt32LE(bytes.length, 4);
  bytes.copy(out, 8);
  return out;
}

/** Pool options, from an object or a list of pairs named as in `OptionKey`. */
export function options(values) {
  const pairs = Array.isArray(values) ? values : Object.entries(values);
  return Buffer.concat(pairs.map(([key, value]) => tagged(OptionKey[key], value)));
}

/** The fields of an error or connection payload that are text or `u32`, by name. */
export function fields(payload) {
  const out = {};
  for (let at = 0; at < payload.length; ) {
    const name = nameOf(Field, payload.readUInt16LE(at));
    const length = payload.readUInt32LE(at + 4);
    const value = payload.subarray(at + 8, at + 8 + length);
    out[name] = ['Code', 'Reason', 'Port'].includes(name)
      ? value.readUInt32LE()
      : value.toString();
    at += 8 + length + (-length & 3);
  }
  return out;
}

const u32 = (...values) => {
  const out = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => out.writeUInt32LE(value, 4 * index));
  return out;
};

/** One environment with a flush per microtask; `onRecord` gets each completion. */
export class Raw {
  #pending = [];
  #records = [];
  #waiting = [];
  generation = 0;

  constructor({ ioThreads = 1, onRecord, inboundSize = schema.BATCH_LIMIT * 2 } = {}) {
    this.inbound = Buffer.alloc(inboundSize);
    this.batches = [];
    this.onRecord = onRecord ?? ((record) => this.#keep(record));
    this.env = addon.open(
      this.inbound,
      (length, slabs, overflow) => this.decode(length, slabs, overflow),
      ioThreads,
      undefined,
    );
    this.threads = addon.threads(this.env);
  }

  decode(length, slabs, overflow) {
    this.batches.push(length);
    const source = overflow ?? this.inbound;
    for (let at = 0; at < length; ) {
      const size = source.readUInt32LE(at + 12);
      const flags = source[at + 1];
      const payload = Buffer.from(source.subarray(at + 16, at + 16 + size));
      const kind = nameOf(Completion, source[at]);
      this.onRecord({
        kind,
        flags,
        aux: source.readUInt16LE(at + 2),
        slot: source.readUInt32LE(at + 4),
        generation: source.readUInt32LE(at + 8),
        payload: kind === 'Data' && flags & 1 ? inSlab(slabs, payload) : payload,
        large: kind === 'Data' && (flags & 1) === 1,
      });
      at += 16 + size + (-size & 3);
    }
  }

  #keep(record) {
    this.#records.push(record);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /** All records kept so far. */
  get records() {
    return this.#records;
  }

  /** The first kept record that matches, now or later. Keeps the process alive meanwhile. */
  async wait(match) {
    const alive = setInterval(() => {}, 1 << 30);
    try {
      for (;;) {
        const found = this.#records.find(match);
        if (found) return found;
        await new Promise((resolve) => this.#waiting.push(resolve));
      }
    } finally {
      clearInterval(alive);
    }
  }

  submit(thread, bytes) {
    addon.submit(this.env, thread, bytes, bytes.length);
  }

  /** Queues a record; the flush goes out with the microtask. */
  queue(bytes, pool = 0) {
    if (this.#pending.length === 0) queueMicrotask(() => this.flush());
    this.#pending.push([pool % this.threads, bytes]);
  }

  flush() {
    const pending = this.#pending;
    this.#pending = [];
    for (let thread = 0; thread < this.threads; thread++) {
      const mine = pending.filter(([to]) => to === thread).map(([, bytes]) => bytes);
      if (mine.length > 0) this.submit(thread, Buffer.concat(mine));
    }
  }

  createPool(id, values) {
    this.queue(record(Submission.PoolCreate, id, 0, options(values)), id);
  }

  pool(id, url, more = {}) {
    const { hostname, port, protocol } = new URL(url);
    this.createPool(id, {
      Scheme: protocol.slice(0, -1),
      Host: hostname,
      Port: Number(port),
      ...more,
    });
  }

  tell(kind, pool, slot = pool, generation = 0, payload) {
    this.queue(record(Submission[kind], slot, generation, payload), pool);
  }

  dispatch(pool, slot, head, { generation = 1, aux = 0, flags = 0, body, length = 0 } = {}) {
    const bytes = Buffer.from(head, 'latin1');
    const numbers = u32(
      pool,
      bytes.length,
      schema.DEFAULT_TIMEOUT,
      schema.DEFAULT_TIMEOUT,
      body?.length ?? length,
      0,
    );
    const payload = Buffer.concat([numbers, bytes, body ?? Buffer.alloc(0)]);
    this.queue(record(Submission.Dispatch, slot, generation, payload, flags, aux), pool);
  }

  credit(pool, slot, bytes, generation = 1) {
    this.tell('Credit', pool, slot, generation, u32(bytes));
  }

  counters() {
    const values = addon.counters(this.env);
    return Object.fromEntries(Object.entries(Counter).map(([name, at]) => [name, values[at]]));
  }

  close() {
    addon.close(this.env);
  }
}

export const get = (path = '/') => `GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`;

/** The window cost of a chunk of this length. */
export const pieceCost = (length) => length + schema.PIECE_OVERHEAD;

/** The large chunk that a record's payload points to: slab, offset, length. */
function inSlab(slabs, place) {
  const offset = place.readUInt32LE(4);
  return slabs[place.readUInt32LE()].subarray(offset, offset + place.readUInt32LE(8));
}
