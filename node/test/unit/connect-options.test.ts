// The `connect` option as an object: what is honoured, what is rejected, what is sent to the engine.
import { X509Certificate } from 'node:crypto';
import * as tls from 'node:tls';

import { describe, expect, it } from 'vitest';

import { encodeSettings } from '../../src/options/option-writer';
import { parseSettings } from '../../src/options/options';
import { OptionKey } from '../../src/wire/generated';
import { certify } from '../support/certificates';

const { cert: PEM, key: KEY } = certify({ isAuthority: true });

const connectOf = (connect: object, options: object = {}) =>
  parseSettings('https://example.com', { ...options, connect }, 'client').connect;

/** The option list, decoded: names to values, an array where a key repeats. */
function decode(list: Uint8Array): Record<string, Buffer[]> {
  const names = Object.fromEntries(Object.entries(OptionKey).map(([name, key]) => [key, name]));
  const bytes = Buffer.from(list);
  const out: Record<string, Buffer[]> = {};
  for (let at = 0; at < bytes.length;) {
    const name = names[bytes.readUInt16LE(at)]!;
    expect(bytes.readUInt16LE(at + 2)).toBe(0);
    const length = bytes.readUInt32LE(at + 4);
    (out[name] ??= []).push(bytes.subarray(at + 8, at + 8 + length));
    at += 8 + ((length + 3) & ~3);
    expect(at).toBeLessThanOrEqual(bytes.length);
  }
  return out;
}

const numberIn = (fields: Record<string, Buffer[]>, name: string) =>
  fields[name]?.[0]?.readDoubleLE();
const textIn = (fields: Record<string, Buffer[]>, name: string) => fields[name]?.[0]?.toString();

describe('connect options', () => {
  const settings = (connect: object, url = 'https://example.com') =>
    parseSettings(url, { connect }, 'client');

  it('that the engine cannot honour are the peer’s, by name', () => {
    const ofTls: Record<string, unknown> = {
      ciphers: 'NOBODY',
      dhparam: 'x',
      ecdhCurve: 'P-521',
      sigalgs: 'x',
      crl: PEM,
      pfx: Buffer.from('x'),
      secureProtocol: 'nobody',
      secureContext: {},
      secureOptions: 1,
      checkServerIdentity: 'x',
      pskCallback: () => null,
      session: Buffer.from('x'),
      enableTrace: 'yes',
      minVersion: 'nobody',
      maxVersion: 'TLSv1.1',
    };
    const ofSockets: Record<string, unknown> = {
      localPort: 'http',
      allowHalfOpen: true,
      typeOfService: 256,
      blockList: {},
      fd: 0,
      readable: false,
    };
    for (const [name, value] of Object.entries({ ...ofTls, ...ofSockets })) {
      const byPeer = { reason: 'option', option: `connect.${name}` };
      expect(settings({ [name]: value }).byPeer, name).toEqual(byPeer);
      const isSockets = name in ofSockets;
      expect(settings({ [name]: value }, 'http://a').byPeer).toEqual(isSockets ? byPeer : null);
    }
    const both = { platformVerifier: true, session: Buffer.from('x') };
    expect(() => settings(both)).toThrow(
      'connect.platformVerifier and connect.session are mutually exclusive',
    );
  });

  it('that have no effect are accepted', () => {
    const idle = {
      ciphers: tls.DEFAULT_CIPHERS,
      ecdhCurve: 'auto',
      requestOCSP: true,
      allowHalfOpen: false,
      checkServerIdentity: undefined,
      session: null,
      highWaterMark: 1,
      ALPNProtocols: ['h2'],
      port: 1,
      host: 'elsewhere',
      socket: {},
      readable: true,
      onread: true,
      somethingOfTheUsers: 1,
    };
    expect(settings(idle).byPeer).toBe(null);
  });

  it('s11: only the literal false turns verification off', () => {
    for (const value of [undefined, null, 0, '', 'false', NaN, true]) {
      expect(connectOf({ rejectUnauthorized: value }).rejectUnauthorized).toBe(true);
    }
    expect(connectOf({ rejectUnauthorized: false }).rejectUnauthorized).toBe(false);
  });

  it('have TLS 1.2 and 1.3 in the engine', () => {
    for (const [given, range] of [
      [{}, 'TLSv1.2 TLSv1.3'],
      [{ minVersion: 'TLSv1.3' }, 'TLSv1.3 TLSv1.3'],
      [{ maxVersion: 'TLSv1.2' }, 'TLSv1.2 TLSv1.2'],
      [{ secureProtocol: 'TLSv1_2_method' }, 'TLSv1.2 TLSv1.2'],
      [{ ciphers: 'TLS_AES_128_GCM_SHA256' }, 'TLSv1.3 TLSv1.3'],
    ] as const) {
      const list = encodeSettings(settings(given), null);
      const fields = decode(list);
      expect(`${textIn(fields, 'MinVersion')} ${textIn(fields, 'MaxVersion')}`).toBe(range);
    }
    const nothing = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' };
    expect(settings(nothing).byPeer).toEqual({ reason: 'option', option: 'connect.minVersion' });
  });

  it('offer the cipher suites, groups and signature schemes that rustls has of those given', () => {
    const numbers = (connect: object, name: string) => {
      const bytes = decode(encodeSettings(settings(connect), null))[name]?.[0];
      if (bytes === undefined) return undefined;
      return Array.from({ length: bytes.length / 2 }, (_value, n) => bytes.readUInt16LE(2 * n));
    };
    const ciphers = 'ECDHE-RSA-AES256-GCM-SHA384:AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256';
    expect(numbers({ ciphers, maxVersion: 'TLSv1.2' }, 'CipherSuites')).toEqual([0xc030, 0xc02f]);
    expect(numbers({ ciphers: 'TLS_AES_256_GCM_SHA384' }, 'CipherSuites')).toEqual([0x1302]);
    expect(numbers({ ecdhCurve: 'P-384:P-521:X25519' }, 'Groups')).toEqual([0x18, 0x1d]);
    const sigalgs = 'RSA-PSS+SHA256:ECDSA+SHA256';
    expect(numbers({ sigalgs }, 'SignatureSchemes')).toEqual([0x0804, 0x0403]);
    for (const name of ['CipherSuites', 'Groups', 'SignatureSchemes']) {
      expect(numbers({}, name)).toBe(undefined);
    }
    expect(settings({ ciphers: 'ALL@SECLEVEL=0' }).byPeer?.option).toBe('connect.ciphers');
  });

  it('take certificates as text, bytes or lists, and anything else is the peer’s', () => {
    expect(connectOf({ ca: PEM }).ca).toEqual([Buffer.from(PEM)]);
    expect(connectOf({ ca: [PEM, Buffer.from(PEM)] }).ca).toHaveLength(2);
    expect(connectOf({ ca: new X509Certificate(PEM).raw }).ca).toHaveLength(1);
    expect(connectOf({ ca: [] }).ca).toEqual([]);
    expect(settings({ ca: 'text' }).byPeer?.option).toBe('connect.ca');
    expect(settings({ ca: 1 }).byPeer?.option).toBe('connect.ca');
  });

  it.each([undefined, null, '', 0, false, NaN])('take %j as no certificate, like Node', (value) => {
    expect(connectOf({ ca: value, cert: value, key: value })).toMatchObject({
      ca: null,
      identities: [],
    });
  });

  it('ignore what has no effect in Node, and reject what is no function', () => {
    const nothing = { ciphers: '', crl: [], dhparam: '', hints: '', pfx: [], session: '' };
    expect(() => connectOf({ ...nothing, secureOptions: 0, requestOCSP: 0 })).not.toThrow();
    for (const lookup of [5, '', {}, false]) {
      expect(() => connectOf({ lookup })).toThrow('connect.lookup must be a function');
    }
  });

  it('copy certificates, so that later changes to the buffer have no effect', () => {
    const bytes = Buffer.from(PEM);
    const { ca } = connectOf({ ca: bytes });
    bytes.fill(0);
    expect(Buffer.from(ca![0]!).toString()).toBe(PEM);
  });

  it('take identities: certificate and key together, one for each kind of key', () => {
    const { identities } = connectOf({ cert: PEM, key: [{ pem: KEY, passphrase: 'secret' }] });
    expect(Buffer.from(identities[0]!.key).toString()).toBe(KEY);
    for (const lone of [{ cert: PEM }, { key: KEY }, { cert: PEM, key: '' }]) {
      expect(connectOf(lone)).toMatchObject({ identities: [] });
    }
    expect(settings({ cert: 'text' }).byPeer?.option).toBe('connect.cert');
    expect(connectOf({ cert: [PEM, PEM], key: KEY }).identities).toHaveLength(1);
    const rsa = certify({ rsaBits: 2048 });
    const both = { cert: [PEM, rsa.cert], key: [rsa.key, KEY] };
    expect(connectOf(both).identities.map(({ key }) => Buffer.from(key).toString())).toEqual([
      KEY,
      rsa.key,
    ]);
  });

  it('are merged as undici merges them: tls, then the options, then connect', () => {
    expect(connectOf({}, { connectTimeout: 5 }).timeout).toBe(5);
    expect(connectOf({ timeout: 6 }, { connectTimeout: 5 }).timeout).toBe(6);
    expect(connectOf({}, { tls: { servername: 'tls' } }).servername).toBe('tls');
    expect(connectOf({ servername: 'c' }, { tls: { servername: 'tls' } }).servername).toBe('c');
    expect(connectOf({ path: '/p' }, { socketPath: '/s' }).socketPath).toBe('/p');
    expect(connectOf({}, { autoSelectFamily: false }).autoSelectFamily).toBe(false);
    expect(connectOf({ timeout: 0 }).timeout).toBe(0);
    expect(connectOf({ timeout: Infinity }).timeout).toBe(0);
    expect(() => connectOf({ timeout: 'soon' })).toThrow('invalid connect.timeout');
  });

  it('set address families and keep-alive probes', () => {
    expect(connectOf({ family: 'IPv6' }).family).toBe(6);
    expect(() => connectOf({ family: 5 })).toThrow(/connect\.family/);
    expect(connectOf({ keepAlive: false }).keepAliveProbe).toBe(-1);
    expect(connectOf({ keepAliveInitialDelay: 5000 }).keepAliveProbe).toBe(5000);
    expect(connectOf({ autoSelectFamilyAttemptTimeout: 1 }).autoSelectFamilyAttemptTimeout).toBe(
      10,
    );
    expect(() => connectOf({ localAddress: 'here' })).toThrow(/connect\.localAddress/);
    expect(() => connectOf({ ca: PEM, platformVerifier: true })).toThrow(/mutually exclusive/);
  });
});

describe('the option list', () => {
  it('offers HTTP/2 where it is allowed, and carries its limits', () => {
    const given = {
      allowH2: true,
      connect: { preferH2: true },
      h2Options: {
        maxConcurrentStreams: 7,
        connectionWindowSize: 99_000,
        pingInterval: 0,
        settings: { initialWindowSize: 70_000 },
      },
    };
    const fields = decode(encodeSettings(parseSettings('https://localhost', given, 'pool'), null));
    const number = (name: string) => fields[name]?.[0]?.readDoubleLE();
    expect(fields['Alpn']!.map(String)).toEqual(['h2', 'http/1.1']);
    expect(number('MaxConcurrentStreams')).toBe(7);
    expect(number('StreamWindow')).toBe(70_000);
    expect(number('ConnectionWindow')).toBe(99_000);
    expect(number('PingInterval')).toBe(0);
    expect(fields['Http2']![0]![0]).toBe(0);
    const plain = decode(
      encodeSettings(parseSettings('http://localhost', { useH2c: true }, 'client'), null),
    );
    expect(plain['Http2']![0]![0]).toBe(1);
    expect(plain['ConnectionWindow']).toBeUndefined();
  });

  it('carries the settings of an https pool', () => {
    const settings = parseSettings(
      'https://[::1]:8443',
      {
        allowH2: false,
        connections: 4,
        pipelining: 2,
        clientTtl: 1000,
        maxRequestsPerClient: 9,
        localAddress: '::1',
        connect: { ca: [PEM, PEM], cert: PEM, key: KEY, passphrase: 'x', servername: 'name' },
      },
      'pool',
    );
    const fields = decode(encodeSettings(settings, null));
    expect(textIn(fields, 'Scheme')).toBe('https');
    expect(textIn(fields, 'Host')).toBe('::1');
    expect(numberIn(fields, 'Port')).toBe(8443);
    expect(numberIn(fields, 'Connections')).toBe(4);
    expect(numberIn(fields, 'Pipelining')).toBe(2);
    expect(numberIn(fields, 'ClientTtl')).toBe(1000);
    expect(numberIn(fields, 'MaxRequestsPerClient')).toBe(9);
    expect(textIn(fields, 'LocalAddress')).toBe('::1');
    expect(fields['FailQueue']![0]).toEqual(Buffer.of(0));
    expect(fields['RejectUnauthorized']![0]).toEqual(Buffer.of(1));
    expect(fields['Ca']).toHaveLength(2);
    expect(textIn(fields, 'Cert')).toBe(PEM);
    expect(textIn(fields, 'Key')).toBe(KEY);
    expect(textIn(fields, 'ServerName')).toBe('name');
    expect(fields['Alpn']!.map(String)).toEqual(['http/1.1']);
    expect(textIn(fields, 'MinVersion')).toBe('TLSv1.2');
    expect(textIn(decode(encodeSettings(settings, 'other')), 'ServerName')).toBe('other');
  });

  it('of an http client has no TLS options and fails its whole queue', () => {
    const fields = decode(encodeSettings(parseSettings('http://localhost', {}, 'client'), null));
    expect(numberIn(fields, 'Port')).toBe(80);
    expect(numberIn(fields, 'Connections')).toBe(1);
    expect(fields['FailQueue']![0]).toEqual(Buffer.of(1));
    expect(fields['RejectUnauthorized']).toBeUndefined();
    expect(fields['Ca']).toBeUndefined();
    expect(numberIn(fields, 'MaxResponseSize')).toBe(-1);
  });
});
