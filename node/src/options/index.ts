/**
 * Options: from what users pass to what the engine gets.
 *
 * What lives here: parsing and validation, origin patterns, merging with process settings, and the
 * option list of a pool. It must not know dispatchers or requests.
 */

export { unblockedProxyTls } from './addresses';
export {
  AddressNotAllowedError,
  type AllowRule,
  checkLiteral,
  isPublicAddress,
  readAllow,
} from './allow';
export type { ConnectSettings } from './connect-options';
export {
  type Decompression,
  decompressOption,
  dispatchToPeer,
  NO_LIMIT,
  NOT_DECODED,
  readDecompress,
} from './decompress';
export { clearDnsCache } from './dns-options';
export { POOL_OPTIONS } from './generated';
export { bareHostname, sameName } from './host';
export { lookupError, type LookupResult, Lookups } from './lookups';
export { encodeSettings } from './option-writer';
export {
  type CheckedOptions,
  checkOptions,
  ownDefaults,
  parseSettings,
  peerOptions,
  type PoolSettings,
  readConnect,
  readLimit,
  refuseAgentOptions,
  type SettingsKind,
  throughJson,
  tlsWays,
  wantsH2c,
} from './options';
export {
  checkOriginOptions,
  findRule,
  isRecord,
  mergeOptions,
  type OriginRule,
  parseOrigins,
  refuseOrigins,
} from './origins';
export { ownOptions, spread, unpolluted } from './own-options';
export { isUrl, parseOrigin } from './parse-origin';
export { ProcessSettings, settle, trustsDefaultRoots, warnIfUnverified } from './process-settings';
export { type ProxySettings, throughProxy } from './proxy-settings';
export { type SharedLimit, underLimit } from './shared-limit';
export type * from './types';
