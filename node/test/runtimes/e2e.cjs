// The package end to end on whatever runs this file: Node, Bun, Deno. Plain assertions, because no test
// runner works on all of them. Prints one line for each test, and ends with the number that failed.
'use strict';

const assert = require('node:assert/strict');
const { once } = require('node:events');
const { readFileSync } = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');
const { join } = require('node:path');

const dodici = require('../../dist/index.js');

const pem = (name) => readFileSync(join(__dirname, '../support', name));

/** Echoes the request: method, path, body. */
async function echo(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  response.setHeader('x-seen', String(request.headers['x-sent'] ?? ''));
  if (request.url === '/missing') response.statusCode = 404;
  if (request.url === '/large') response.end(Buffer.alloc(3_000_000, 'x'));
  else response.end(`${request.method} ${request.url} ${Buffer.concat(chunks)}`);
}

async function listen(server) {
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server.address().port;
}

async function main() {
  const plain = http.createServer(echo);
  const url = `http://127.0.0.1:${await listen(plain)}`;
  const secure = https.createServer(
    { cert: pem('localhost-cert.pem'), key: pem('localhost-key.pem') },
    echo,
  );
  const secureUrl = `https://localhost:${await listen(secure)}`;
  const text = async (dispatcher, options) =>
    (await dispatcher.request({ origin: url, method: 'GET', path: '/', ...options })).body.text();

  const tests = {
    'has the names of undici, and the engine': async () => {
      assert.equal(typeof dodici.RoundRobinPool, 'function');
      assert.equal(typeof dodici.errors.UndiciError, 'function');
      assert.ok(new dodici.Agent() instanceof dodici.Dispatcher);
    },
    'request()': async () => {
      const { statusCode, headers, body } = await dodici.request(`${url}/missing`, {
        headers: { 'x-sent': 'this' },
      });
      assert.deepEqual([statusCode, headers['x-seen']], [404, 'this']);
      assert.equal(await body.text(), 'GET /missing ');
      assert.ok(dodici.counters().submissions > 0);
    },
    'bodies in both directions': async () => {
      const agent = new dodici.Agent();
      const post = { method: 'POST', path: '/post' };
      async function* chunks() {
        yield 'in ';
        yield 'pieces';
      }
      assert.equal(await text(agent, { ...post, body: 'whole' }), 'POST /post whole');
      assert.equal(await text(agent, { ...post, body: chunks() }), 'POST /post in pieces');
      assert.equal((await text(agent, { path: '/large' })).length, 3_000_000);
      await agent.close();
    },
    'each of the classes': async () => {
      const { Agent, BalancedPool, Client, EnvHttpProxyAgent, Pool, RoundRobinPool } = dodici;
      const made = [
        ...[Client, Pool, BalancedPool, RoundRobinPool].map((Class) => new Class(url)),
        new Agent(),
        new EnvHttpProxyAgent(),
        new Agent().compose(dodici.interceptors.retry()),
      ];
      for (const dispatcher of made) {
        assert.equal(await text(dispatcher, { path: '/x' }), 'GET /x ');
        await dispatcher.close();
      }
    },
    'many at once': async () => {
      const pool = new dodici.Pool(url, { connections: 8 });
      const paths = Array.from({ length: 200 }, (_, index) => `/${index}`);
      const texts = await Promise.all(paths.map((path) => text(pool, { path })));
      assert.deepEqual(
        texts,
        paths.map((path) => `GET ${path} `),
      );
      assert.ok(pool.stats.connected <= 8);
      await pool.close();
    },
    'fetch, and Response': async () => {
      const response = await dodici.fetch(`${url}/fetched`, { method: 'PUT', body: 'text' });
      assert.ok(response instanceof dodici.Response);
      assert.equal(await response.text(), 'PUT /fetched text');
    },
    'TLS with a root of one’s own, and not without': async () => {
      const agent = new dodici.Agent({ connect: { ca: pem('ca.pem') } });
      assert.equal(await text(agent, { origin: secureUrl, path: '/tls' }), 'GET /tls ');
      await agent.close();
      const trusting = new dodici.Agent();
      await assert.rejects(text(trusting, { origin: secureUrl }));
      await trusting.destroy();
    },
    'a refused connection and an abort are errors': async () => {
      const closed = net.createServer();
      const port = await listen(closed);
      await new Promise((resolve) => closed.close(resolve));
      await assert.rejects(dodici.request(`http://127.0.0.1:${port}`), { code: 'ECONNREFUSED' });
      const signal = globalThis.AbortSignal.abort(new Error('too late'));
      await assert.rejects(dodici.request(url, { signal }), /too late/);
    },
    'install() and uninstall()': async () => {
      const { dispatcher, uninstall } = dodici.install();
      const before = dodici.counters().submissions;
      assert.equal(await (await fetch(`${url}/global`)).text(), 'GET /global ');
      assert.ok(dodici.counters().submissions > before);
      uninstall();
      assert.notEqual(dodici.getGlobalDispatcher(), dispatcher);
      await dispatcher.close();
    },
    'large bodies, without a change to V8’s flags on a runtime that is not Node': async () => {
      const v8 = require('node:v8');
      const set = v8.setFlagsFromString;
      let changes = 0;
      v8.setFlagsFromString = (flag) => {
        changes++;
        set(flag);
      };
      const agent = new dodici.Agent();
      try {
        for (let i = 0; i < 10; i++) await text(agent, { path: '/large' });
      } finally {
        v8.setFlagsFromString = set;
        await agent.close();
      }
      const isNode = globalThis.Bun === undefined && globalThis.Deno === undefined;
      assert.equal(changes > 0, isNode);
    },
    MockAgent: async () => {
      const mock = new dodici.MockAgent({ agent: new dodici.Agent() });
      mock.get('http://mocked').intercept({ path: '/' }).reply(200, 'mock');
      mock.enableNetConnect();
      assert.equal(await text(mock, { origin: 'http://mocked' }), 'mock');
      assert.equal(await text(mock, { path: '/real' }), 'GET /real ');
      await mock.close();
    },
  };

  let failed = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test();
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`not ok ${name}\n${error?.stack ?? error}`);
    }
  }
  console.log(`# pass ${Object.keys(tests).length - failed}\n# fail ${failed}`);
  for (const server of [plain, secure]) {
    server.close();
    server.closeAllConnections?.();
  }
  process.exit(failed === 0 ? 0 : 1);
}

main();
