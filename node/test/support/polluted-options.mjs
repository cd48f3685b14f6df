// Child process of s08_polluted_options.test.ts: every class, created and used with as few options as
// possible, first normally and then with Object.prototype polluted by each key of a list. Prints the
// differences.

import * as dodici from '../../dist/index.mjs';

const { urls, ca, keys } = JSON.parse(process.argv[2]);
const { origin, secure, h2c, proxy, secureProxy, socks, dead } = urls;

const failing = () => {
  throw new Error('a polluted function was called');
};

/** Values with a certain effect; all other keys get each of `VALUES`. */
const TELLING = {
  uri: [dead],
  httpProxy: [dead],
  httpsProxy: [dead],
  noProxy: ['*'],
  origin: [dead],
  origins: [{ '*': { connect: { timeout: 1 } } }, failing],
  connect: [failing, { socketPath: '/polluted' }],
  tls: [{ servername: 'polluted.invalid' }],
  proxyTls: [{ servername: 'polluted.invalid', ca: 'polluted' }],
  requestTls: [{ servername: 'polluted.invalid', ca: 'polluted' }],
  h2Options: [{ useH2c: 1, settings: { initialWindowSize: -1 } }],
  settings: [{ initialWindowSize: -1 }],
  retryOptions: [{ maxRetries: -1 }],
  headers: [{ 'x-polluted': '1' }, 5],
  method: ['POST'],
  path: ['/polluted'],
  query: [{ polluted: '1' }],
  body: ['polluted'],
  upgrade: ['polluted'],
};
const VALUES = [1, -1, true, false, 'polluted.invalid', failing, { polluted: true }];

const pool = { connect: { ca } };

/** How to create each class, and where its requests go. */
const CLASSES = {
  Client: [() => new dodici.Client(origin)],
  'Client with options': [() => new dodici.Client(secure, pool), secure],
  Pool: [() => new dodici.Pool(origin)],
  'Pool with options': [() => new dodici.Pool(secure, pool), secure],
  BalancedPool: [() => new dodici.BalancedPool([origin])],
  RoundRobinPool: [() => new dodici.RoundRobinPool(origin)],
  Agent: [() => new dodici.Agent()],
  'Agent with rules': [() => new dodici.Agent({ origins: { localhost: pool } }), secure],
  'Agent with a rule by function': [() => new dodici.Agent({ origins: () => pool }), secure],
  'ProxyAgent of a string': [() => new dodici.ProxyAgent(proxy)],
  'ProxyAgent that forwards': [() => new dodici.ProxyAgent({ uri: proxy, proxyTunnel: false })],
  'ProxyAgent with tunnels': [
    () => new dodici.ProxyAgent({ uri: proxy, proxyTunnel: true, requestTls: { ca } }),
    secure,
  ],
  'ProxyAgent over TLS': [
    () => new dodici.ProxyAgent({ uri: secureProxy, proxyTunnel: true, proxyTls: { ca } }),
  ],
  'ProxyAgent that forwards over TLS': [
    () => new dodici.ProxyAgent({ uri: secureProxy, proxyTunnel: false, proxyTls: { ca } }),
  ],
  'EnvHttpProxyAgent with proxies': [() => new dodici.EnvHttpProxyAgent({ httpProxy: proxy })],
  EnvHttpProxyAgent: [() => new dodici.EnvHttpProxyAgent()],
  Socks5ProxyAgent: [() => new dodici.Socks5ProxyAgent(socks)],
  RetryAgent: [() => new dodici.RetryAgent(new dodici.Client(origin))],
  H2CClient: [() => new dodici.H2CClient(h2c), h2c],
  install: [
    () => {
      const { dispatcher, uninstall } = dodici.install();
      uninstall();
      return dispatcher;
    },
  ],
};

function dispatched(dispatcher, url) {
  return new Promise((resolve) => {
    const fail = (error) => resolve(`${error?.code} ${error?.message}`);
    let status;
    let text = '';
    dispatcher.dispatch(
      { origin: url, path: '/x?a=1', method: 'GET' },
      {
        onRequestStart() {},
        onRequestUpgrade: () => fail(new Error('upgraded')),
        onResponseStart(_controller, statusCode) {
          status = statusCode;
        },
        onResponseData(_controller, chunk) {
          text += chunk;
        },
        onResponseEnd: () => resolve(`${status} ${text}`),
        onResponseError: (_controller, error) => fail(error),
      },
    );
  });
}

/** The outcome of one request on a new dispatcher of this class. */
async function outcome(name, before = () => {}, after = () => {}) {
  const [make, url = origin] = CLASSES[name];
  let dispatcher;
  let answer;
  try {
    before();
    dispatcher = make();
    answer = dispatched(dispatcher, url);
  } catch (error) {
    answer = `${error?.code} ${error?.message}`;
  } finally {
    after();
  }
  answer = await answer;
  await dispatcher?.destroy();
  return answer;
}

const report = { plain: {}, differences: [], runs: 0 };
for (const name of Object.keys(CLASSES)) report.plain[name] = await outcome(name);

const valuesOf = (key) => (Object.hasOwn(TELLING, key) ? TELLING[key] : VALUES);

/** What differs with these keys polluted, each with the value of this number. */
async function differences(names, polluted, round) {
  const pollute = () => {
    for (const key of polluted) {
      Object.defineProperty(Object.prototype, key, {
        // Own, because the descriptor inherits from the polluted prototype.
        __proto__: null,
        value: valuesOf(key)[round % valuesOf(key).length],
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
  };
  // Node itself, and later work of the peer, run unpolluted: only our reads are tested.
  const clean = () => {
    for (const key of polluted) delete Object.prototype[key];
  };
  const outcomes = await Promise.all(names.map((name) => outcome(name, pollute, clean)));
  report.runs += names.length * polluted.length;
  return names.flatMap((name, at) =>
    outcomes[at] === report.plain[name] ? [] : [{ name, answer: outcomes[at] }],
  );
}

const GROUP = 50;
for (let round = 0; round < VALUES.length; round++) {
  for (let at = 0; at < keys.length; at += GROUP) {
    const group = keys.slice(at, at + GROUP);
    const found = await differences(Object.keys(CLASSES), group, round);
    if (found.length === 0) continue;
    for (const key of group) {
      for (const { name, answer } of await differences(Object.keys(CLASSES), [key], round)) {
        report.differences.push(`${name}, ${key}: ${answer}`);
      }
    }
    if (report.differences.length === 0)
      report.differences.push(`${group.join()}: ${found[0].name} ${found[0].answer}`);
  }
}
console.log(JSON.stringify(report));
process.exit(0);
