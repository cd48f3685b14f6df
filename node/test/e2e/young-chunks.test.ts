// Large bodies do not make V8 collect its whole heap.

import { expect, it } from 'vitest';

import { built, inChild } from '../support/child';
import { httpOrigin } from '../support/servers';

it('a download whose chunks are dropped causes collections of the young generation only', async () => {
  const body = Buffer.alloc(1 << 20, 'x');
  const origin = await httpOrigin((_request, response) => response.end(body));
  try {
    const seen = (await inChild(
      `
      const { PerformanceObserver, constants } = require('node:perf_hooks');
      const { NODE_PERFORMANCE_GC_MAJOR, NODE_PERFORMANCE_GC_MINOR } = constants;
      const seen = { major: 0, minor: 0, most: 0, bytes: 0 };
      const observer = new PerformanceObserver((list) => {
        for (const { detail } of list.getEntries()) {
          if (detail.kind === NODE_PERFORMANCE_GC_MAJOR) seen.major++;
          if (detail.kind === NODE_PERFORMANCE_GC_MINOR) seen.minor++;
        }
      });
      const pool = new dodici.Pool(values.url, { connections: 4 });
      const one = () => new Promise((resolve, reject) => pool.dispatch({ path: '/', method: 'GET' }, {
        onRequestStart() {},
        onResponseStart() {},
        onResponseData(_controller, chunk) {
          seen.bytes += chunk.length;
          seen.most = Math.max(seen.most, process.memoryUsage().external);
        },
        onResponseEnd: () => resolve(),
        onResponseError: (_controller, error) => reject(error),
      }));
      const lane = async (count) => { for (let i = 0; i < count; i++) await one(); };
      await lane(8);
      const before = process.memoryUsage().external;
      observer.observe({ entryTypes: ['gc'] });
      seen.most = seen.bytes = 0;
      await Promise.all([lane(128), lane(128), lane(128), lane(128)]);
      // Entries are reported in a later turn.
      for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
      await pool.close();
      const gc = require('node:vm').runInNewContext('typeof gc');
      return { ...seen, grew: seen.most - before, gc };`,
      { values: { url: origin.url } },
    )) as Record<'major' | 'minor' | 'grew' | 'bytes' | 'gc', number>;
    expect(seen.bytes).toBe(512 << 20);
    expect(seen.minor).toBeGreaterThanOrEqual(16);
    // V8 alone: eight, one for every 64 MiB. On a busy machine, some of ours come later.
    expect(seen.major).toBeLessThanOrEqual(4);
    expect(seen.grew).toBeLessThan(60 << 20);
    // The flag that exposes the function is cleared.
    expect(seen.gc).toBe('undefined');
  } finally {
    await origin.close();
  }
});

const isPermission = process.allowedNodeEnvironmentFlags.has('--permission');
const permissions = [
  isPermission ? '--permission' : '--experimental-permission',
  ...['--allow-fs-read=*', '--allow-addons', '--allow-worker'],
  ...(process.allowedNodeEnvironmentFlags.has('--allow-net') ? ['--allow-net'] : []),
];
const frozen = ['--freeze-flags-after-init'];
/** What a worker finds out about its process. */
const canTell = process.platform === 'linux' ? 'changed for a moment' : 'left alone';

it.each([
  ['changed for a moment', 'nothing forbids it', [], {}, false],
  ['left alone', 'they are frozen', frozen, {}, false],
  ['left alone', 'there is a permission model', permissions, {}, false],
  ['left alone', 'the environment says so', [], { DODICI_YOUNG_COLLECTIONS: '0' }, false],
  [canTell, 'nothing forbids it, in a worker', [], {}, true],
  ['left alone', 'they are frozen, in a worker', frozen, {}, true],
  ['left alone', 'they are frozen, as V8 also reads it', ['--freeze_flags_after_init'], {}, true],
  ['left alone', 'there is a permission model, in a worker', permissions, {}, true],
])('V8’s flags are %s if %s', async (what, _case, flags, env, inWorker) => {
  const body = Buffer.alloc(1 << 20, 'x');
  const origin = await httpOrigin((_request, response) => response.end(body));
  const download = `
    const v8 = require('node:v8');
    const set = v8.setFlagsFromString;
    let changes = 0;
    v8.setFlagsFromString = (flag) => {
      changes++;
      set(flag);
    };
    const pool = new dodici.Pool(values.url, { connections: 1 });
    let bytes = 0;
    for (let i = 0; i < 40; i++) {
      const { body } = await pool.request({ path: '/', method: 'GET' });
      for await (const chunk of body) bytes += chunk.length;
    }
    await pool.close();
    const seen = { bytes, changes };`;
  const worker = `
    const { parentPort, workerData: { values, built } } = require('node:worker_threads');
    const dodici = require(built);
    (async () => {${download} parentPort.postMessage(seen); })();`;
  try {
    const seen = (await inChild(
      inWorker
        ? `const { Worker } = require('node:worker_threads');
           const workerData = { values, built: values.built };
           // Flags of its own: it does not see those of the process.
           const worker = new Worker(values.worker, { eval: true, workerData, execArgv: [] });
           return (await require('node:events').once(worker, 'message'))[0];`
        : `${download} return seen;`,
      { flags, env, values: { url: origin.url, worker, built } },
    )) as { bytes: number; changes: number };
    expect(seen.bytes).toBe(40 << 20);
    expect(seen.changes > 0).toBe(what !== 'left alone');
  } finally {
    await origin.close();
  }
});
