// Options of Client and Pool compared with the peer's own constructors: same result, class and message.
import { describe, expect, it } from 'vitest';

import { Agent } from '../../src/index';
import { parseOrigin } from '../../src/options/parse-origin';
import { checkOptions, parseSettings, tlsWays, type SettingsKind } from '../../src/options/options';
import { settle, trustsDefaultRoots } from '../../src/options/process-settings';
import { peer, peerMajor } from '../../src/undici/undici';

const ORIGIN = 'http://localhost:3000';

interface Verdict {
  name: string;
  message: string;
  code: unknown;
}

function verdict(construct: () => unknown): Verdict | 'accepted' {
  try {
    construct();
    return 'accepted';
  } catch (error) {
    const { name, message, code } = error as Error & { code?: unknown };
    return { name, message, code };
  }
}

function ofPeer(kind: SettingsKind, origin: unknown, options: object) {
  return verdict(() =>
    kind === 'client'
      ? new peer.Client(origin as string, options)
      : new peer.Pool(origin as string, options),
  );
}

const ofOurs = (kind: SettingsKind, origin: unknown, options: object) =>
  verdict(() => parseSettings(origin, options, kind));

const WRONG_VALUES = [
  undefined,
  null,
  -1,
  -2,
  0,
  1,
  1.5,
  NaN,
  Infinity,
  '',
  'text',
  '10',
  true,
  false,
  {},
  [],
  () => {},
  '127.0.0.1',
];

const CLIENT_OPTIONS = [
  'keepAlive',
  'socketTimeout',
  'requestTimeout',
  'idleTimeout',
  'maxKeepAliveTimeout',
  'maxHeaderSize',
  'socketPath',
  'connectTimeout',
  'keepAliveTimeout',
  'keepAliveMaxTimeout',
  'keepAliveTimeoutThreshold',
  'headersTimeout',
  'bodyTimeout',
  'maxRequestsPerClient',
  'localAddress',
  'maxResponseSize',
  'autoSelectFamilyAttemptTimeout',
  'allowH2',
  'useH2c',
  'maxConcurrentStreams',
  'initialWindowSize',
  'connectionWindowSize',
  'pingInterval',
  'strictContentLength',
  'pipelining',
  'maxCachedSessions',
  'connect',
];

const POOL_OPTIONS = ['connections', 'factory', 'connect', 'maxCachedSessions', 'clientTtl'];

describe('options are validated as the peer validates them', () => {
  for (const name of CLIENT_OPTIONS) {
    it(`Client: ${name}`, () => {
      for (const value of WRONG_VALUES) {
        const options = { [name]: value };
        expect(ofOurs('client', ORIGIN, options), `${name}: ${String(value)}`).toEqual(
          ofPeer('client', ORIGIN, options),
        );
      }
    });
  }

  for (const name of POOL_OPTIONS) {
    it(`Pool: ${name}`, () => {
      for (const value of WRONG_VALUES) {
        const options = { [name]: value };
        expect(ofOurs('pool', ORIGIN, options), `${name}: ${String(value)}`).toEqual(
          ofPeer('pool', ORIGIN, options),
        );
      }
    });
  }

  it('Client: h2Options', () => {
    const wrong = [
      { useH2c: 'yes' },
      { settings: { initialWindowSize: 0 } },
      { maxConcurrentStreams: 0.5 },
      { connectionWindowSize: 0 },
      { pingInterval: -1 },
      { maxConcurrentStreams: 10, pingInterval: 0 },
    ];
    for (const h2Options of wrong) {
      for (const rest of [{}, { allowH2: false }, { maxConcurrentStreams: 0 }]) {
        const options = { h2Options, ...rest };
        expect(ofOurs('client', ORIGIN, options), JSON.stringify(options)).toEqual(
          ofPeer('client', ORIGIN, options),
        );
      }
    }
  });

  it('the first of several invalid options is the one reported', () => {
    const wrong = Object.fromEntries(CLIENT_OPTIONS.map((name) => [name, Symbol.iterator]));
    for (let left = Object.keys(wrong); left.length > 0; left = left.slice(1)) {
      const options = Object.fromEntries(left.map((name) => [name, wrong[name]]));
      expect(ofOurs('client', ORIGIN, options), left[0]).toEqual(ofPeer('client', ORIGIN, options));
    }
  });

  it('origins', () => {
    const origins: unknown[] = [
      undefined,
      null,
      '',
      'text',
      'ftp://localhost',
      'http://localhost/path',
      'http://localhost/?query',
      'http://localhost/#hash',
      'https://localhost',
      'http://[::1]:80',
      new URL('http://localhost:1'),
      new URL('ftp://localhost:1'),
      42,
      {},
      { protocol: 'http:' },
      { protocol: 'http:', hostname: 'localhost' },
      { protocol: 'https:', hostname: 'localhost', port: 8443 },
      { protocol: 'http:', hostname: 'localhost', port: 'x' },
      { protocol: 'http:', hostname: 'localhost', port: 65536 },
      { protocol: 'http:', hostname: 1 },
      { protocol: 'http:', hostname: 'localhost', path: 1 },
      { protocol: 'http:', hostname: 'localhost', pathname: 1 },
      { protocol: 'http:', hostname: 'localhost', pathname: '/path' },
      { origin: 1 },
      { origin: 'http://localhost/' },
      { origin: 'ftp://localhost' },
    ];
    for (const origin of origins) {
      for (const kind of ['client', 'pool'] as const) {
        expect(ofOurs(kind, origin, {}), JSON.stringify(origin)).toEqual(ofPeer(kind, origin, {}));
      }
    }
  });

  it('options that undici does not have are validated in the same way', () => {
    for (const kind of ['client', 'pool'] as const) {
      for (const value of WRONG_VALUES) {
        const isRight = value == null || value === 0 || value === 1;
        expect(ofOurs(kind, ORIGIN, { maxIdleConnections: value }), String(value)).toEqual(
          isRight
            ? 'accepted'
            : {
                name: 'InvalidArgumentError',
                message: 'maxIdleConnections must be a positive integer or zero',
                code: 'UND_ERR_INVALID_ARG',
              },
        );
      }
    }
    const rule = { 'http://localhost': { maxIdleConnections: -1 } };
    expect(() => new Agent({ origins: rule })).toThrow(/maxIdleConnections must be/);
  });

  it('timings, which is ours, is a boolean', () => {
    for (const kind of ['client', 'pool'] as const) {
      for (const value of WRONG_VALUES) {
        expect(ofOurs(kind, ORIGIN, { timings: value }), String(value)).toEqual(
          value == null || typeof value === 'boolean'
            ? 'accepted'
            : {
                name: 'InvalidArgumentError',
                message: 'timings must be a boolean',
                code: 'UND_ERR_INVALID_ARG',
              },
        );
      }
    }
    const rule = { 'http://localhost': { timings: 1 as never } };
    expect(() => new Agent({ origins: rule })).toThrow(/timings must be a boolean/);
  });

  it('a pool reports an invalid client option with the client’s message', () => {
    for (const [name, value] of [
      ['headersTimeout', -1],
      ['keepAliveTimeout', 0],
      ['localAddress', 'nowhere'],
      ['maxResponseSize', 'large'],
    ] as const) {
      expect(ofOurs('pool', ORIGIN, { [name]: value })).toEqual(
        ofPeer('client', ORIGIN, { [name]: value }),
      );
    }
  });
});

describe('settings', () => {
  it('have the defaults of the peer', () => {
    const settings = parseSettings(ORIGIN, undefined, 'client');
    expect(settings).toMatchObject({
      connections: 1,
      pipelining: 1,
      keepAliveTimeout: 4e3,
      keepAliveMaxTimeout: 600e3,
      keepAliveTimeoutThreshold: 2e3,
      clientTtl: null,
      maxRequestsPerClient: null,
      headersTimeout: 300e3,
      bodyTimeout: 300e3,
      maxHeaderSize: 16384,
      maxResponseSize: -1,
      strictContentLength: true,
      localAddress: null,
      socketPath: null,
      allowH2: peerMajor === 8,
    });
    expect(settle(settings.connect)).toMatchObject({
      rejectUnauthorized: true,
      timeout: 10e3,
      noDelay: true,
      keepAliveProbe: 60e3,
      ca: null,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.3',
      maxCachedSessions: 100,
    });
    expect(parseSettings(ORIGIN, {}, 'pool').connections).toBeNull();
  });

  it('of a pool lose what JSON cannot represent, as in undici', () => {
    const settings = parseSettings(ORIGIN, { headersTimeout: Infinity, pipelining: NaN }, 'pool');
    expect(settings.headersTimeout).toBe(300e3);
    expect(settings.pipelining).toBe(1);
  });

  it('round a fractional number of connections up and treat 0 as no limit', () => {
    expect(parseSettings(ORIGIN, { connections: 1.5 }, 'pool').connections).toBe(2);
    expect(parseSettings(ORIGIN, { connections: 0 }, 'pool').connections).toBeNull();
  });

  it('s08: nothing on Object.prototype becomes an option', () => {
    const polluted = Object.prototype as Record<string, unknown>;
    polluted['rejectUnauthorized'] = false;
    polluted['socketPath'] = '/tmp/evil.sock';
    polluted['connections'] = 7;
    try {
      const settings = parseSettings('https://localhost', { connect: {} }, 'pool');
      expect(settle(settings.connect).rejectUnauthorized).toBe(true);
      expect(settings.socketPath).toBeNull();
      expect(settings.connections).toBeNull();
      expect(tlsWays(settings).map(trustsDefaultRoots)).toEqual([true]);
    } finally {
      delete polluted['rejectUnauthorized'];
      delete polluted['socketPath'];
      delete polluted['connections'];
    }
  });

  it('read inherited options and getters', () => {
    class Config {
      get connections() {
        return 3;
      }
    }
    expect(parseSettings(ORIGIN, new Config(), 'pool').connections).toBe(3);
    expect(parseSettings(ORIGIN, Object.create({ connections: 4 }), 'pool').connections).toBe(4);
  });

  it('are validated once and completed for each origin', () => {
    const checked = checkOptions({ connections: 2 }, 'pool');
    expect(checked.at('http://a').url.host).toBe('a');
    expect(tlsWays(checked.at('https://b')).map(trustsDefaultRoots)).toEqual([true]);
  });
});

describe('parseOrigin', () => {
  it('joins the parts of a URL as text, so that a path cannot replace the host', () => {
    expect(() => parseOrigin({ protocol: 'http:', hostname: 'a', path: 'http://evil/' })).toThrow(
      'invalid url',
    );
  });
});
