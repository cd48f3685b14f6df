/**
 * Connections as seen from JavaScript.
 *
 * What lives here: their details and events, the engine's errors, and streams of upgraded connections.
 * It must not know who sends requests over them.
 */

export { Connection, type ConnectionHost } from './connection';
export {
  addSentence,
  BodyRateError,
  type CloseReason,
  decodeError,
  isConnectError,
  isHelloRefused,
  isTransient,
  type Phase,
  TotalTimeoutError,
  withPhase,
} from './errors';
export {
  type ConnectInfo,
  type ConnectionStatus,
  type ConnectionErrorListener,
  type ConnectListener,
  type ConnectTimings,
  decodeConnected,
  decodeDisconnected,
  decodeReady,
  decodeStatuses,
  type DisconnectInfo,
  type DisconnectListener,
  type DrainListener,
  type ProxyAnswer,
  type TlsInfo,
} from './events';
export { UpgradedSocket } from './upgrade';
