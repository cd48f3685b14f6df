/**
 * Arguments of a dispatcher's events: details of connects and disconnects.
 *
 * What lives here: the types of the last argument of `connect` and `disconnect` listeners, and their
 * decoders. The session calls the decoders. It must not know the listeners.
 *
 * undici's listeners get `(origin, targets)` on `connect`, `(origin, targets, error)` on
 * `disconnect` and `connectionError`; the details follow these, so that a listener written for undici
 * sees no difference.
 */

import type { Dispatcher, errors } from '../undici';
import { Field, taggedFields, WireCloseReason } from '../wire';
import { closeReasonError, decodeError, type SocketInfo } from './errors';

/** How long each leg of connecting took, in milliseconds; absent for a leg that did not happen. */
export interface ConnectTimings {
  /** Name resolution. */
  dns?: number;
  /** Socket connect, from the first attempt to the one that won. */
  tcp?: number;
  /** Negotiating with the proxy, including TLS to it. */
  proxy?: number;
  /** TLS handshake with the origin. */
  tls?: number;
  /** All legs together. */
  total: number;
}

/** What TLS negotiated. */
export interface TlsInfo {
  /** `TLSv1.2` or `TLSv1.3`. */
  version: string;
  /** IANA name of the cipher suite. */
  cipher: string;
  /** The ALPN protocol chosen by the server, if any. */
  alpn?: string;
  /** Whether an earlier session was resumed. */
  resumed: boolean;
  /** The name sent in SNI, if any. */
  servername?: string;
}

/** The response of a proxy that opened a tunnel. */
export interface ProxyAnswer {
  statusCode: number;
  /** Alternating names and values, as received. */
  rawHeaders: string[];
}

/** Details of a new connection: the third argument of `connect` listeners. */
export interface ConnectInfo {
  protocol: 'h1' | 'h2';
  /** Absent for a Unix socket, like the next three. */
  localAddress?: string;
  localPort?: number;
  remoteAddress?: string;
  remotePort?: number;
  /** Path of the Unix socket, if it is one. */
  path?: string;
  /** TLS with the origin; absent without TLS. */
  tls?: TlsInfo;
  /** A proxy's response to `CONNECT`; absent without a tunnel. */
  proxy?: ProxyAnswer;
  timings: ConnectTimings;
}

/** Why a connection ended, in one or two words. */
export type CloseReason =
  | 'idle timeout'
  | 'expired'
  | 'max requests'
  | 'not reusable'
  | 'peer closed'
  | 'unsolicited data'
  | 'protocol error'
  | 'i/o error'
  | 'timeout'
  | 'aborted'
  | 'upgraded'
  | 'pool closed'
  | 'pool destroyed'
  | 'panicked';

/** Summary of a connection that ended: the fourth argument of `disconnect` listeners. */
export interface DisconnectInfo {
  reason: CloseReason;
  /** Bytes received and sent, excluding TLS overhead. */
  bytesRead: number;
  bytesWritten: number;
  /** Responses received. */
  requests: number;
  /** Milliseconds since its `connect`. */
  age: number;
}

/** Listeners of `connect`. */
export type ConnectListener = (
  origin: URL,
  targets: readonly Dispatcher[],
  info: ConnectInfo | undefined,
) => void;

/**
 * Errors of events, as declared by undici. An error raised by Node is a plain Error with one of Node's
 * codes.
 */
type EventError = InstanceType<typeof errors.UndiciError>;

/** Listeners of `disconnect`. */
export type DisconnectListener = (
  origin: URL,
  targets: readonly Dispatcher[],
  error: EventError,
  info: DisconnectInfo | undefined,
) => void;

/** Listeners of `connectionError`. */
export type ConnectionErrorListener = (
  origin: URL,
  targets: readonly Dispatcher[],
  error: EventError,
) => void;

/** Listeners of `drain`. */
export type DrainListener = (origin: URL, targets: readonly Dispatcher[]) => void;

const CLOSE_REASONS: Readonly<Record<number, CloseReason>> = {
  [WireCloseReason.IdleTimeout]: 'idle timeout',
  [WireCloseReason.Expired]: 'expired',
  [WireCloseReason.MaxRequests]: 'max requests',
  [WireCloseReason.NotReusable]: 'not reusable',
  [WireCloseReason.PeerClosed]: 'peer closed',
  [WireCloseReason.UnsolicitedData]: 'unsolicited data',
  [WireCloseReason.ProtocolError]: 'protocol error',
  [WireCloseReason.IoError]: 'i/o error',
  [WireCloseReason.Timeout]: 'timeout',
  [WireCloseReason.Aborted]: 'aborted',
  [WireCloseReason.Upgraded]: 'upgraded',
  [WireCloseReason.PoolClosed]: 'pool closed',
  [WireCloseReason.PoolDestroyed]: 'pool destroyed',
  [WireCloseReason.Panicked]: 'panicked',
};

/** The details in a `Connected` payload. */
export function decodeConnected(buffer: Uint8Array, start: number, end: number): ConnectInfo {
  const fields = taggedFields(buffer, start, end);
  const info: ConnectInfo = { protocol: 'h1', timings: { total: 0 } };
  const tls: TlsInfo = { version: '', cipher: '', resumed: false };
  for (const field of fields) {
    switch (field.tag) {
      case Field.Protocol:
        info.protocol = fields.text(field) === 'h2' ? 'h2' : 'h1';
        break;
      case Field.LocalAddress:
        info.localAddress = fields.text(field);
        break;
      case Field.LocalPort:
        info.localPort = fields.uint32(field);
        break;
      case Field.RemoteAddress:
        info.remoteAddress = fields.text(field);
        break;
      case Field.RemotePort:
        info.remotePort = fields.uint32(field);
        break;
      case Field.Path:
        info.path = fields.text(field);
        break;
      case Field.TlsVersion:
        tls.version = fields.text(field);
        break;
      case Field.Cipher:
        tls.cipher = fields.text(field);
        break;
      case Field.AlpnProtocol:
        tls.alpn = fields.text(field);
        break;
      case Field.Resumed:
        tls.resumed = fields.uint32(field) !== 0;
        break;
      case Field.ServerName:
        tls.servername = fields.text(field);
        break;
      case Field.ProxyStatus:
        info.proxy = { statusCode: fields.uint32(field), rawHeaders: [] };
        break;
      case Field.ProxyHeaders:
        if (info.proxy !== undefined) info.proxy.rawHeaders = fieldList(buffer, field);
        break;
      case Field.DnsTime:
        info.timings.dns = fields.float64(field);
        break;
      case Field.TcpTime:
        info.timings.tcp = fields.float64(field);
        break;
      case Field.ProxyTime:
        info.timings.proxy = fields.float64(field);
        break;
      case Field.TlsTime:
        info.timings.tls = fields.float64(field);
        break;
      case Field.TotalTime:
        info.timings.total = fields.float64(field);
        break;
      default: // A field that this version does not know adds detail only.
    }
  }
  if (tls.version !== '') info.tls = tls;
  return info;
}

/** `name LF value LF` repeated, latin1. */
function fieldList(buffer: Uint8Array, { start, end }: { start: number; end: number }): string[] {
  if (start === end) return [];
  const { buffer: bytes, byteOffset } = buffer;
  const text = Buffer.from(bytes, byteOffset + start, end - start).toString('latin1');
  return text.slice(0, -1).split('\n');
}

/** A decoded `Disconnected` payload: the listener's details and its error. */
export interface Disconnected {
  readonly info: DisconnectInfo;
  readonly error: Error;
}

/** What the caller knows about the connection and the payload does not contain. */
export interface DisconnectContext {
  /** Details of its `connect`, for the addresses in a `SocketError`. */
  readonly connected?: ConnectInfo | undefined;
  /** What the user gave to `destroy()`. */
  readonly destroyError?: Error | null | undefined;
}

/** The `socket` of a `SocketError`. */
export function socketInfo(
  connected: ConnectInfo | undefined,
  bytesRead: number,
  bytesWritten: number,
): SocketInfo {
  const { localAddress, localPort, remoteAddress, remotePort } = connected ?? {};
  const family = remoteAddress?.includes(':') ? 'IPv6' : 'IPv4';
  return {
    localAddress,
    localPort,
    remoteAddress,
    remotePort,
    remoteFamily: remoteAddress === undefined ? undefined : family,
    timeout: undefined,
    bytesWritten,
    bytesRead,
  };
}

/** The details and the error in a `Disconnected` payload. */
export function decodeDisconnected(
  buffer: Uint8Array,
  start: number,
  end: number,
  context: DisconnectContext = {},
): Disconnected {
  const fields = taggedFields(buffer, start, end);
  const info: DisconnectInfo = {
    reason: 'panicked',
    bytesRead: 0,
    bytesWritten: 0,
    requests: 0,
    age: 0,
  };
  let reason = 0;
  let error: Error | undefined;
  for (const field of fields) {
    switch (field.tag) {
      case Field.Reason:
        reason = fields.uint32(field);
        info.reason = CLOSE_REASONS[reason] ?? 'panicked';
        break;
      case Field.BytesRead:
        info.bytesRead = fields.float64(field);
        break;
      case Field.BytesWritten:
        info.bytesWritten = fields.float64(field);
        break;
      case Field.Requests:
        info.requests = fields.float64(field);
        break;
      case Field.Age:
        info.age = fields.float64(field);
        break;
      case Field.Cause:
        error = decodeError(buffer, field.start, field.end);
        break;
      default: // A field that this version does not know adds detail only.
    }
  }
  const { connected, destroyError } = context;
  const socket = socketInfo(connected, info.bytesRead, info.bytesWritten);
  return { info, error: closeReasonError(reason, { error, destroyError, socket }) };
}
