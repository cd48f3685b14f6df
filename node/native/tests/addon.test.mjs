// The addon alone, driven with hand-made records. Run with `node --test`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { Raw, addon, fields, get, options, pieceCost, record, schema } from './raw.mjs';

const { ErrorCode, Submission, WireBody } = schema;

async function serve(t, handler) {
  const server = createServer(handler);
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

function open(t, settings) {
  const raw = new Raw(settings);
  t.after(() => raw.close());
  return raw;
}

const of = (kind, slot, generation = 1) => (record) =>
  record.kind === kind && record.slot === slot && record.generation === generation;

test('the layout hash is the generated one', () => {
  assert.equal(addon.layoutHash(), schema.LAYOUT_HASH);
  assert.match(addon.version(), /^\d+\.\d+\.\d+/);
});

test('a request comes back as head, data and end', async (t) => {
  const { url } = await serve(t, (request, response) => {
    response.setHeader('X-Path', request.url);
    response.end('hello');
  });
  const raw = open(t);
  raw.pool(0, url);
  raw.dispatch(0, 5, get('/a'), { generation: 9 });
  await raw.wait(of('End', 5, 9));
  const kinds = raw.records.map((record) => record.kind);
  assert.deepEqual(kinds, ['Connected', 'Head', 'Data', 'End']);
  const [connected, head, data] = raw.records;
  assert.deepEqual([connected.slot, connected.generation], [0, 1]);
  assert.equal(fields(connected.payload).Protocol, 'h1');
  assert.equal(head.aux, 200);
  assert.match(head.payload.toString('latin1'), /^OK\nX-Path\n\/a\n/);
  assert.equal(data.payload.toString(), 'hello');
});

test('a body is pulled and credit keeps a large response flowing', async (t) => {
  const size = 4 * schema.WINDOW;
  const { url } = await serve(t, async (request, response) => {
    let received = 0;
    for await (const chunk of request) received += chunk.length;
    response.setHeader('x-received', received);
    response.end(Buffer.alloc(size, 'x'));
  });
  let received = 0;
  let large = 0;
  const finished = Promise.withResolvers?.() ?? deferred();
  const raw = open(t, {
    onRecord(record) {
      if (record.kind === 'Pull') {
        const wanted = record.payload.readUInt32LE();
        assert.ok(wanted > 0);
        raw.tell('BodyChunk', 0, 1, 1, Buffer.from('body!'));
        raw.tell('BodyEnd', 0, 1, 1);
      } else if (record.kind === 'Data') {
        received += record.payload.length;
        if (record.large) large++;
        assert.ok(record.payload.every((byte) => byte === 120));
        raw.credit(0, 1, pieceCost(record.payload.length));
      } else if (record.kind === 'Head') {
        assert.match(record.payload.toString(), /x-received\n5\n/);
      } else if (record.kind === 'End') {
        finished.resolve();
      } else if (record.kind === 'Error') {
        finished.reject(new Error(JSON.stringify(fields(record.payload))));
      }
    },
  });
  raw.pool(0, url);
  raw.dispatch(0, 1, 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n', {
    aux: WireBody.Sized,
    length: 5,
  });
  await alive(finished.promise);
  assert.equal(received, size);
  assert.ok(large > 0, 'some chunks travelled in slabs');
  assert.equal(raw.counters().LargeChunks, large);
});

test('without credit no more than a window is delivered', async (t) => {
  const { url } = await serve(t, (request, response) => {
    response.end(Buffer.alloc(request.url === '/big' ? 8 * schema.WINDOW : 2, 'x'));
  });
  let received = 0;
  let largest = 0;
  const stopped = deferred();
  const answered = deferred();
  const raw = open(t, {
    onRecord(record) {
      if (record.kind === 'Data' && record.slot === 1) {
        const cost = pieceCost(record.payload.length);
        largest = Math.max(largest, cost);
        received += cost;
        if (received >= schema.WINDOW) stopped.resolve();
      }
      if (record.kind === 'End') answered.resolve();
    },
  });
  raw.pool(0, url);
  raw.dispatch(0, 1, get('/big'));
  await alive(stopped.promise);
  // A whole exchange on another connection of the same thread: time in which more could arrive.
  raw.dispatch(0, 2, get());
  await alive(answered.promise);
  assert.ok(received < schema.WINDOW + largest, `${received} of the window`);
});

test('many requests share doorbells, and the order of each is kept', async (t) => {
  const { url } = await serve(t, (request, response) => response.end(request.url));
  const total = 5000;
  const inFlight = 50;
  let started = 0;
  let ended = 0;
  const bodies = new Map();
  const finished = deferred();
  const raw = open(t, {
    onRecord(record) {
      const { kind, slot, generation } = record;
      if (kind === 'Head') bodies.set(slot, { generation, text: '' });
      else if (kind === 'Data') bodies.get(slot).text += record.payload.toString();
      else if (kind === 'End') {
        assert.deepEqual(bodies.get(slot), { generation, text: `/${slot}.${generation}` });
        bodies.delete(slot);
        if (++ended === total) finished.resolve();
        next(slot, generation + 1);
      } else if (kind === 'Error') {
        finished.reject(new Error(JSON.stringify(fields(record.payload))));
      }
    },
  });
  function next(slot, generation) {
    if (started++ < total) raw.dispatch(0, slot, get(`/${slot}.${generation}`), { generation });
  }
  raw.pool(0, url, { Connections: inFlight });
  for (let slot = 0; slot < inFlight; slot++) next(slot, 1);
  await alive(finished.promise);
  const counters = raw.counters();
  assert.ok(
    counters.Completions > 1.5 * counters.Doorbells,
    `more than one record per doorbell: ${JSON.stringify(counters)}`,
  );
  assert.ok(counters.Submissions > counters.SubmitCalls);
  assert.equal(counters.Batches, raw.batches.length);
});

test('a cancelled request gets no completion and its slot can be used again', async (t) => {
  const held = [];
  const { url } = await serve(t, (request, response) => {
    if (request.url === '/hold') held.push(response);
    else response.end('ok');
  });
  const raw = open(t);
  raw.pool(0, url);
  raw.dispatch(0, 1, get('/hold'), { generation: 1 });
  await raw.wait((record) => record.kind === 'Connected');
  raw.tell('Cancel', 0, 1, 1);
  raw.dispatch(0, 1, get('/'), { generation: 2 });
  await raw.wait(of('End', 1, 2));
  assert.equal(raw.records.filter(of('Error', 1, 1)).length, 0);
  assert.equal(raw.records.filter(of('Head', 1, 1)).length, 0);
});

test('records for past generations are ignored', async (t) => {
  const { url } = await serve(t, (_request, response) => response.end('ok'));
  const raw = open(t);
  raw.pool(0, url);
  raw.tell('Cancel', 0, 77, 5);
  raw.tell('Credit', 0, 77, 5, Buffer.alloc(4));
  raw.tell('BodyEnd', 0, 77, 5);
  raw.dispatch(0, 77, get(), { generation: 6 });
  raw.tell('Cancel', 0, 77, 5);
  await raw.wait(of('End', 77, 6));
});

test('a refused connection fails the request with code, address and port', async (t) => {
  const server = createTcpServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  const raw = open(t);
  raw.pool(0, `http://127.0.0.1:${port}`);
  raw.dispatch(0, 1, get());
  const error = fields((await raw.wait(of('Error', 1))).payload);
  assert.equal(error.Code, ErrorCode.System);
  assert.equal(error.SystemCode, 'ECONNREFUSED');
  assert.equal(error.Address, '127.0.0.1');
  assert.equal(error.Port, port);
});

test('a pool that cannot be created fails, and so does every request on it', async (t) => {
  const values = { Scheme: 'https', Host: 'localhost', Port: 1, Ca: 'no certificate' };
  const raw = open(t);
  raw.createPool(4, values);
  raw.dispatch(4, 1, get());
  const failed = await raw.wait(of('ConnectFailed', 4, 0));
  const error = await raw.wait(of('Error', 1));
  assert.equal(fields(failed.payload).Code, ErrorCode.InvalidArgument);
  assert.deepEqual(fields(error.payload), fields(failed.payload));
  raw.tell('PoolClose', 4);
  await raw.wait(of('PoolClosed', 4, 0));

  const payload = options(values);
  const checked = addon.checkOptions(payload, payload.length);
  assert.deepEqual(fields(checked), fields(failed.payload));
  const good = options({ Scheme: 'https', Host: 'localhost', Port: 1 });
  assert.equal(addon.checkOptions(good, good.length), undefined);
});

test('a malformed flush is an exception, a malformed record an error of its request', async (t) => {
  const raw = open(t);
  assert.throws(() => raw.submit(0, Buffer.alloc(17)), /malformed boundary data/);
  assert.throws(() => addon.submit(raw.env, 0, Buffer.alloc(4), 5), RangeError);
  assert.throws(() => raw.submit(99, Buffer.alloc(0)), /no I\/O thread 99/);
  raw.queue(record(Submission.Dispatch, 3, 1, Buffer.from('short')));
  const error = fields((await raw.wait(of('Error', 3))).payload);
  assert.equal(error.Code, ErrorCode.Internal);
  raw.dispatch(55, 4, get());
  await raw.wait(of('Error', 4));
});

test('destroying a pool closes its connections and settles nothing', async (t) => {
  const { url, server } = await serve(t, () => {});
  const requested = once(server, 'request');
  const raw = open(t);
  raw.pool(0, url);
  raw.dispatch(0, 1, get());
  await alive(requested);
  raw.tell('PoolDestroy', 0);
  await raw.wait(of('PoolClosed', 0, 0));
  assert.deepEqual(
    raw.records.map((record) => record.kind),
    ['Connected', 'Disconnected', 'PoolClosed'],
  );
});

test('closing a pool lets its request finish', async (t) => {
  let answer;
  const { url, server } = await serve(t, (_request, response) => {
    answer = () => response.end('late');
  });
  const requested = once(server, 'request');
  const raw = open(t);
  raw.pool(0, url);
  raw.dispatch(0, 1, get());
  await alive(requested);
  raw.tell('PoolClose', 0);
  answer();
  await raw.wait(of('PoolClosed', 0, 0));
  assert.ok(raw.records.some(of('End', 1)));
});

test('an upgraded stream carries bytes both ways until the peer ends it', async (t) => {
  const server = createTcpServer((socket) => {
    socket.once('data', () => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhi');
      socket.on('data', (chunk) => socket.end(`${chunk}!`));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const raw = open(t);
  raw.pool(0, `http://127.0.0.1:${server.address().port}`);
  raw.dispatch(0, 1, 'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n', {
    flags: schema.DispatchFlag.Upgrade,
  });
  const upgrade = await raw.wait(of('Upgrade', 1));
  assert.equal(upgrade.aux, 101);
  await raw.wait(of('Pull', 1));
  raw.tell('BodyChunk', 0, 1, 1, Buffer.from('over'));
  // The peer's end is an empty chunk: this side may still write until it ends too.
  await raw.wait((record) => of('Data', 1)(record) && record.payload.length === 0);
  raw.tell('BodyEnd', 0, 1, 1);
  await raw.wait(of('End', 1));
  const data = raw.records.filter(of('Data', 1)).map(({ payload }) => payload.toString());
  assert.equal(data.join(''), 'hiover!');
});

test('an upgraded stream outlives its pool and ends with its environment', async (t) => {
  const server = createServer();
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n');
    socket.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const raw = open(t);
  raw.pool(0, `http://127.0.0.1:${server.address().port}`);
  const upgraded = alive(once(server, 'upgrade'));
  raw.dispatch(0, 1, 'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n', {
    flags: schema.DispatchFlag.Upgrade,
  });
  await raw.wait(of('Upgrade', 1));
  raw.tell('PoolDestroy', 0);
  await raw.wait(of('PoolClosed', 0, 0));
  raw.tell('BodyChunk', 0, 1, 1, Buffer.from('still here'));
  const data = await raw.wait(of('Data', 1));
  assert.equal(data.payload.toString(), 'still here');
  const [, socket] = await upgraded;
  const closed = alive(once(socket, 'close'));
  raw.close();
  await closed;
});

test('a batch that does not fit the inbound buffer is passed as a separate buffer', async (t) => {
  const { url } = await serve(t, (_request, response) => {
    response.setHeader('x-long', 'y'.repeat(2000));
    response.end('ok');
  });
  const raw = open(t, { inboundSize: 1024 });
  raw.pool(0, url);
  raw.dispatch(0, 1, get());
  const head = await raw.wait(of('Head', 1));
  assert.match(head.payload.toString(), /y{2000}/);
  assert.ok(raw.counters().OversizedBatches >= 1);
});

test('large chunks are copied where external buffers are forbidden', async (t) => {
  const versions = Object.getOwnPropertyDescriptor(process, 'versions');
  Object.defineProperty(process, 'versions', {
    ...versions,
    value: { ...process.versions, electron: '30.0.0' },
  });
  const size = schema.WINDOW / 2;
  const { url } = await serve(t, (_request, response) => response.end(Buffer.alloc(size, 'z')));
  const raw = open(t);
  Object.defineProperty(process, 'versions', versions);
  raw.pool(0, url);
  raw.dispatch(0, 1, get());
  await raw.wait(of('End', 1));
  const chunks = raw.records.filter((record) => record.kind === 'Data');
  assert.ok(chunks.some((chunk) => chunk.large));
  assert.equal(Buffer.concat(chunks.map((chunk) => chunk.payload)).toString(), 'z'.repeat(size));
});

test('a large chunk can be changed, kept and outlives its batch', async (t) => {
  const size = schema.WINDOW / 2;
  const { url } = await serve(t, (_request, response) => response.end(Buffer.alloc(size, 'z')));
  const raw = open(t);
  raw.pool(0, url);
  for (let slot = 0; slot < 20; slot++) raw.dispatch(0, slot, get());
  for (let slot = 0; slot < 20; slot++) await raw.wait(of('End', slot));
  const large = raw.records.filter((record) => record.large);
  assert.ok(large.length >= 20);
  for (const [index, { payload }] of large.entries()) payload.fill(index);
  for (const [index, { payload }] of large.entries()) {
    assert.ok(payload.every((byte) => byte === index));
  }
});

test('what onBatch throws is an uncaught exception, and the next batch is still delivered', async (t) => {
  const result = await run(`
    import { createServer } from 'node:http';
    import { once } from 'node:events';
    import { Raw, get } from ${JSON.stringify(rawUrl)};
    const server = createServer((request, response) => response.end('ok')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const thrown = new Error('from the handler');
    const seen = new Set();
    function see(what) {
      if (seen.add(what).size < 2) return;
      console.log([...seen].sort().join());
      process.exit(0);
    }
    process.on('uncaughtException', (error, origin) => see(error === thrown && origin));
    let first = true;
    const raw = new Raw({
      onRecord(record) {
        if (first) { first = false; throw thrown; }
        if (record.kind === 'End') see('end');
      },
    });
    raw.pool(0, 'http://127.0.0.1:' + server.address().port);
    raw.dispatch(0, 1, get());
  `);
  assert.deepEqual(result, { code: 0, signal: null, out: 'end,uncaughtException\n', err: '' });
});

test('an idle environment does not keep the process alive', async () => {
  const result = await run(`
    import { createServer } from 'node:http';
    import { once } from 'node:events';
    import { Raw, get } from ${JSON.stringify(rawUrl)};
    const server = createServer((request, response) => response.end('ok')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const raw = new Raw();
    raw.pool(0, 'http://127.0.0.1:' + server.address().port);
    raw.dispatch(0, 1, get());
    await raw.wait((record) => record.kind === 'End');
    server.unref();
    server.on('connection', () => {});
    server.closeIdleConnections();
    await raw.wait((record) => record.kind === 'Disconnected');
    console.log('idle');
  `);
  assert.deepEqual(result, { code: 0, signal: null, out: 'idle\n', err: '' });
});

for (const [how, statement, expected] of [
  ['process.exit', 'process.exit(3)', 3],
  ['an uncaught exception', 'queueMicrotask(() => { throw new Error("bye"); })', 1],
  ['a natural end', '', 0],
]) {
  test(`${how} with requests in flight ends the process immediately`, async (t) => {
    const { url } = await serve(t, (request, response) => {
      if (request.url === '/hold') return;
      response.write('x'.repeat(100_000));
    });
    for (let round = 0; round < 5; round++) {
      const result = await run(`
        import { Raw, get } from ${JSON.stringify(rawUrl)};
        const raw = new Raw({ ioThreads: 2 });
        raw.pool(0, ${JSON.stringify(url)});
        raw.pool(1, ${JSON.stringify(url)});
        for (let slot = 0; slot < 20; slot++) raw.dispatch(slot % 2, slot, get(slot % 3 ? '/' : '/hold'));
        await raw.wait((record) => record.kind === 'Data');
        ${statement}
      `);
      assert.equal(result.signal, null, result.err);
      assert.equal(result.code, expected, result.err);
      assert.doesNotMatch(result.err, /panicked|FATAL/);
    }
  });
}

test('workers terminated in any phase leave no connection and affect nothing else', async (t) => {
  const { url, server } = await serve(t, (request, response) => {
    if (request.url === '/hold') return;
    if (request.url === '/upload') return request.resume();
    if (request.url !== '/stream') return response.end('ok');
    const more = () => response.write('x'.repeat(200_000));
    // In a separate turn: with a fast reader, drain follows drain without end.
    response.on('drain', () => setImmediate(more));
    response.on('error', () => {});
    more();
  });
  server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n');
    socket.pipe(socket);
  });
  // A separate process, so that its standard error can be checked.
  const script = fileURLToPath(new URL('./worker-loop.mjs', import.meta.url));
  const result = await runNode(script, url, '500');
  assert.deepEqual(result, { code: 0, signal: null, out: 'unharmed\n', err: '' });
  await settled(() => connections(server), 0);
});

test('a worker that calls the addon while it is being terminated ends like any other', async () => {
  // Between terminate() and the end of its JavaScript, a worker may still call.
  const worker = `
    import { parentPort } from 'node:worker_threads';
    import { Raw, addon } from ${JSON.stringify(rawUrl)};
    const raw = new Raw();
    const nothing = Buffer.alloc(0);
    parentPort.postMessage('busy');
    for (;;) {
      raw.submit(0, nothing);
      addon.counters(raw.env);
    }
  `;
  const result = await run(`
    import { once } from 'node:events';
    import { Worker } from 'node:worker_threads';
    const url = new URL(${JSON.stringify(`data:text/javascript,${encodeURIComponent(worker)}`)});
    for (let round = 0; round < 50; round++) {
      const worker = new Worker(url);
      await once(worker, 'message');
      await worker.terminate();
    }
    console.log('ended');
  `);
  assert.deepEqual(result, { code: 0, signal: null, out: 'ended\n', err: '' });
});

test('a worker that ends by itself closes its connections', async (t) => {
  const { url, server } = await serve(t, (_request, response) => response.end('ok'));
  const source = `
    import { workerData } from 'node:worker_threads';
    import { Raw, get } from ${JSON.stringify(rawUrl)};
    const raw = new Raw();
    raw.pool(0, workerData.url);
    raw.dispatch(0, 1, get());
    await raw.wait((record) => record.kind === 'End');
  `;
  for (let round = 0; round < 5; round++) {
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
      workerData: { url },
    });
    const [code] = await once(worker, 'exit');
    assert.equal(code, 0);
  }
  await settled(() => connections(server), 0);
});

test('nothing is delivered after close, and submitting throws', async (t) => {
  const { url, server } = await serve(t, () => {});
  const requested = once(server, 'request');
  const raw = new Raw();
  raw.pool(0, url);
  raw.dispatch(0, 1, get());
  const [, response] = await alive(requested);
  const closed = once(response, 'close');
  const before = raw.records.length;
  raw.close();
  raw.close();
  await alive(closed);
  assert.throws(() => raw.submit(0, Buffer.alloc(0)), /closed/);
  assert.equal(raw.records.length, before);
  t.diagnostic('the server saw the connection close');
});

// --- helpers ---

const rawUrl = new URL('./raw.mjs', import.meta.url).href;

function deferred() {
  const out = {};
  out.promise = new Promise((resolve, reject) => Object.assign(out, { resolve, reject }));
  return out;
}

/** Awaits while keeping the event loop alive: an environment never does. */
async function alive(promise) {
  const timer = setInterval(() => {}, 1 << 30);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

/** Runs a module in a separate process. */
function run(source) {
  return runNode('--input-type=module', '--eval', source);
}

async function runNode(...args) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => (out += chunk));
  child.stderr.on('data', (chunk) => (err += chunk));
  const [code, signal] = await once(child, 'close');
  return { code, signal, out, err };
}

function connections(server) {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
}

/** Waits, turn by turn, until `read` returns `expected`. */
async function settled(read, expected) {
  while ((await read()) !== expected) await new Promise((resolve) => setImmediate(resolve));
}
