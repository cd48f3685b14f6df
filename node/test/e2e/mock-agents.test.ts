// undici's MockAgent and SnapshotAgent with our dispatchers behind them. Both change globals,
// so each runs in a separate process.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { inChild } from '../support/child';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dodici-snapshots-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A server that reports which requests reached it. */
const PREPARE = `
  const { once } = require('node:events');
  process.removeAllListeners('warning'); // SnapshotAgent is experimental.
  const served = [];
  const server = require('node:http').createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    served.push(request.method + ' ' + request.url + ' ' + body);
    response.writeHead(request.url.startsWith('/missing') ? 404 : 200, {
      'x-served': String(served.length),
      trailer: 'x-sum',
    });
    response.write('real ');
    response.addTrailers({ 'x-sum': 'abc' });
    response.end(request.url);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = 'http://127.0.0.1:' + server.address().port;
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };`;

/** Functions of both packages and of Node, which all use the global dispatcher. */
const WAYS = `
  
  const { Writable } = require('node:stream');
  const ways = {};
  for (const [name, from] of Object.entries({ dodici, undici: peer })) {
    ways[name + '.request'] = async (path, options) =>
      (await from.request(url + path, options)).body.text();
    ways[name + '.fetch'] = async (path, options) => (await from.fetch(url + path, options)).text();
    ways[name + '.stream'] = async (path, options) => {
      const chunks = [];
      await from.stream(url + path, { method: 'GET', ...options }, () =>
        new Writable({ write: (chunk, _encoding, done) => (chunks.push(chunk), done()) }));
      return Buffer.concat(chunks).toString();
    };
    ways[name + '.pipeline'] = async (path, { body, ...options } = {}) => {
      const stream = from.pipeline(url + path, { method: 'GET', ...options }, ({ body }) => body);
      stream.end(body);
      let text = '';
      for await (const chunk of stream) text += chunk;
      return text;
    };
  }
  ways['fetch'] = async (path, options) => (await fetch(url + path, options)).text();
  const codeOf = (error) => error.code ?? error.cause?.code ?? error.cause?.message ?? error.message;
  const outcome = async (get, path, options) => {
    const { submissions } = dodici.counters();
    const got = await get(path, options).catch(codeOf);
    return dodici.counters().submissions > submissions ? got + ' by the engine' : got;
  };`;

/**
 * Our dispatchers behind a MockAgent. What it lets through is sent by undici's pool, whatever its
 * `agent` is, and by the engine if `factory` creates that pool's clients.
 */
const MADE = {
  Agent: ['{ agent: new dodici.Agent() }', ''],
  'composed Agent': ['{ agent: new dodici.Agent().compose(dodici.interceptors.redirect()) }', ''],
  'Agent, and our Clients in its pools': [
    '{ agent: new dodici.Agent(), factory: (origin) => new dodici.Client(origin) }',
    ' by the engine',
  ],
} as const;

const child = (body: string, values: object = {}) =>
  inChild(WAYS + body, { before: PREPARE, values });

describe.each(Object.entries(MADE))('MockAgent over our %s', (_name, [options, by]) => {
  it('serves the functions of both packages, whichever it was set with', async () => {
    const { results, served } = (await child(`
      const results = {};
      for (const [setter, from] of Object.entries({ dodici, undici: peer })) {
        const mock = new dodici.MockAgent(${options});
        from.setGlobalDispatcher(mock);
        for (const [name, get] of Object.entries(ways)) {
          mock.disableNetConnect();
          mock.get(url).intercept({ path: '/mocked', method: 'POST' }).reply(200, 'mock');
          const sent = { method: 'POST', body: 'sent' };
          const all = [await outcome(get, '/mocked', sent), await outcome(get, '/forbidden')];
          mock.enableNetConnect('127.0.0.1:1');
          all.push(await outcome(get, '/forbidden'));
          mock.enableNetConnect(new URL(url).host);
          all.push(await outcome(get, '/real', sent));
          mock.deactivate();
          all.push(await outcome(get, '/inactive'));
          mock.activate();
          mock.assertNoPendingInterceptors();
          results[name + ' with ' + setter] = all;
        }
        await mock.close();
      }
      stop();
      return { results, served: [...new Set(served)] };`)) as {
      results: Record<string, string[]>;
      served: string[];
    };
    const expected = [
      'mock',
      'UND_MOCK_ERR_MOCK_NOT_MATCHED',
      'UND_MOCK_ERR_MOCK_NOT_MATCHED',
      `real /real${by}`,
      `real /inactive${by}`,
    ];
    expect(Object.keys(results)).toHaveLength(18);
    for (const [name, all] of Object.entries(results))
      expect([name, ...all]).toEqual([name, ...expected]);
    expect(served).toEqual(['POST /real sent', 'GET /inactive ']);
  });
});

describe('SnapshotAgent', () => {
  // It sends with its own undici Agent, created from its options, whatever its `agent` is.
  it.each([
    ['', ''],
    ['factory: (origin, options) => new dodici.Pool(origin, options)', ' by the engine'],
  ])('records real traffic and plays it back: { %s }', async (options, by) => {
    const { results, served } = (await child(
      `
      const results = {};
      for (const mode of ['record', 'playback', 'update']) {
        for (const [name, get] of Object.entries(ways)) {
          const snapshotPath = values.folder + '/' + name + '.json';
          const agent = new dodici.Agent();
          const snapshots = new dodici.SnapshotAgent({ mode, snapshotPath, agent, ${options} });
          dodici.setGlobalDispatcher(snapshots);
          const sent = { method: 'POST', body: 'sent' };
          // Until it has loaded, dispatch() returns a promise.
          if (mode !== 'record') await snapshots.loadSnapshots();
          const all = [await outcome(get, '/got'), await outcome(get, '/missing?a=1')];
          if (!name.endsWith('pipeline')) all.push(await outcome(get, '/sent', sent));
          all.push(await outcome(get, mode === 'record' ? '/got' : '/new'));
          (results[mode] ??= {})[name] = all;
          await snapshots.close();
        }
      }
      stop();
      return { results, served: served.length };`,
      { folder: mkdtempSync(join(folder, 'in-')) },
    )) as { results: Record<string, Record<string, string[]>>; served: number };
    const seen = (mode: string, last: string, by: string, lastBy: string) =>
      expect(Object.entries(results[mode]!)).toEqual(
        Object.entries(results[mode]!).map(([name]) => [
          name,
          [
            `real /got${by}`,
            `real /missing?a=1${by}`,
            ...(name.endsWith('pipeline') ? [] : [`real /sent${by}`]),
            `${last}${lastBy}`,
          ],
        ]),
      );
    seen('record', 'real /got', by, by);
    seen('playback', 'UND_ERR', '', '');
    seen('update', 'real /new', '', by);
    expect(Object.keys(results['update']!)).toHaveLength(9);
    // Each way records four requests, a pipeline three, and the update adds one.
    expect(served).toBe(7 * 4 + 2 * 3 + 9);
  });
});
