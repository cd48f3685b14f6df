// Error and event payloads, byte by byte, and how JavaScript decodes them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { closeReasonError, decodeError, type Phase } from '../../src/connection/errors';
import { decodeConnected, decodeDisconnected } from '../../src/connection/events';
import { errors, peerMajor } from '../../src/undici/undici';
import { ErrorCode, Field, WireCloseReason } from '../../src/wire/generated';

type Value = number | string | Buffer | { float: number };

/** Tagged fields as `Field` in crates/dodici-wire/src/schema.rs describes them. */
function payload(...fields: [tag: number, value: Value][]): Buffer {
  const parts = fields.map(([tag, value]) => {
    let bytes: Buffer;
    if (typeof value === 'string') bytes = Buffer.from(value);
    else if (typeof value === 'number') {
      bytes = Buffer.alloc(4);
      if (value < 0) bytes.writeInt32LE(value);
      else bytes.writeUInt32LE(value);
    } else if (Buffer.isBuffer(value)) bytes = value;
    else {
      bytes = Buffer.alloc(8);
      bytes.writeDoubleLE(value.float);
    }
    const part = Buffer.alloc(8 + ((bytes.length + 3) & ~3));
    part.writeUInt16LE(tag, 0);
    part.writeUInt32LE(bytes.length, 4);
    bytes.copy(part, 8);
    return part;
  });
  return Buffer.concat(parts);
}

function decode(...fields: [number, Value][]): Error & Record<string, unknown> {
  const bytes = payload(...fields);
  // In the middle of a batch, as payloads are.
  const batch = Buffer.concat([Buffer.alloc(12, 0xff), bytes, Buffer.alloc(4, 0xff)]);
  return decodeError(batch, 12, 12 + bytes.length) as Error & Record<string, unknown>;
}

describe('an error payload', () => {
  it('becomes the class of the peer, with its code and its own message', () => {
    const plain: [number, new (...args: never[]) => Error, string][] = [
      [
        ErrorCode.RequestContentLengthMismatch,
        errors.RequestContentLengthMismatchError,
        'UND_ERR_REQ_CONTENT_LENGTH_MISMATCH',
      ],
      [ErrorCode.Aborted, errors.RequestAbortedError, 'UND_ERR_ABORTED'],
      [ErrorCode.Destroyed, errors.ClientDestroyedError, 'UND_ERR_DESTROYED'],
      [ErrorCode.Closed, errors.ClientClosedError, 'UND_ERR_CLOSED'],
      [ErrorCode.HeadersTimeout, errors.HeadersTimeoutError, 'UND_ERR_HEADERS_TIMEOUT'],
      [ErrorCode.BodyTimeout, errors.BodyTimeoutError, 'UND_ERR_BODY_TIMEOUT'],
      [ErrorCode.HeadersOverflow, errors.HeadersOverflowError, 'UND_ERR_HEADERS_OVERFLOW'],
      [
        ErrorCode.ResponseContentLengthMismatch,
        errors.ResponseContentLengthMismatchError,
        'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
      ],
      [
        ErrorCode.ResponseExceededMaxSize,
        errors.ResponseExceededMaxSizeError,
        'UND_ERR_RES_EXCEEDED_MAX_SIZE',
      ],
    ];
    for (const [code, Class, text] of plain) {
      const error = decode([Field.Code, code], [Field.Message, 'from the engine']);
      expect(error).toBeInstanceOf(Class);
      expect(error['code']).toBe(text);
      expect(error.message).toBe(new Class().message);
    }
  });

  it.each([
    ['InvalidArgument', 'UND_ERR_INVALID_ARG'],
    ['ConnectTimeout', 'UND_ERR_CONNECT_TIMEOUT'],
    ['Internal', 'UND_ERR_INFO'],
    ['RequestBody', 'UND_ERR_INFO'],
    ['Socket', 'UND_ERR_SOCKET'],
  ] as const)('%s keeps the message of the engine', (name, code) => {
    const error = decode([Field.Code, ErrorCode[name]], [Field.Message, 'what happened']);
    expect(error.message).toBe('what happened');
    expect(error['code']).toBe(code);
  });

  it('of the parser names the rule', () => {
    const error = decode(
      [Field.Code, ErrorCode.Parse],
      [Field.Message, 'Invalid EOF state'],
      [Field.SystemCode, 'HPE_INVALID_EOF_STATE'],
    );
    expect(error).toBeInstanceOf(errors.HTTPParserError);
    expect(error.name).toBe('HTTPParserError');
    expect(error['code']).toBe('HPE_INVALID_EOF_STATE');
    expect(error.message).toBe('Invalid EOF state');
  });

  it('of a socket has its state', () => {
    const error = decode(
      [Field.Code, ErrorCode.Socket],
      [Field.Message, 'other side closed'],
      [Field.LocalAddress, '::1'],
      [Field.LocalPort, 50_000],
      [Field.RemoteAddress, '::1'],
      [Field.RemotePort, 443],
      [Field.BytesWritten, { float: 2 ** 40 }],
      [Field.BytesRead, { float: 0 }],
    );
    expect(error['socket']).toEqual({
      localAddress: '::1',
      localPort: 50_000,
      remoteAddress: '::1',
      remotePort: 443,
      remoteFamily: 'IPv6',
      timeout: undefined,
      bytesWritten: 2 ** 40,
      bytesRead: 0,
    });
  });

  it('of the system looks like Node’s error', () => {
    const refused = decode(
      [Field.Code, ErrorCode.System],
      [Field.Message, 'connection refused'],
      [Field.SystemCode, 'ECONNREFUSED'],
      [Field.Errno, -111],
      [Field.Syscall, 'connect'],
      [Field.Address, '127.0.0.1'],
      [Field.Port, 1],
    );
    expect(refused.constructor).toBe(Error);
    expect(refused.message).toBe('connect ECONNREFUSED 127.0.0.1:1');
    expect({ ...refused }).toEqual({
      errno: -111,
      code: 'ECONNREFUSED',
      syscall: 'connect',
      address: '127.0.0.1',
      port: 1,
    });

    const unknown = decode(
      [Field.Code, ErrorCode.System],
      [Field.SystemCode, 'ENOTFOUND'],
      [Field.Errno, -3008],
      [Field.Syscall, 'getaddrinfo'],
      [Field.Hostname, 'nosuch.invalid'],
    );
    expect(unknown.message).toBe('getaddrinfo ENOTFOUND nosuch.invalid');
    expect(unknown['hostname']).toBe('nosuch.invalid');

    const certificate = decode(
      [Field.Code, ErrorCode.System],
      [Field.Message, 'self-signed certificate'],
      [Field.SystemCode, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    );
    expect(certificate.message).toMatch(/^self-signed certificate(; if the root CA .*)?$/);
    expect({ ...certificate }).toEqual({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
  });

  it('with several attempts is an AggregateError with the code of the first', () => {
    const attempt = (address: string, code: string) =>
      payload(
        [Field.Code, ErrorCode.System],
        [Field.SystemCode, code],
        [Field.Syscall, 'connect'],
        [Field.Address, address],
        [Field.Port, 1],
      );
    const error = decode(
      [Field.Code, ErrorCode.System],
      [Field.Message, 'all failed'],
      [Field.Attempt, attempt('::1', 'ECONNREFUSED')],
      [Field.Attempt, attempt('127.0.0.1', 'EHOSTUNREACH')],
    );
    expect(error).toBeInstanceOf(AggregateError);
    expect(error.message).toBe('');
    expect(error['code']).toBe('ECONNREFUSED');
    const inner = (error as unknown as AggregateError).errors as Error[];
    expect(inner.map(({ message }) => message)).toEqual([
      'connect ECONNREFUSED ::1:1',
      'connect EHOSTUNREACH 127.0.0.1:1',
    ]);

    const single = decode(
      [Field.Code, ErrorCode.System],
      [Field.Attempt, attempt('::1', 'ECONNREFUSED')],
    );
    expect(single).not.toBeInstanceOf(AggregateError);
    expect(single['code']).toBe('ECONNREFUSED');
  });

  it('carries its phase as a non-enumerable property', () => {
    const error = decode([Field.Code, ErrorCode.Aborted], [Field.Phase, 'tls']);
    expect(error['phase']).toBe('tls');
    expect(Object.keys(error)).not.toContain('phase');
  });

  it('and a close reason are of the lists that docs/errors.md explains', () => {
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    const read = (path: string) => readFileSync(join(root, path), 'utf8');
    const documented = (title: string) => {
      const section = read('docs/errors.md').split(`## ${title}`)[1]!.split('\n## ')[0]!;
      return [...section.matchAll(/^\| `(.*?)` \|/gm)].map(([, name]) => name);
    };
    const named = (path: string) =>
      [...read(path).matchAll(/(?:Self::\w+ =>|^ {4}\w+ =) "(.*?)"/gm)].map(([, name]) => name);
    const model = 'crates/dodici-pool/src/model';
    expect(documented('Phases')).toEqual(named(`${model}/phase.rs`));
    expect(documented('Reasons of a')).toEqual(named(`${model}/close_reason.rs`));
    const phases: Phase[] = ['queued', 'resolve', 'connect', 'proxy', 'tls hello', 'tls handshake'];
    phases.push('send', 'headers', 'body', 'upgraded');
    expect(documented('Phases')).toEqual(phases);
  });

  it('with an unknown field or code is still decoded to an error', () => {
    const error = decode([Field.Code, 9999], [999, 'new'], [Field.Message, 'later version']);
    expect(error.message).toBe('later version');
  });

  it('whose field points outside it is reported as a bug', () => {
    const bytes = payload([Field.Message, 'text']);
    bytes.writeUInt32LE(1000, 4);
    expect(() => decodeError(bytes, 0, bytes.length)).toThrow(RangeError);
  });
});

describe('a disconnect', () => {
  it.each([
    ['IdleTimeout', 'UND_ERR_INFO', 'socket idle timeout'],
    ['Expired', 'UND_ERR_INFO', 'client ttl'],
    ['MaxRequests', 'UND_ERR_INFO', 'reset'],
    ['NotReusable', 'UND_ERR_INFO', 'reset'],
    ['PeerClosed', 'UND_ERR_SOCKET', 'other side closed'],
    ['UnsolicitedData', 'UND_ERR_SOCKET', 'bad response'],
    ['Aborted', 'UND_ERR_INFO', 'aborted'],
    ['Upgraded', 'UND_ERR_INFO', 'upgrade'],
    ['PoolClosed', 'UND_ERR_DESTROYED', 'The client is destroyed'],
  ] as const)('for %s says what undici says', (reason, code, message) => {
    const error = closeReasonError(WireCloseReason[reason]);
    expect(error).toMatchObject({ code, message });
  });

  it('has the error of the exchange, or the one given to destroy()', () => {
    const error = new Error('of the exchange');
    for (const reason of ['ProtocolError', 'IoError', 'Timeout'] as const) {
      expect(closeReasonError(WireCloseReason[reason], { error })).toBe(error);
    }
    const destroyError = new Error('of the user');
    expect(closeReasonError(WireCloseReason.PoolDestroyed, { destroyError })).toBe(destroyError);
  });

  it('has its byte counts, and the addresses of the connection in its SocketError', () => {
    const bytes = payload(
      [Field.Reason, WireCloseReason.PeerClosed],
      [Field.BytesRead, { float: 10 }],
      [Field.BytesWritten, { float: 20 }],
      [Field.Requests, { float: 3 }],
      [Field.Age, { float: 1.5 }],
    );
    const connected = {
      protocol: 'h1' as const,
      remoteAddress: '127.0.0.1',
      remotePort: 80,
      timings: { total: 1 },
    };
    const { info, error } = decodeDisconnected(bytes, 0, bytes.length, { connected });
    expect(info).toEqual({
      reason: 'peer closed',
      bytesRead: 10,
      bytesWritten: 20,
      requests: 3,
      age: 1.5,
    });
    expect((error as Error & { socket: object }).socket).toMatchObject({
      remoteAddress: '127.0.0.1',
      remotePort: 80,
      remoteFamily: 'IPv4',
      bytesRead: 10,
      bytesWritten: 20,
    });
  });

  it('carries a nested error', () => {
    const cause = payload([Field.Code, ErrorCode.BodyTimeout]);
    const bytes = payload([Field.Reason, WireCloseReason.Timeout], [Field.Cause, cause]);
    const { error } = decodeDisconnected(bytes, 0, bytes.length);
    expect(error).toBeInstanceOf(errors.BodyTimeoutError);
  });
});

describe('a proxy failure', () => {
  const decode = (...fields: Parameters<typeof payload>) => {
    const bytes = payload(...fields);
    return decodeError(bytes, 0, bytes.length);
  };
  const closed = payload([Field.Code, ErrorCode.Socket], [Field.Message, 'other side closed']);

  it('is undici’s error for a status', () => {
    const error = decode([Field.Code, ErrorCode.ProxyRefused], [Field.Message, 'status 407']);
    expect(error).toBeInstanceOf(errors.RequestAbortedError);
    expect(error.message).toBe('status 407');
  });

  it('has the underlying error as its cause', () => {
    const broken = decode([Field.Code, ErrorCode.ProxyConnection], [Field.Attempt, closed]);
    const failure = peerMajor === 7 ? broken : broken.cause;
    expect(failure).toBeInstanceOf(errors.SocketError);
    const refused = payload(
      [Field.Code, ErrorCode.System],
      [Field.SystemCode, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    );
    const misnamed = decode([Field.Code, ErrorCode.ProxyTls], [Field.Attempt, refused]);
    expect(misnamed).toBeInstanceOf(errors.SecureProxyConnectionError);
    expect(misnamed.cause).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('has undici’s code when the SOCKS proxy rejects the connection', () => {
    const error = decode(
      [Field.Code, ErrorCode.Socks],
      [Field.Message, 'no'],
      [Field.SystemCode, 'UND_ERR_SOCKS5_REPLY_2'],
    );
    expect(error).toMatchObject({
      name: 'Socks5ProxyError',
      code: 'UND_ERR_SOCKS5_REPLY_2',
      message: 'no',
    });
  });
});

describe('a connect', () => {
  it('over TLS has addresses, versions and times', () => {
    const bytes = payload(
      [Field.Protocol, 'h1'],
      [Field.LocalAddress, '127.0.0.1'],
      [Field.LocalPort, 50_000],
      [Field.RemoteAddress, '127.0.0.1'],
      [Field.RemotePort, 443],
      [Field.TlsVersion, 'TLSv1.3'],
      [Field.Cipher, 'TLS_AES_128_GCM_SHA256'],
      [Field.AlpnProtocol, 'http/1.1'],
      [Field.Resumed, 1],
      [Field.ServerName, 'localhost'],
      [Field.Authorized, 1],
      [Field.Certificate, 'DER'],
      [Field.DnsTime, { float: 0.5 }],
      [Field.TcpTime, { float: 0.25 }],
      [Field.TlsTime, { float: 2 }],
      [Field.TotalTime, { float: 2.75 }],
    );
    expect(decodeConnected(bytes, 0, bytes.length)).toEqual({
      protocol: 'h1',
      localAddress: '127.0.0.1',
      localPort: 50_000,
      remoteAddress: '127.0.0.1',
      remotePort: 443,
      tls: {
        version: 'TLSv1.3',
        cipher: 'TLS_AES_128_GCM_SHA256',
        alpn: 'http/1.1',
        resumed: true,
        servername: 'localhost',
        authorized: true,
        certificate: Buffer.from('DER'),
      },
      timings: { dns: 0.5, tcp: 0.25, tls: 2, total: 2.75 },
    });
  });

  it('through a proxy has its response', () => {
    const bytes = payload(
      [Field.Protocol, 'h1'],
      [Field.ProxyStatus, 200],
      [Field.ProxyHeaders, 'Via\nsomebody\nX-Empty\n\n'],
      [Field.ProxyTime, { float: 1.5 }],
      [Field.TotalTime, { float: 2 }],
    );
    expect(decodeConnected(bytes, 0, bytes.length)).toEqual({
      protocol: 'h1',
      proxy: { statusCode: 200, rawHeaders: ['Via', 'somebody', 'X-Empty', ''] },
      timings: { proxy: 1.5, total: 2 },
    });
  });

  it('over a Unix socket has its path and no TLS details', () => {
    const bytes = payload([Field.Path, '/tmp/x.sock'], [Field.TotalTime, { float: 1 }]);
    expect(decodeConnected(bytes, 0, bytes.length)).toEqual({
      protocol: 'h1',
      path: '/tmp/x.sock',
      timings: { total: 1 },
    });
  });
});
