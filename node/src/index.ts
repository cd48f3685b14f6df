/**
 * The package's exports: undici's names, with ours in the place of those that dodici serves, and
 * `counters` and the classes of errors that undici does not have.
 *
 * What lives here: our names, and no logic. `index.mjs`, which the build writes, lists the same
 * names for ESM.
 */

export {
  connect,
  counters,
  type Counters,
  fetch,
  install,
  type Installation,
  type InstallOptions,
  pipeline,
  request,
  stream,
  upgrade,
} from './api';
export {
  Agent,
  type AgentStats,
  BalancedPool,
  Client,
  type ClientStats,
  getGlobalDispatcher,
  H2CClient,
  type OptionsForOrigin,
  Pool,
  type PoolStats,
  RetryAgent,
  RoundRobinPool,
  setGlobalDispatcher,
} from './dispatchers';
export { EnvHttpProxyAgent, ProxyAgent, Socks5ProxyAgent } from './proxies';

export * from './undici/exports';

export { BodyRateError, TotalTimeoutError } from './connection';
export { AddressNotAllowedError, clearDnsCache, isPublicAddress } from './options';

export type { PeerReason, ServedBy, ServedByAll } from './undici';
export type {
  CloseReason,
  ConnectInfo,
  ConnectionStatus,
  ConnectListener,
  ConnectTimings,
  ConnectionErrorListener,
  DisconnectInfo,
  DisconnectListener,
  DrainListener,
  Phase,
  ProxyAnswer,
  TlsInfo,
} from './connection';
export type { OwnRequestOptions, RequestTimings, TimedController, TimingsMessage } from './request';
export type {
  AddressList,
  AgentOptions,
  ClientOptions,
  ConnectOptions,
  DecompressOption,
  DnsOptions,
  OriginOptions,
  PemSource,
  PoolOptions,
} from './options';

/** All of it, for `import dodici from 'dodici'`; undici's default export is the like. */
const dodici: typeof import('./index') = module.exports as typeof import('./index');
export default dodici;
