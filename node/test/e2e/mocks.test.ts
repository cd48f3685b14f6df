// The mocks that Node's users have, unmodified: nock and msw, installed before or after this
// package, and before or after the first request. Each in a separate process.
//
// nock 15 answers at the sockets, for every request of undici's, msw 3 there as well, but only those of
// Node's fetch and http; nock 14 and msw 2 replace Node's fetch.
import { describe, expect, it } from 'vitest';

import { inChild } from '../support/child';

const major = Number(process.versions.node.split('.')[0]);
/** The newer ones need a newer Node. */
const atSockets = major >= 22 ? ['nock15'] : [];
const atFetch = major >= 22 ? ['nock15', 'msw3', 'nock14', 'msw2'] : ['nock14', 'msw2'];

/** One interface for all of them, and a server that reports which requests reached it. */
const PREPARE = `
  const { once } = require('node:events');
  async function loadMock(name) {
    if (name.startsWith('nock')) {
      const { default: nock } = await import(name);
      nock.restore();
      return {
        start(strictly) {
          nock.activate();
          if (strictly) nock.disableNetConnect();
          else nock.enableNetConnect();
        },
        answer: (url, text) => nock(new URL(url).origin).get(new URL(url).pathname).reply(200, text),
        reset: () => nock.cleanAll(),
        stop: () => nock.restore(),
      };
    }
    const { http, HttpResponse } = await import(name);
    const server = (await import(name + '/node')).setupServer();
    console.error = () => {};
    return {
      start(strictly) {
        const rule = strictly ? 'error' : 'bypass';
        server.listen({ onUnhandledRequest: rule, onUnhandledFrame: rule });
      },
      answer: (url, text) => server.use(http.get(url, () => new HttpResponse(text), { once: true })),
      reset: () => server.resetHandlers(),
      stop: () => server.close(),
    };
  }
  const served = [];
  const server = require('node:http').createServer((request, response) => {
    served.push(request.url);
    response.end('real');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = 'http://127.0.0.1:' + server.address().port;
  let mock;
  if (values.order === 'before') {
    mock = await loadMock(values.mock);
    if (values.isActive) mock.start(true);
  }`;

/** What each of `ways` (a name and a function that fetches a path) gets, in seven states of the mock. */
const PLAY = `
  const outcome = (get, path) => get(path).then((text) => text, () => 'error');
  const results = {};
  const all = async (state, path, before = () => {}) => {
    for (const [name, get] of Object.entries(ways)) {
      before();
      const { submissions } = dodici.counters();
      const got = await outcome(get, path);
      const by = dodici.counters().submissions > submissions ? 'engine' : 'peer';
      (results[name] ??= []).push(state + ': ' + got + (got === 'real' ? ' by ' + by : ''));
    }
  };
  if (!values.isActive) await all('never mocked', '/real');
  mock ??= await loadMock(values.mock);
  if (!values.isActive) mock.start(true);
  await all('unknown', '/forbidden');
  await all('known', '/mocked', () => mock.answer(url + '/mocked', 'mock'));
  mock.reset();
  mock.stop();
  await all('stopped', '/real');
  mock.start(false);
  await all('started again', '/mocked', () => mock.answer(url + '/mocked', 'mock'));
  mock.reset();
  await all('passed through', '/real');
  mock.stop();
  await all('stopped again', '/real');
  await close();
  server.close();
  server.closeAllConnections();
  return { results, served: [...new Set(served)] };`;

const ORDERS = [
  { order: 'before', isActive: true, title: 'was active before this package was loaded' },
  { order: 'before', isActive: false, title: 'was loaded before this package' },
  { order: 'after', isActive: false, title: 'was loaded after the first requests' },
] as const;

describe.each(atSockets)('%s', (mock) => {
  it.each(ORDERS)('serves every dispatcher, when it $title', async ({ order, isActive }) => {
    const body = `
      const dispatchers = {
        Client: new dodici.Client(url),
        Pool: new dodici.Pool(url),
        BalancedPool: new dodici.BalancedPool(url),
        RoundRobinPool: new dodici.RoundRobinPool(url),
        Agent: new dodici.Agent(),
        EnvHttpProxyAgent: new dodici.EnvHttpProxyAgent(),
        RetryAgent: new dodici.RetryAgent(new dodici.Agent(), { maxRetries: 0 }),
        composed: new dodici.Agent().compose(dodici.interceptors.redirect()),
      };
      const ways = {
        request: async (path) => (await dodici.request(url + path)).body.text(),
        fetch: async (path) => (await dodici.fetch(url + path)).text(),
      };
      for (const [name, dispatcher] of Object.entries(dispatchers)) {
        ways[name] = async (path) =>
          (await dispatcher.request({ origin: url, path, method: 'GET' })).body.text();
      }
      const close = () => Promise.all(Object.values(dispatchers).map((one) => one.close()));
      ${PLAY}`;
    const values = { mock, order, isActive };
    const { results, served } = (await inChild(body, { before: PREPARE, values })) as {
      results: Record<string, string[]>;
      served: string[];
    };
    const expected = [
      ...(isActive ? [] : ['never mocked: real by engine']),
      'unknown: error',
      'known: mock',
      'stopped: real by engine',
      'started again: mock',
      'passed through: real by peer',
      'stopped again: real by engine',
    ];
    expect(Object.keys(results)).toHaveLength(10);
    for (const states of Object.values(results)) expect(states).toEqual(expected);
    expect(served).toEqual(['/real']);
  });
});

describe.each(atFetch)('%s', (mock) => {
  it.each(ORDERS)('serves Node’s fetch over install(), when it $title', async (values) => {
    const body = `
      const { dispatcher } = dodici.install();
      const ways = { fetch: async (path) => (await fetch(url + path)).text() };
      const close = () => dispatcher.close();
      ${PLAY}`;
    const result = await inChild(body, { before: PREPARE, values: { mock, ...values } });
    expect(result).toEqual({
      results: {
        fetch: [
          ...(values.isActive ? [] : ['never mocked: real by engine']),
          'unknown: error',
          'known: mock',
          'stopped: real by engine',
          'started again: mock',
          expect.stringMatching(/^passed through: real/),
          'stopped again: real by engine',
        ],
      },
      served: ['/real'],
    });
  });
});
