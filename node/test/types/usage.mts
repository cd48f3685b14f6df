// What users may write, in ESM. Compiled, not run; lines that must not compile are marked.
import dodici, {
  Agent,
  BalancedPool,
  Client,
  Dispatcher,
  type EnvHttpProxyAgent,
  errors,
  fetch,
  type H2CClient,
  install,
  MockAgent,
  Pool,
  type ProxyAgent,
  request,
  type RetryAgent,
  type RoundRobinPool,
  setGlobalDispatcher,
  type Socks5ProxyAgent,
  type AgentOptions,
  type ConnectInfo,
  type DisconnectInfo,
  type RequestInit,
  type RequestTimings,
  type TimedController,
  type TimingsMessage,
} from 'dodici';
import type * as Undici from 'undici';

const options: AgentOptions = {
  connections: 10,
  ioThreads: 2,
  connect: { ca: ['-----BEGIN CERTIFICATE-----'], minVersion: 'TLSv1.3', platformVerifier: false },
  origins: {
    'https://api.example.com': { connections: 4, keepAliveTimeout: 30e3, connect: { ca: 'x' } },
    'http://*.internal:8080': { pipelining: 10 },
  },
};
const agent = new Agent(options);
new Agent({ origins: (origin: string) => (origin === 'https://a' ? { connections: 1 } : null) });
const agentOptions: Agent.Options = options;

const dispatchers: Dispatcher[] = [
  agent,
  new Client('http://localhost'),
  new Pool('http://localhost'),
];
setGlobalDispatcher(agent);
new BalancedPool('http://localhost', { factory: (origin, given) => new Pool(origin, given) });
new MockAgent({ agent });

const installed = install(agentOptions);
installed.uninstall();
const dispatcher: Dispatcher = installed.dispatcher;

agent.on('connect', (origin: URL, targets: readonly Dispatcher[], info?: ConnectInfo) => {
  const milliseconds: number | undefined = info?.timings.tls;
  const version: string | undefined = info?.tls?.version;
  void [origin.host, targets.length, milliseconds, version];
});
agent.on('disconnect', (_origin, _targets, error, info) => {
  const message: string = error.message;
  const requests: number | undefined = info?.requests;
  void [message, requests];
});
new Pool('http://localhost').once('connect', (_origin, _targets, info) => info?.tls?.cipher);
new Client('http://localhost').off('drain', () => {});
const reason: DisconnectInfo['reason'] = 'idle timeout';

const response = await request('http://localhost', { dispatcher, method: 'POST', body: 'x' });
const text: string = await response.body.text();
const init: RequestInit = { method: 'POST', dispatcher };
const json: unknown = await (await fetch('http://localhost', init)).json();

try {
  await agent.close();
} catch (error) {
  if (error instanceof errors.ClientDestroyedError) {
    const code: 'UND_ERR_DESTROYED' = error.code;
    void code;
  }
}
const same: typeof Agent = dodici.Agent;
const stats: Record<string, { connected: number | boolean; size: number }> = agent.stats;
void [dispatchers, reason, text, json, same, stats];

// @ts-expect-error a number of connections is a number
new Agent({ connections: 'ten' });
// @ts-expect-error options of an origin are checked too
new Agent({ origins: { 'https://a': { connections: 'ten' } } });
// @ts-expect-error an agent's option is not an option of an origin
new Agent({ origins: { 'https://a': { maxOrigins: 1 } } });
// @ts-expect-error a list of ciphers is text
new Agent({ connect: { ciphers: 1 } });

// Everything that undici declares for `connect`.
new Client('https://localhost', {
  connect: {
    ALPNProtocols: ['http/1.1'],
    host: 'localhost',
    ciphers: 'AES128-SHA',
    minVersion: 'TLSv1.1',
    lookup: (hostname, _options, callback) => callback(null, hostname, 4),
  },
});
void new Client('http://localhost').connect({ path: 'a.example:443' });
void new Pool('http://localhost').connect({ path: 'a.example:443' });

// Options are undici's, in both directions; instances of ours are instances of undici's.
type Same<Ours, Theirs> = [Ours] extends [Theirs]
  ? [Theirs] extends [Ours]
    ? true
    : false
  : false;
const sameOptions: [
  Same<Client.Options, Undici.Client.Options>,
  Same<Pool.Options, Undici.Pool.Options>,
  Same<Agent.Options, Undici.Agent.Options>,
  Same<H2CClient.Options, Undici.H2CClient.Options>,
  Same<BalancedPool.Options, Undici.Pool.Options>,
  Same<RoundRobinPool.Options, Undici.RoundRobinPool.Options>,
  Same<ProxyAgent.Options, Undici.ProxyAgent.Options>,
  Same<EnvHttpProxyAgent.Options, Undici.EnvHttpProxyAgent.Options>,
  Same<Socks5ProxyAgent.Options, Undici.Socks5ProxyAgent.Options>,
  Same<Dispatcher.DispatchHandler, Undici.Dispatcher.DispatchHandler>,
  Same<Dispatcher.DispatchOptions, Undici.Dispatcher.DispatchOptions>,
  Same<Client.SocketInfo, Undici.Client.SocketInfo>,
  Same<Client.WebSocketOptions, Undici.Client.WebSocketOptions>,
  Same<Pool.PoolStats, Undici.Pool.PoolStats>,
  Same<RoundRobinPool.RoundRobinPoolStats, Undici.RoundRobinPool.RoundRobinPoolStats>,
] = [true, true, true, true, true, true, true, true, true, true, true, true, true, true, true];
type IsA<Ours, Theirs> = [Ours] extends [Theirs] ? true : false;
const instances: [
  IsA<Client, Undici.Client>,
  IsA<Pool, Undici.Pool>,
  IsA<Agent, Undici.Agent>,
  IsA<H2CClient, Undici.H2CClient>,
  IsA<BalancedPool, Undici.BalancedPool>,
  IsA<RoundRobinPool, Undici.RoundRobinPool>,
  IsA<ProxyAgent, Undici.ProxyAgent>,
  IsA<EnvHttpProxyAgent, Undici.EnvHttpProxyAgent>,
  IsA<Socks5ProxyAgent, Undici.Socks5ProxyAgent>,
  IsA<RetryAgent, Undici.RetryAgent>,
] = [true, true, true, true, true, true, true, true, true, true];
const undiciOptions: Undici.Agent.Options = { connections: 1, connect: { timeout: 1 } };
new Agent(undiciOptions);
void [sameOptions, instances];

// Methods of a union can be called, as with undici's classes.
declare const either: EnvHttpProxyAgent | Agent | BalancedPool | RetryAgent | Undici.Agent;
void either.request({ origin: 'http://localhost', path: '/', method: 'GET' });
void either.stream({ origin: 'http://localhost', path: '/', method: 'GET' }, () => process.stdout);
either.dispatch({ path: '/', method: 'GET' }, {});

// Who serves an origin.
const served: 'dodici' | 'undici' | undefined = agent.servedBy['http://localhost']?.by;
void served;
declare const proxied: ProxyAgent | Socks5ProxyAgent;
void (proxied.servedBy.origins['http://localhost']?.by satisfies typeof served);

// What undici does not have, of every class.
new Agent({
  maxConnections: 1,
  totalTimeout: 1,
  minBodyRate: 1,
  dns: { ttl: 1, staleTtl: 1, negativeTtl: 1, maxEntries: 1 },
  connect: { allow: (address: string, host: string) => address === host },
  origins: {
    'a.test': { totalTimeout: null, minBodyRate: 0, dns: null, connect: { allow: 'public' } },
    // @ts-expect-error of agents only
    'b.test': { maxConnections: 1 },
  },
});
// @ts-expect-error a list or a function
new Agent({ connect: { allow: true } });
// @ts-expect-error neither a function nor a boolean
new Agent({ dns: () => ({ ttl: 1 }) });
void request('http://localhost', { totalTimeout: 1, minBodyRate: 1 });
const ofProxy: ProxyAgent.Options = { uri: '', totalTimeout: 1, minBodyRate: 1, dns: { ttl: 1 } };
const ofSocks: Socks5ProxyAgent.Options = { dns: {}, maxIdleConnections: 1 };
void [ofProxy, ofSocks];
declare const opening: EnvHttpProxyAgent | Agent | ProxyAgent | Socks5ProxyAgent | RetryAgent;
void opening.preconnect('http://localhost', 2).then((ready: number) => ready);
declare const ofOne: BalancedPool | RoundRobinPool | Pool;
void ofOne.preconnect(2);
void opening.connections();

// Options of requests.
new Agent({ decompress: true, origins: { '*': { decompress: { maxSize: 1e6 } } } });
void request('http://localhost', { decompress: { maxSize: 1e6 }, method: 'PUT' });
void agent.request({ origin: 'http://localhost', path: '/', method: 'GET', decompress: true });
// @ts-expect-error neither a boolean nor an object
void request('http://localhost', { decompress: 'gzip' });
// @ts-expect-error a size is a number
new Pool('http://localhost', { decompress: { maxSize: '1' } });

// Timings: of a request, of a controller, of a message.
new Agent({ timings: true, origins: { 'http://localhost': { timings: false } } });
const showTimings = ({ start, firstByte, isNew, connection }: RequestTimings): void => {
  const waited: number | null = firstByte && firstByte - start;
  const tls: number | undefined = connection?.timings.tls;
  void [waited, tls, isNew, connection?.id];
};
void request('http://localhost', { timings: showTimings });
void agent.request({ origin: 'http://localhost', path: '/', method: 'GET', timings: true });
agent.dispatch(
  { origin: 'http://localhost', path: '/', method: 'GET', timings: true },
  {
    onRequestStart() {},
    onResponseStart() {},
    onResponseData() {},
    onResponseEnd: (controller: Dispatcher.DispatchController) => {
      const { timings } = controller as TimedController;
      if (timings !== null) showTimings(timings);
    },
    onResponseError() {},
  },
);
const onMessage = ({ timings, statusCode, error }: TimingsMessage): void => {
  showTimings(timings);
  void [statusCode, error?.message];
};
void onMessage;
// @ts-expect-error a function or a boolean
void request('http://localhost', { timings: 'all' });
// @ts-expect-error a function is for one request
new Pool('http://localhost', { timings: showTimings });
