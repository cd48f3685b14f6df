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
import { Field, fieldReader } from '../wire';
import {
  type CloseReason,
  closeReasonError,
  closeReasonOf,
  decodeError,
  socketInfo,
} from './errors';

/**
 * How long each leg of connecting took, in milliseconds; absent for a leg that did not happen. Each begins
 * when the one before it has ended, in the order of the fields.
 */
export interface ConnectTimings {
  /** When the first leg began, by `performance.now()`. */
  start: number;
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
  /** Whether the server's certificate was verified: not with `rejectUnauthorized: false`. */
  authorized: boolean;
  /** The server's certificate, DER. */
  certificate?: Buffer;
}

/** The response of a proxy that opened a tunnel. */
export interface ProxyAnswer {
  statusCode: number;
  /** Alternating names and values, as received. */
  rawHeaders: string[];
}

/** Details of a new connection: the third argument of `connect` listeners. */
export interface ConnectInfo {
  /** Names the connection, here, in its `disconnect` and in `connections()`. */
  id: string;
  protocol: 'h1' | 'h2' | 'h3';
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

/** Summary of a connection that ended: the fourth argument of `disconnect` listeners. */
export interface DisconnectInfo {
  /** As in its `connect`. */
  id: string;
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

const readPlace = fieldReader({
  id: [Field.Conn, 'text'],
  protocol: [Field.Protocol, 'text'],
  localAddress: [Field.LocalAddress, 'text'],
  localPort: [Field.LocalPort, 'uint32'],
  remoteAddress: [Field.RemoteAddress, 'text'],
  remotePort: [Field.RemotePort, 'uint32'],
  path: [Field.Path, 'text'],
});

const readTls = fieldReader({
  version: [Field.TlsVersion, 'text'],
  cipher: [Field.Cipher, 'text'],
  alpn: [Field.AlpnProtocol, 'text'],
  resumed: [Field.Resumed, 'uint32'],
  servername: [Field.ServerName, 'text'],
  authorized: [Field.Authorized, 'uint32'],
  certificate: [Field.Certificate, 'bytes'],
});

const readProxy = fieldReader({
  statusCode: [Field.ProxyStatus, 'uint32'],
  /** `name LF value LF` repeated. */
  fields: [Field.ProxyHeaders, 'latin1'],
});

const readTimings = fieldReader({
  start: [Field.Started, 'float64'],
  dns: [Field.DnsTime, 'float64'],
  tcp: [Field.TcpTime, 'float64'],
  proxy: [Field.ProxyTime, 'float64'],
  tls: [Field.TlsTime, 'float64'],
  total: [Field.TotalTime, 'float64'],
});

type Payload = [buffer: Buffer, start: number, end: number];

/** What the engine reports of a connection; `start` refers to the epoch. */
type Reported = Omit<ConnectInfo, 'id' | 'timings'> & {
  /** As the pool names the connection. */
  id?: string;
  timings: Omit<ConnectTimings, 'start'> & Partial<ConnectTimings>;
};

/** The details in a `Connected` payload. */
export function decodeConnected(...payload: Payload): Reported {
  const { protocol, ...place } = readPlace(...payload);
  const { version, cipher = '', resumed, authorized, ...tls } = readTls(...payload);
  const { statusCode, fields = '' } = readProxy(...payload);
  const info: Reported = {
    protocol: protocol === 'h2' || protocol === 'h3' ? protocol : 'h1',
    ...place,
    timings: { total: 0, ...readTimings(...payload) },
  };
  if (version) {
    info.tls = { version, cipher, resumed: resumed === 1, authorized: authorized === 1, ...tls };
  }
  if (statusCode) info.proxy = { statusCode, rawHeaders: fields.split('\n').slice(0, -1) };
  return info;
}

const readEnd = fieldReader({
  reason: [Field.Reason, 'uint32'],
  bytesRead: [Field.BytesRead, 'float64'],
  bytesWritten: [Field.BytesWritten, 'float64'],
  requests: [Field.Requests, 'float64'],
  age: [Field.Age, 'float64'],
  causes: [Field.Cause, 'payloads'],
});

/**
 * The details in a `Disconnected` payload, and the listener's error. `connected`: details of its
 * `connect`, for the addresses in a `SocketError`. `destroyError`: what the user gave to `destroy()`.
 */
export function decodeDisconnected(
  buffer: Buffer,
  start: number,
  end: number,
  { connected, destroyError }: { connected?: Reported; destroyError?: Error | null } = {},
): { readonly info: DisconnectInfo; readonly error: Error } {
  const { reason = 0, causes: [cause] = [], ...figures } = readEnd(buffer, start, end);
  const none = { bytesRead: 0, bytesWritten: 0, requests: 0, age: 0 };
  const info = {
    id: connected?.id as string,
    reason: closeReasonOf(reason),
    ...none,
    ...figures,
  };
  const error = cause && decodeError(cause, 0, cause.length);
  const socket = socketInfo(connected ?? {}, info.bytesWritten, info.bytesRead);
  return { info, error: closeReasonError(reason, { error, destroyError, socket }) };
}

/** What a connection is doing: an entry of `dispatcher.connections()`. */
export interface ConnectionStatus {
  /** As in its `connect`. */
  id: string;
  /** The dispatcher's: of a forwarding proxy, the proxy's. */
  origin: string;
  /**
   * `idle`: nothing is on it; `active`: requests or streams are; `draining`: it closes after those it
   * has; `upgraded`: it is a byte stream, which belongs to its user.
   */
  activity: 'connecting' | 'idle' | 'active' | 'draining' | 'closing' | 'upgraded';
  /** Absent while it is being opened, like addresses and ports. */
  protocol?: 'h1' | 'h2' | 'h3';
  localAddress?: string;
  localPort?: number;
  remoteAddress?: string;
  remotePort?: number;
  /** Milliseconds since its `connect`; of one that is being opened, since the attempt began. */
  age: number;
  /** Milliseconds since it is idle. */
  idle?: number;
  /** Responses received. */
  requests: number;
  /** Requests or streams on it. */
  open: number;
  /** Bytes received and sent, excluding TLS overhead. */
  bytesRead: number;
  bytesWritten: number;
}

const readAnswer = fieldReader({
  ready: [Field.Ready, 'uint32'],
  statuses: [Field.Status, 'payloads'],
});

const readStatus = fieldReader({
  activity: [Field.Activity, 'text'],
  age: [Field.Age, 'float64'],
  idle: [Field.Idle, 'float64'],
  requests: [Field.Requests, 'float64'],
  open: [Field.Open, 'uint32'],
  bytesRead: [Field.BytesRead, 'float64'],
  bytesWritten: [Field.BytesWritten, 'float64'],
});

/** How many connections are ready, in an `Answer` payload. */
export function decodeReady(...payload: Payload): number {
  return readAnswer(...payload).ready ?? 0;
}

/** What connections to an origin are doing, in an `Answer` payload; ids as in `decodeConnected`. */
export function decodeStatuses(origin: string, ...payload: Payload): ConnectionStatus[] {
  const { statuses = [] } = readAnswer(...payload);
  return statuses.map((status) => {
    const place = readPlace(status, 0, status.length);
    const none = { age: 0, requests: 0, open: 0, bytesRead: 0, bytesWritten: 0 };
    const values = { ...none, ...place, ...readStatus(status, 0, status.length) };
    return { origin, ...values } as ConnectionStatus;
  });
}
