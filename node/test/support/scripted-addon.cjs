'use strict';
// An addon in memory: it records what the package submits, and delivers what a test scripts.
//
// Loaded twice: by the package, through DODICI_ADDON, and by tests, which get the same module and
// drive it through `control`.

const path = require('node:path');
const { performance } = require('node:perf_hooks');

const dist = path.join(__dirname, '..', '..', 'dist', 'internal', 'wire', 'generated.js');
const { Submission, Completion, Field, LAYOUT_HASH, RECORD_HEADER } = require(dist);

const SUBMISSION_NAMES = Object.fromEntries(
  Object.entries(Submission).map(([name, value]) => [value, name]),
);

const pad = (length) => (length + 3) & ~3;

/** Records in a submission buffer, decoded. */
function decode(buffer, length, thread) {
  const records = [];
  let at = 0;
  while (at < length) {
    const size = buffer.readUInt32LE(at + 12);
    const start = at + RECORD_HEADER;
    for (let i = start + size; i < start + pad(size); i++) {
      if (buffer[i] !== 0) throw new Error(`padding of the record at ${at} is not zero`);
    }
    const kind = SUBMISSION_NAMES[buffer[at]];
    const record = {
      kind,
      flags: buffer[at + 1],
      aux: buffer.readUInt16LE(at + 2),
      slot: buffer.readUInt32LE(at + 4),
      generation: buffer.readUInt32LE(at + 8),
      payload: Buffer.from(buffer.subarray(start, start + size)),
      thread,
    };
    if (kind === 'Dispatch') {
      const { payload } = record;
      const headLength = payload.readUInt32LE(4);
      record.pool = payload.readUInt32LE(0);
      record.headersTimeout = payload.readUInt32LE(8);
      record.bodyTimeout = payload.readUInt32LE(12);
      record.bodyLength = payload.readUInt32LE(16) + payload.readUInt32LE(20) * 2 ** 32;
      record.head = payload.toString('latin1', 24, 24 + headLength);
      record.body = payload.subarray(24 + headLength);
    }
    records.push(record);
    at = start + pad(size);
  }
  if (at !== length) throw new Error('a submission is no whole number of records');
  return records;
}

/** One completion record. */
function encode({ kind, flags = 0, aux = 0, slot, generation, payload = Buffer.alloc(0) }) {
  const bytes = Buffer.from(payload);
  const record = Buffer.alloc(RECORD_HEADER + pad(bytes.length));
  record[0] = kind;
  record[1] = flags;
  record.writeUInt16LE(aux, 2);
  record.writeUInt32LE(slot, 4);
  record.writeUInt32LE(generation, 8);
  record.writeUInt32LE(bytes.length, 12);
  bytes.copy(record, RECORD_HEADER);
  return record;
}

const uint32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

const float64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
};

/** A tagged payload from `[name of the field, value]` pairs; numbers are u32 unless wrapped. */
function tagged(fields) {
  return Buffer.concat(
    fields.map(([name, value]) => {
      const bytes = typeof value === 'number' ? uint32(value) : Buffer.from(value);
      const out = Buffer.alloc(8 + pad(bytes.length));
      out.writeUInt16LE(Field[name], 0);
      out.writeUInt32LE(bytes.length, 4);
      bytes.copy(out, 8);
      return out;
    }),
  );
}

const fieldList = (fields) => fields.map(([name, value]) => `${name}\n${value}\n`).join('');

class Control {
  constructor() {
    this.environments = [];
    this.threads = 1;
    this.reset();
  }

  /** Forgets what was submitted. */
  reset() {
    this.submitted = [];
    this.submitCalls = 0;
    this.roots = null;
  }

  get environment() {
    return this.environments.at(-1);
  }

  /** Everything submitted of one kind. */
  of(kind) {
    return this.submitted.filter((record) => record.kind === kind);
  }

  /** The newest request that was dispatched. */
  get request() {
    return this.of('Dispatch').at(-1);
  }

  /** Delivers records as one batch. */
  deliver(...records) {
    const { inbound, onBatch } = this.environment;
    const chunks = [];
    const encoded = Buffer.concat(
      records.map((record) => {
        if (record.chunk === undefined) return encode(record);
        chunks.push(record.chunk);
        const place = [chunks.length - 1, 0, record.chunk.length];
        return encode({ ...record, flags: 1, payload: Buffer.concat(place.map(uint32)) });
      }),
    );
    if (encoded.length > inbound.length) {
      onBatch(encoded.length, chunks, encoded);
      return;
    }
    encoded.copy(inbound);
    onBatch(encoded.length, chunks.length === 0 ? undefined : chunks);
  }

  head(request, status = 200, fields = [], reason = 'OK') {
    const payload = Buffer.from(`${reason}\n${fieldList(fields)}`, 'latin1');
    return { kind: Completion.Head, aux: status, ...key(request), payload };
  }

  informational(request, status, fields = [], reason = '') {
    return { ...this.head(request, status, fields, reason), kind: Completion.Informational };
  }

  upgrade(request, status = 101, fields = [], reason = 'Switching Protocols') {
    return { ...this.head(request, status, fields, reason), kind: Completion.Upgrade };
  }

  data(request, payload) {
    return { kind: Completion.Data, ...key(request), payload };
  }

  /** A chunk delivered as a separate Buffer. */
  largeData(request, chunk) {
    return { kind: Completion.Data, ...key(request), chunk };
  }

  end(request, trailers = []) {
    const payload = Buffer.from(fieldList(trailers), 'latin1');
    return { kind: Completion.End, ...key(request), payload };
  }

  error(request, fields) {
    return { kind: Completion.Error, ...key(request), payload: tagged(fields) };
  }

  pull(request, bytes) {
    return { kind: Completion.Pull, ...key(request), payload: uint32(bytes) };
  }

  assigned(request, connection = 1) {
    return { kind: Completion.Assigned, ...key(request), payload: uint32(connection) };
  }

  connected(pool, connection = 1, fields = [['Protocol', 'h1']]) {
    const payload = tagged([...fields, ['TotalTime', float64(1.5)]]);
    return { kind: Completion.Connected, slot: pool, generation: connection, payload };
  }

  disconnected(pool, connection = 1, reason = 5, fields = []) {
    const payload = tagged([['Reason', reason], ...fields]);
    return { kind: Completion.Disconnected, slot: pool, generation: connection, payload };
  }

  connectFailed(pool, fields) {
    const payload = tagged(fields);
    return { kind: Completion.ConnectFailed, slot: pool, generation: 1, payload };
  }

  connectGivenUp(pool) {
    return { kind: Completion.ConnectGivenUp, slot: pool, generation: 1 };
  }

  poolClosed(pool) {
    return { kind: Completion.PoolClosed, slot: pool, generation: 0 };
  }
}

function key({ slot, generation }) {
  return { slot, generation };
}

const control = new Control();

module.exports = {
  control,
  tagged,
  encode,
  decode,
  layoutHash: () => LAYOUT_HASH,
  version: () => '0.0.0-scripted',
  open(inbound, onBatch, ioThreads) {
    const environment = { inbound, onBatch, ioThreads };
    control.environments.push(environment);
    return environment;
  },
  threads: () => control.threads,
  submit(_environment, thread, buffer, length) {
    control.submitCalls++;
    control.submitted.push(...decode(buffer, length, thread));
  },
  page: () => undefined,
  checkOptions: () => undefined,
  setRoots(_environment, pem) {
    control.roots = pem;
  },
  counters: () => new Float64Array(10),
  clock: () => performance.now(),
  close() {},
};
