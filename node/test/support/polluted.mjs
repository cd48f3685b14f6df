// Child process of s07_changing_values.test.ts: pollutes Object.prototype and sends requests.

import { Agent, Client, request } from '../../dist/index.mjs';

const [url, secureUrl] = process.argv.slice(2);
const report = {};

const POLLUTION = {
  method: 'DELETE',
  path: '/polluted',
  headers: { 'x-polluted': '1' },
  body: 'polluted',
  query: { polluted: '1' },
  upgrade: 'polluted',
  reset: true,
  expectContinue: true,
  idempotent: true,
  agent: {},
  dispatcher: {},
  rejectUnauthorized: false,
  socketPath: '/tmp/polluted.sock',
  servername: 'polluted.invalid',
  host: 'polluted.invalid',
  hostname: 'polluted.invalid',
  ca: 'polluted',
  cert: 'polluted',
  key: 'polluted',
  localAddress: '127.0.0.9',
  connect: {},
  tls: {},
  connections: 1,
  factory: () => ({}),
  origins: {},
  lookup: () => {},
  maxRedirections: 5,
  headersTimeout: 1,
  bodyTimeout: 1,
  maxHeaderSize: 1,
  maxResponseSize: 0,
  'x-answer': 'polluted',
  opaque: 'polluted',
};
// Loads the addon: Node's own file system functions read polluted options.
await new Promise((resolve) => {
  const first = new Client(url);
  first.request({ path: '/', method: 'GET' }).then(({ body }) => {
    body
      .dump()
      .then(() => first.destroy())
      .then(resolve);
  });
});

for (const [name, value] of Object.entries(POLLUTION)) {
  Object.defineProperty(Object.prototype, name, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}

async function outcome(run) {
  try {
    return await run();
  } catch (error) {
    return `${error.code} ${error.message}`;
  }
}

function dispatched(dispatcher, options) {
  return new Promise((resolve, reject) => {
    let status;
    dispatcher.dispatch(options, {
      onRequestStart() {},
      onRequestUpgrade() {
        reject(new Error('upgraded'));
      },
      onResponseStart(_controller, statusCode, headers) {
        status = statusCode;
        report.headers = headers;
      },
      onResponseData() {},
      onResponseEnd: () => resolve(status),
      onResponseError: (_controller, error) => reject(error),
    });
  });
}

/** For undici's own API classes, which read inherited options. */
const plain = { body: null, headers: null, signal: null, opaque: null, method: 'GET' };

const client = new Client(url);
const agent = new Agent();
report.dispatch = await outcome(() => dispatched(client, { path: '/dispatch', method: 'GET' }));
report.request = await outcome(
  async () => (await client.request({ ...plain, path: '/request' })).statusCode,
);
report.agent = await outcome(() =>
  dispatched(agent, { origin: url, path: '/agent', method: 'GET' }),
);
report.topLevel = await outcome(
  async () =>
    (await request(`${url}/top`, { ...plain, dispatcher: agent, path: null, agent: null }))
      .statusCode,
);
const strict = new Client(secureUrl);
report.untrusted = await dispatched(strict, { path: '/', method: 'GET' }).catch(
  (error) => error.code ?? String(error),
);

for (const name of Object.keys(POLLUTION)) delete Object.prototype[name];
await Promise.all([client.destroy(), agent.destroy(), strict.destroy()]);
console.log(JSON.stringify(report));
process.exit(0);
