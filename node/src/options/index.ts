/**
 * Options: from what users hand over to what the engine is told.
 *
 * What lives here: parsing and validation, origins and their patterns, the merge with what the process
 * says, and the record of a pool's options. It must not know dispatchers or requests.
 */

export { type ConnectSettings, readConnectOptions } from './connect-options';
export {
  type Decompression,
  decompressOption,
  dispatchToPeer,
  NO_LIMIT,
  NOT_DECODED,
  readDecompress,
} from './decompress';
export { POOL_OPTIONS } from './generated';
export { bareHostname, sameName } from './host';
export { lookupError, Lookups } from './lookups';
export { encodeCredentials, encodeSettings } from './option-writer';
export {
  checkOptions,
  parseSettings,
  type PoolSettings,
  type SettingsKind,
  tlsWays,
  wantsH2c,
} from './options';
export {
  checkOriginOptions,
  findRule,
  mergeOptions,
  type OriginRule,
  parseOrigins,
} from './origins';
export { ownOptions, spread, unpolluted } from './own-options';
export { isUrl, parseOrigin } from './parse-origin';
export { ProcessSettings, settle, trustsDefaultRoots, warnIfUnverified } from './process-settings';
export { type ProxySettings, throughProxy } from './proxy-settings';
export type * from './types';
