/**
 * The engine's errors as the errors that undici and Node would have raised.
 *
 * What lives here: the decoder of error payloads, and the only table in TypeScript that maps
 * `ErrorCode` and `WireCloseReason` to classes, codes and messages. The session calls it. It must
 * not know requests or pools. (The table in Rust is `crates/dodici-wire/src/errors.rs`.)
 */

import { isIPv6 } from 'node:net';
import { lookupError } from '../options';
import { errors } from '../undici';
import { ErrorCode, Field, type TaggedFields, taggedFields, WireCloseReason } from '../wire';

/** State of a socket when it failed: what undici puts on `SocketError.socket`. */
export interface SocketInfo {
  localAddress: string | undefined;
  localPort: number | undefined;
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  remoteFamily: 'IPv4' | 'IPv6' | undefined;
  timeout: number | undefined;
  bytesWritten: number | undefined;
  bytesRead: number | undefined;
}

/** The system code of a failure whose error is stored in `lookups.ts` under the failure's errno. */
const KEPT_ERROR = 'DODICI_LOOKUP';

/** An error payload, field by field. */
interface ErrorFields {
  code: number;
  phase: string | undefined;
  message: string;
  systemCode: string | undefined;
  errno: number;
  syscall: string | undefined;
  address: string | undefined;
  port: number | undefined;
  hostname: string | undefined;
  localAddress: string | undefined;
  localPort: number | undefined;
  remoteAddress: string | undefined;
  remotePort: number | undefined;
  bytesWritten: number | undefined;
  bytesRead: number | undefined;
  attempts: ErrorFields[];
}

function readFields(fields: TaggedFields): ErrorFields {
  const out: ErrorFields = {
    code: 0,
    phase: undefined,
    message: '',
    systemCode: undefined,
    errno: 0,
    syscall: undefined,
    address: undefined,
    port: undefined,
    hostname: undefined,
    localAddress: undefined,
    localPort: undefined,
    remoteAddress: undefined,
    remotePort: undefined,
    bytesWritten: undefined,
    bytesRead: undefined,
    attempts: [],
  };
  for (const field of fields) {
    switch (field.tag) {
      case Field.Code:
        out.code = fields.uint32(field);
        break;
      case Field.Phase:
        out.phase = fields.text(field);
        break;
      case Field.Message:
        out.message = fields.text(field);
        break;
      case Field.SystemCode:
        out.systemCode = fields.text(field);
        break;
      case Field.Errno:
        out.errno = fields.int32(field);
        break;
      case Field.Syscall:
        out.syscall = fields.text(field);
        break;
      case Field.Address:
        out.address = fields.text(field);
        break;
      case Field.Port:
        out.port = fields.uint32(field);
        break;
      case Field.Hostname:
        out.hostname = fields.text(field);
        break;
      case Field.LocalAddress:
        out.localAddress = fields.text(field);
        break;
      case Field.LocalPort:
        out.localPort = fields.uint32(field);
        break;
      case Field.RemoteAddress:
        out.remoteAddress = fields.text(field);
        break;
      case Field.RemotePort:
        out.remotePort = fields.uint32(field);
        break;
      case Field.BytesWritten:
        out.bytesWritten = fields.float64(field);
        break;
      case Field.BytesRead:
        out.bytesRead = fields.float64(field);
        break;
      case Field.Attempt:
        out.attempts.push(readFields(fields.nested(field)));
        break;
      default: // A field that this version does not know adds detail only.
    }
  }
  return out;
}

function socketInfo(fields: ErrorFields): SocketInfo {
  const { remoteAddress } = fields;
  return {
    localAddress: fields.localAddress,
    localPort: fields.localPort,
    remoteAddress,
    remotePort: fields.remotePort,
    remoteFamily: remoteAddress === undefined ? undefined : isIPv6(remoteAddress) ? 'IPv6' : 'IPv4',
    timeout: undefined,
    bytesWritten: fields.bytesWritten,
    bytesRead: fields.bytesRead,
  };
}

/** Node's message: `connect ECONNREFUSED 127.0.0.1:1`, `getaddrinfo ENOTFOUND example.invalid`. */
function systemMessage(fields: ErrorFields): string {
  const { syscall, systemCode, address, port, hostname } = fields;
  if (!syscall || !systemCode) return fields.message;
  let place = hostname ?? '';
  if (address !== undefined) place = port === undefined ? address : `${address}:${port}`;
  return place === '' ? `${syscall} ${systemCode}` : `${syscall} ${systemCode} ${place}`;
}

/** Node's message about a certificate for other names. */
const ALTNAME = /^[^:]*altnames: ((?:Host: (.*)\. is|IP: (\S*) is) not in .*)$/s;

/** Node's properties of that error. The certificate itself, `cert`, is not available. */
function altnameDetail(message: string): Record<string, unknown> {
  const [, reason, name, address] = ALTNAME.exec(message) ?? [];
  return reason === undefined ? {} : { reason, host: name ?? address };
}

/** An error as raised by Node's `net`, `dns` and `tls`: a plain Error with own properties. */
function systemError(fields: ErrorFields): Error {
  if (fields.attempts.length > 1) {
    const attempts = fields.attempts.map(systemError);
    // Node gives no message here; the code is the first attempt's.
    const code = fields.attempts[0]?.systemCode ?? fields.systemCode;
    return Object.assign(new AggregateError(attempts), { code });
  }
  const [only] = fields.attempts;
  if (only !== undefined) return systemError(only);

  const detail: Record<string, unknown> = {};
  if (fields.errno !== 0) detail['errno'] = fields.errno;
  if (fields.systemCode) detail['code'] = fields.systemCode;
  if (fields.syscall) detail['syscall'] = fields.syscall;
  if (fields.address !== undefined) detail['address'] = fields.address;
  if (fields.port !== undefined) detail['port'] = fields.port;
  if (fields.hostname !== undefined) detail['hostname'] = fields.hostname;
  if (fields.systemCode === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    Object.assign(detail, altnameDetail(fields.message));
  }
  return Object.assign(new Error(systemMessage(fields)), detail);
}

/** The peer declares `HTTPParserError` and `SocketError` without their arguments. */
const HTTPParserError = errors.HTTPParserError as unknown as new (
  message: string,
  code?: string,
  data?: string,
) => Error;
const SocketError = errors.SocketError as unknown as new (
  message: string,
  socket?: SocketInfo,
) => Error;

/** Proxy error classes, which the peer does not declare, or not with their arguments. */
const { SecureProxyConnectionError, ProxyConnectionError, Socks5ProxyError } =
  errors as unknown as {
    SecureProxyConnectionError: new (cause: Error) => Error;
    ProxyConnectionError?: new (cause: Error) => Error;
    Socks5ProxyError: new (message: string, code?: string) => Error;
  };

/** The cause of a proxy failure. */
function causeOf(fields: ErrorFields): Error {
  const [cause] = fields.attempts;
  return cause === undefined ? new SocketError('other side closed') : toError(cause);
}

/** The class prefixes the code with `HPE_` itself. */
function parserError(fields: ErrorFields): Error {
  return new HTTPParserError(fields.message, fields.systemCode?.replace(/^HPE_/, ''));
}

function socketError(fields: ErrorFields): Error {
  // undici passes on Node's own error for a failed read or write.
  return fields.systemCode
    ? systemError(fields)
    : new SocketError(fields.message, socketInfo(fields));
}

/** undici's timeouts have longer messages over HTTP/2; otherwise the class's default. */
function http2Text(message: string): string | undefined {
  return message.startsWith('HTTP/2: ') ? message : undefined;
}

/** undici's messages: of the class for received bytes, of the interceptor for decoded bytes. */
function decompressedText(message: string): string | undefined {
  return message.startsWith('Decompressed ') ? message : undefined;
}

/** An error of Node's zlib. undici's own, for too many codings, has neither `errno` nor `code`. */
function codingError({ message, errno, systemCode }: ErrorFields): Error {
  const error = new Error(message);
  return systemCode ? Object.assign(error, { errno, code: systemCode }) : error;
}

/** Error codes of RFC 9113, section 7. */
const NO_ERROR = 0;
const CANCEL = 8;

/**
 * A reset stream, as `node:http2` reports it and undici passes it on: two of the codes are not errors
 * to Node, which then reports only the stream's end.
 */
function streamError(fields: ErrorFields): Error {
  if (fields.errno === NO_ERROR) {
    return new errors.InformationalError('HTTP/2: stream half-closed (remote)');
  }
  if (fields.errno === CANCEL) {
    return new errors.InformationalError('HTTP/2: stream closed before the response was complete');
  }
  return Object.assign(new Error(fields.message), {
    code: 'ERR_HTTP2_STREAM_ERROR',
    http2ErrorCode: fields.errno,
  });
}

/** Where undici uses its class's default message, so do we: users compare these messages. */
function toError(fields: ErrorFields): Error {
  switch (fields.code) {
    case ErrorCode.InvalidArgument:
      return new errors.InvalidArgumentError(fields.message);
    case ErrorCode.RequestContentLengthMismatch:
      return new errors.RequestContentLengthMismatchError();
    case ErrorCode.Aborted:
      return new errors.RequestAbortedError();
    case ErrorCode.Destroyed:
      return new errors.ClientDestroyedError();
    case ErrorCode.Closed:
      return new errors.ClientClosedError();
    case ErrorCode.ConnectTimeout: {
      const error = new errors.ConnectTimeoutError(fields.message);
      if (fields.attempts.length > 0) error.cause = systemError(fields);
      return error;
    }
    case ErrorCode.System:
      return (
        (fields.systemCode === KEPT_ERROR ? lookupError(fields.errno) : undefined) ??
        systemError(fields)
      );
    case ErrorCode.HeadersTimeout:
      return new errors.HeadersTimeoutError(http2Text(fields.message));
    case ErrorCode.BodyTimeout:
      return new errors.BodyTimeoutError(http2Text(fields.message));
    case ErrorCode.HeadersOverflow:
      return new errors.HeadersOverflowError();
    case ErrorCode.ResponseContentLengthMismatch:
      return new errors.ResponseContentLengthMismatchError();
    case ErrorCode.ResponseExceededMaxSize:
      return new errors.ResponseExceededMaxSizeError(decompressedText(fields.message));
    case ErrorCode.ContentCoding:
      return codingError(fields);
    case ErrorCode.Parse:
      return parserError(fields);
    case ErrorCode.Socket:
      return socketError(fields);
    case ErrorCode.StreamReset:
      return streamError(fields);
    case ErrorCode.Unserved: {
      const error = new errors.InformationalError(fields.message);
      // Rejected by node:http2 in undici, with its error as the cause.
      if (fields.systemCode) error.cause = systemError(fields);
      return error;
    }
    case ErrorCode.ProxyRefused:
      return new errors.RequestAbortedError(fields.message);
    case ErrorCode.ProxyTls:
      return new SecureProxyConnectionError(causeOf(fields));
    case ErrorCode.ProxyConnection:
      // undici 7 has no such class: there users see the failure itself.
      return ProxyConnectionError === undefined
        ? causeOf(fields)
        : new ProxyConnectionError(causeOf(fields));
    case ErrorCode.Socks:
      return new Socks5ProxyError(fields.message, fields.systemCode);
    case ErrorCode.RequestBody:
    case ErrorCode.Internal:
    default:
      return new errors.InformationalError(fields.message);
  }
}

/**
 * The error in an error payload.
 *
 * `phase` ("connect", "headers", …: the step that failed) becomes a non-enumerable property, so that
 * deep comparisons with undici's errors still hold.
 */
export function decodeError(buffer: Uint8Array, start: number, end: number): Error {
  const fields = readFields(taggedFields(buffer, start, end));
  const error = toError(fields);
  if (fields.phase !== undefined) {
    Object.defineProperty(error, 'phase', {
      value: fields.phase,
      configurable: true,
      writable: true,
    });
  }
  return error;
}

/** Whether another attempt is likely to succeed: the peer closed the connection while it was opened. */
export function isTransient(error: Error): boolean {
  const { code } = error as { code?: string };
  return code === 'UND_ERR_SOCKET' || code === 'UND_ERR_INFO';
}

/** Whether the server has no TLS in common with the engine, and has not shown a certificate. */
export function isHelloRefused(error: Error): boolean {
  return (error as { phase?: string }).phase === 'tls hello';
}

/** Adds a sentence to the error's message. */
export function addSentence(error: Error, sentence: string): void {
  const { message, stack } = error;
  if (message.endsWith(sentence)) return;
  error.message = `${message}. ${sentence}`;
  if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
}

/** Additional details of a connection that ended. */
export interface CloseContext {
  /** The error that ended it, if there was one. */
  readonly error?: Error | undefined;
  /** What the user gave to `destroy()`. */
  readonly destroyError?: Error | null | undefined;
  /** The socket's state, for `SocketError`. */
  readonly socket?: SocketInfo | undefined;
}

/** The error of a `disconnect` event: why the connection ended, with undici's messages. */
export function closeReasonError(reason: number, context: CloseContext = {}): Error {
  const { error, destroyError, socket } = context;
  switch (reason) {
    case WireCloseReason.IdleTimeout:
      return new errors.InformationalError('socket idle timeout');
    case WireCloseReason.Expired:
      return new errors.InformationalError('client ttl');
    case WireCloseReason.MaxRequests:
    case WireCloseReason.NotReusable:
      return error ?? new errors.InformationalError('reset');
    case WireCloseReason.PeerClosed:
      return error ?? new SocketError('other side closed', socket);
    case WireCloseReason.UnsolicitedData:
      return error ?? new SocketError('bad response', socket);
    case WireCloseReason.ProtocolError:
    case WireCloseReason.IoError:
    case WireCloseReason.Timeout:
      return error ?? new SocketError('closed', socket);
    case WireCloseReason.Aborted:
      return new errors.InformationalError('aborted');
    case WireCloseReason.Upgraded:
      return new errors.InformationalError('upgrade');
    case WireCloseReason.PoolClosed:
      return new errors.ClientDestroyedError();
    case WireCloseReason.PoolDestroyed:
      return destroyError ?? new errors.ClientDestroyedError();
    default:
      return error ?? new errors.InformationalError('connection failed inside dodici');
  }
}
