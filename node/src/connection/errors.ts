/**
 * The engine's errors as the errors that undici and Node would have raised.
 *
 * What lives here: the decoder of error payloads, and the only table in TypeScript that maps
 * `ErrorCode` and `WireCloseReason` to classes, codes and messages. The session calls it. It must
 * not know requests or pools. (The table in Rust is `crates/dodici-wire/src/errors.rs`.)
 */

import { AddressNotAllowedError, lookupError } from '../options';
import { certificateHint } from '../process';
import { errors } from '../undici';
import { ErrorCode, Field, fieldReader, WireCloseReason } from '../wire';

/** The system code of a failure whose error is stored in `lookups.ts` under the failure's errno. */
const KEPT_ERROR = 'DODICI_LOOKUP';

const readFields = fieldReader({
  code: [Field.Code, 'uint32'],
  phase: [Field.Phase, 'text'],
  message: [Field.Message, 'text'],
  systemCode: [Field.SystemCode, 'text'],
  errno: [Field.Errno, 'int32'],
  syscall: [Field.Syscall, 'text'],
  address: [Field.Address, 'text'],
  port: [Field.Port, 'uint32'],
  hostname: [Field.Hostname, 'text'],
  localAddress: [Field.LocalAddress, 'text'],
  localPort: [Field.LocalPort, 'uint32'],
  remoteAddress: [Field.RemoteAddress, 'text'],
  remotePort: [Field.RemotePort, 'uint32'],
  bytesWritten: [Field.BytesWritten, 'float64'],
  bytesRead: [Field.BytesRead, 'float64'],
  attempts: [Field.Attempt, 'payloads'],
});

/** An error payload, field by field. */
interface ErrorFields extends Omit<ReturnType<typeof readFields>, 'attempts'> {
  readonly code: number;
  readonly message: string;
  readonly errno: number;
  readonly attempts: readonly ErrorFields[];
}

function fieldsOf(buffer: Buffer, start: number, end: number): ErrorFields {
  const { attempts = [], ...fields } = readFields(buffer, start, end);
  const nested = attempts.map((attempt) => fieldsOf(attempt, 0, attempt.length));
  return { code: 0, message: '', errno: 0, ...fields, attempts: nested };
}

/** The ends of a socket. */
interface SocketPlace {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/** State of a socket when it failed: what undici puts on `SocketError.socket`. */
type SocketInfo = ReturnType<typeof socketInfo>;

export function socketInfo(place: SocketPlace, bytesWritten?: number, bytesRead?: number) {
  const { localAddress, localPort, remoteAddress, remotePort } = place;
  return {
    localAddress,
    localPort,
    remoteAddress,
    remotePort,
    remoteFamily: familyOf(remoteAddress),
    timeout: undefined,
    bytesWritten,
    bytesRead,
  };
}

export function familyOf(address: string | undefined): 'IPv4' | 'IPv6' | undefined {
  if (address === undefined) return undefined;
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

/** Node's message: `connect ECONNREFUSED 127.0.0.1:1`, `getaddrinfo ENOTFOUND example.invalid`. */
function systemMessage(fields: ErrorFields): string {
  const { syscall, systemCode, address, port, hostname } = fields;
  if (!syscall || !systemCode) return fields.message + certificateHint(systemCode);
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
    const attempts = fields.attempts.map(toError);
    // Node gives no message here; the code is the first attempt's.
    const { code = fields.systemCode } = attempts[0] as { code?: string };
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

/** The message if it starts like this; `undefined`: the default of the error's class. */
function only(start: string, message: string): string | undefined {
  return message.startsWith(start) ? message : undefined;
}

/** A request took longer than its `totalTimeout`. */
export class TotalTimeoutError extends errors.UndiciError {
  override name = 'TotalTimeoutError';
  override code = 'ERR_DODICI_TOTAL_TIMEOUT';

  constructor(message = 'Total Timeout Error') {
    super(message);
  }
}

/** A response body was slower than `minBodyRate`. */
export class BodyRateError extends errors.UndiciError {
  override name = 'BodyRateError';
  override code = 'ERR_DODICI_BODY_RATE';

  constructor(message = 'Body Rate Error') {
    super(message);
  }
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

/** `error`, with the system's error as its cause if there is one. */
function causedBySystem(error: Error, hasCause: boolean, fields: ErrorFields): Error {
  if (hasCause) error.cause = systemError(fields);
  return error;
}

/** JavaScript's own error, where it has one. */
function keptError({ systemCode, errno, attempts }: ErrorFields): Error | undefined {
  return systemCode === KEPT_ERROR && attempts.length === 0 ? lookupError(errno) : undefined;
}

const informational = ({ message }: { message: string }) => new errors.InformationalError(message);

/** Where undici uses its class's default message, so do we: users compare these messages. */
const ERRORS: Readonly<Record<ErrorCode, (fields: ErrorFields) => Error>> = {
  [ErrorCode.InvalidArgument]: ({ message }) => new errors.InvalidArgumentError(message),
  [ErrorCode.RequestContentLengthMismatch]: () => new errors.RequestContentLengthMismatchError(),
  [ErrorCode.RequestBody]: informational,
  [ErrorCode.Aborted]: () => new errors.RequestAbortedError(),
  [ErrorCode.Destroyed]: () => new errors.ClientDestroyedError(),
  [ErrorCode.Closed]: () => new errors.ClientClosedError(),
  [ErrorCode.Internal]: informational,
  [ErrorCode.ConnectTimeout](fields) {
    const error = new errors.ConnectTimeoutError(fields.message);
    return causedBySystem(error, fields.attempts.length > 0, fields);
  },
  [ErrorCode.System]: (fields) => keptError(fields) ?? systemError(fields),
  [ErrorCode.AddressNotAllowed](fields) {
    const { message, address, hostname, attempts } = fields;
    const kept = keptError(fields);
    if (kept !== undefined) return kept;
    if (attempts.length === 0) return new AddressNotAllowedError(message, address, hostname);
    const all = attempts.map(toError);
    // Node's, if a `blockList` has refused some.
    const isOurs = all.every((error) => error instanceof AddressNotAllowedError);
    return isOurs
      ? new AddressNotAllowedError(message, undefined, hostname, all)
      : systemError(fields);
  },
  // Longer messages over HTTP/2.
  [ErrorCode.HeadersTimeout]: ({ message }) =>
    new errors.HeadersTimeoutError(only('HTTP/2: ', message)),
  [ErrorCode.BodyTimeout]: ({ message }) => new errors.BodyTimeoutError(only('HTTP/2: ', message)),
  [ErrorCode.HeadersOverflow]: () => new errors.HeadersOverflowError(),
  [ErrorCode.ResponseContentLengthMismatch]: () => new errors.ResponseContentLengthMismatchError(),
  // Of the class for received bytes, of the interceptor for decoded bytes.
  [ErrorCode.ResponseExceededMaxSize]: ({ message }) =>
    new errors.ResponseExceededMaxSizeError(only('Decompressed ', message)),
  // The class prefixes the code with `HPE_` itself.
  [ErrorCode.Parse]: ({ message, systemCode }) =>
    new HTTPParserError(message, systemCode?.replace(/^HPE_/, '')),
  [ErrorCode.Socket](fields) {
    // undici passes on Node's own error for a failed read or write.
    if (fields.systemCode) return systemError(fields);
    const { message, bytesWritten, bytesRead } = fields;
    return new SocketError(message, socketInfo(fields, bytesWritten, bytesRead));
  },
  [ErrorCode.StreamReset]: streamError,
  // Rejected by node:http2 in undici, with its error as the cause.
  [ErrorCode.Unserved]: (fields) =>
    causedBySystem(informational(fields), Boolean(fields.systemCode), fields),
  [ErrorCode.ProxyRefused]: ({ message }) => new errors.RequestAbortedError(message),
  [ErrorCode.ProxyTls]: (fields) => new SecureProxyConnectionError(causeOf(fields)),
  [ErrorCode.ProxyConnection](fields) {
    const cause = causeOf(fields);
    // undici 7 has no such class: there users see the failure itself.
    return ProxyConnectionError === undefined ? cause : new ProxyConnectionError(cause);
  },
  [ErrorCode.Socks]: ({ message, systemCode }) => new Socks5ProxyError(message, systemCode),
  [ErrorCode.ContentCoding]: codingError,
  [ErrorCode.TotalTimeout]: ({ message }) => new TotalTimeoutError(message),
  [ErrorCode.BodyTooSlow]: ({ message }) => new BodyRateError(message),
};

function toError(fields: ErrorFields): Error {
  return (ERRORS[fields.code as ErrorCode] ?? informational)(fields);
}

/**
 * What a request was waiting for when it failed: the `phase` of its error. `docs/errors.md` explains them.
 * All values of `dodici_pool::Phase`.
 */
export type Phase =
  | 'queued'
  | 'resolve'
  | 'connect'
  | 'proxy'
  | 'tls hello'
  | 'tls handshake'
  | 'send'
  | 'headers'
  | 'body'
  | 'upgraded';

/** `error` with a `phase`: not enumerable, so that deep comparisons with undici's errors still hold. */
export function withPhase(error: Error, value: Phase): Error {
  return Object.defineProperty(error, 'phase', { value, configurable: true, writable: true });
}

/** The error in an error payload. */
export function decodeError(buffer: Buffer, start: number, end: number): Error {
  const fields = fieldsOf(buffer, start, end);
  const error = toError(fields);
  return fields.phase === undefined ? error : withPhase(error, fields.phase as Phase);
}

/** Whether another attempt is likely to succeed: the peer closed the connection while it was opened. */
export function isTransient(error: Error): boolean {
  const { code } = error as { code?: string };
  return code === 'UND_ERR_SOCKET' || code === 'UND_ERR_INFO';
}

const CONNECT_PHASES: readonly (Phase | undefined)[] = [
  ...(['resolve', 'connect', 'proxy', 'tls hello', 'tls handshake'] as const),
];

/** Whether a connection could not be opened, for another reason than its options. */
export function isConnectError(error: Error): boolean {
  const isAttempt = CONNECT_PHASES.includes((error as { phase?: Phase }).phase);
  return isAttempt && !(error instanceof errors.InvalidArgumentError);
}

/** Whether the server has no TLS in common with the engine, and has not shown a certificate. */
export function isHelloRefused(error: Error): boolean {
  return (error as { phase?: Phase }).phase === 'tls hello';
}

/** Adds a sentence to the error's message. */
export function addSentence(error: Error, sentence: string): void {
  const { message, stack } = error;
  if (message.endsWith(sentence)) return;
  error.message = `${message}. ${sentence}`;
  if (stack !== undefined) error.stack = stack.replace(message, () => error.message);
}

/** Details of a connection that ended. */
export interface CloseContext {
  /** The error that ended it, if there was one. */
  readonly error?: Error | undefined;
  /** What the user gave to `destroy()`. */
  readonly destroyError?: Error | null | undefined;
  /** The socket's state, for `SocketError`. */
  readonly socket?: SocketInfo | undefined;
}

const withMessage = (message: string) => () => informational({ message });
const orReset = ({ error }: CloseContext) => error ?? informational({ message: 'reset' });
const orSocketError =
  (message: string) =>
  ({ error, socket }: CloseContext) =>
    error ?? new SocketError(message, socket);

/** Why a connection ended: in one or two words, and the error of its `disconnect` event, as in undici. */
const CLOSE_REASONS = {
  [WireCloseReason.IdleTimeout]: ['idle timeout', withMessage('socket idle timeout')],
  [WireCloseReason.MadeRoom]: ['made room', withMessage('made room')],
  [WireCloseReason.Superseded]: ['superseded', withMessage('superseded')],
  [WireCloseReason.Expired]: ['expired', withMessage('client ttl')],
  [WireCloseReason.MaxRequests]: ['max requests', orReset],
  [WireCloseReason.NotReusable]: ['not reusable', orReset],
  [WireCloseReason.PeerClosed]: ['peer closed', orSocketError('other side closed')],
  [WireCloseReason.UnsolicitedData]: ['unsolicited data', orSocketError('bad response')],
  [WireCloseReason.ProtocolError]: ['protocol error', orSocketError('closed')],
  [WireCloseReason.IoError]: ['i/o error', orSocketError('closed')],
  [WireCloseReason.Timeout]: ['timeout', orSocketError('closed')],
  [WireCloseReason.Aborted]: ['aborted', withMessage('aborted')],
  [WireCloseReason.Upgraded]: ['upgraded', withMessage('upgrade')],
  [WireCloseReason.PoolClosed]: ['pool closed', () => new errors.ClientDestroyedError()],
  [WireCloseReason.PoolDestroyed]: [
    'pool destroyed',
    ({ destroyError }) => destroyError ?? new errors.ClientDestroyedError(),
  ],
  [WireCloseReason.Panicked]: [
    'panicked',
    ({ error }) => error ?? informational({ message: 'connection failed inside dodici' }),
  ],
} as const satisfies Record<WireCloseReason, readonly [string, (context: CloseContext) => Error]>;

type Reason = keyof typeof CLOSE_REASONS;

/** Why a connection ended, in one or two words; `docs/errors.md` explains them. */
export type CloseReason = (typeof CLOSE_REASONS)[Reason][0];

function closeRow(reason: number): readonly [CloseReason, (context: CloseContext) => Error] {
  return CLOSE_REASONS[reason as Reason] ?? CLOSE_REASONS[WireCloseReason.Panicked];
}

export function closeReasonOf(reason: number): CloseReason {
  return closeRow(reason)[0];
}

/** The error of a `disconnect` event: why the connection ended, with undici's messages. */
export function closeReasonError(reason: number, context: CloseContext = {}): Error {
  return closeRow(reason)[1](context);
}
