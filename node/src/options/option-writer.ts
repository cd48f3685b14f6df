/**
 * Writes settings as the option list of a `PoolCreate` or `PoolConfigure` record.
 *
 * What lives here: the writer of `u16 key, u16 zero, u32 length, value padded to 4`, and what is
 * written in addition to the rows of the table. `origin` calls it. It must not validate: settings
 * are valid.
 */

import { OptionKey } from '../wire';
import type { ConnectSettings } from './connect-options';
import {
  CLIENT_SETTINGS,
  H2_OPTIONS,
  POOL_OPTIONS,
  SOCKET_SETTINGS,
  TLS_SETTINGS,
  type WrittenRow,
} from './generated';
import { bareHostname, portOf } from './host';
import { lookupOf } from './lookups';
import { boundAddress, type PoolSettings } from './options';
import { resultOrder, settle } from './process-settings';
import type { ProxySettings } from './proxy-settings';

/** ALPN protocols offered, in order of preference; the server chooses. */
function alpnOf(settings: PoolSettings): readonly string[] {
  const { allowH2, preferH2, h2 } = settings;
  if (h2.useH2c) return ['h2'];
  if (!allowH2) return ['http/1.1'];
  return preferH2 ? ['h2', 'http/1.1'] : ['http/1.1', 'h2'];
}

/** Appends options; all numbers little-endian. */
class OptionWriter {
  private readonly parts: Buffer[] = [];

  bytes(key: OptionKey, value: Uint8Array): void {
    const part = Buffer.alloc(8 + ((value.byteLength + 3) & ~3));
    part.writeUInt16LE(key, 0);
    part.writeUInt32LE(value.byteLength, 4);
    part.set(value, 8);
    this.parts.push(part);
  }

  text(key: OptionKey, value: string): void {
    this.bytes(key, Buffer.from(value, 'utf8'));
  }

  number(key: OptionKey, value: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    this.bytes(key, bytes);
  }

  /** Numbers of two bytes; `null` is not written. */
  codePoints(key: OptionKey, values: readonly number[] | null): void {
    if (values !== null) this.bytes(key, Buffer.from(values.flatMap((n) => [n & 0xff, n >> 8])));
  }

  flag(key: OptionKey, value: boolean): void {
    this.bytes(key, Buffer.of(value ? 1 : 0));
  }

  /** Writes the setting of each row; `null` is not written. */
  rows(rows: readonly WrittenRow[], settings: object): void {
    for (const { name, key, form } of rows) {
      const value = (settings as Record<string, unknown>)[name];
      if (value === null) continue;
      if (form === 'number') this.number(key, value as number);
      else if (form === 'flag') this.flag(key, value as boolean);
      else this.text(key, value as string);
    }
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}

function writeCredentials(out: OptionWriter, connect: ConnectSettings): void {
  const { ca } = connect;
  // An empty item stands for an empty list.
  for (const item of ca?.length === 0 ? [Buffer.alloc(0)] : (ca ?? [])) {
    out.bytes(OptionKey.Ca, item);
  }
  if (connect.cert !== null) out.bytes(OptionKey.Cert, connect.cert);
  if (connect.key !== null) out.bytes(OptionKey.Key, connect.key);
}

/** An option list with these certificates and keys only. */
export function encodeCredentials(connect: ConnectSettings): Buffer {
  const out = new OptionWriter();
  out.text(OptionKey.Scheme, 'https');
  out.text(OptionKey.Host, 'localhost');
  out.number(OptionKey.Port, 443);
  // Without its own roots, there is nothing to check.
  out.flag(OptionKey.RejectUnauthorized, connect.ca !== null);
  writeCredentials(out, connect);
  return out.finish();
}

function writeTls(
  out: OptionWriter,
  connect: ConnectSettings,
  servername: string | null,
  alpn: readonly string[],
): void {
  const settled = settle(connect);
  if (servername) out.text(OptionKey.ServerName, servername);
  out.rows(TLS_SETTINGS, settled);
  out.codePoints(OptionKey.CipherSuites, settled.cipherSuites);
  out.codePoints(OptionKey.Groups, settled.groups);
  out.codePoints(OptionKey.SignatureSchemes, settled.signatureSchemes);
  writeCredentials(out, connect);
  if (connect.checkServerIdentity !== null) out.flag(OptionKey.CheckIdentity, true);
  for (const protocol of alpn) out.text(OptionKey.Alpn, protocol);
}

function writeProxy(out: OptionWriter, proxy: ProxySettings): void {
  out.text(OptionKey.ProxyProtocol, proxy.protocol);
  out.text(OptionKey.ProxyHost, proxy.hostname);
  out.number(OptionKey.ProxyPort, proxy.port);
  out.number(OptionKey.ProxyTimeout, proxy.connect.timeout);
  if (proxy.credentials !== null) {
    out.text(OptionKey.ProxyUsername, proxy.credentials.username);
    out.text(OptionKey.ProxyPassword, proxy.credentials.password);
  }
  for (const [name, value] of proxy.headers) {
    out.bytes(OptionKey.ProxyHeader, Buffer.from(`${name}\n${value}`, 'latin1'));
  }
  if (!proxy.isSecure) return;
  const tls = new OptionWriter();
  // CONNECT uses HTTP/1.1, and SOCKS neither.
  writeTls(tls, proxy.connect, proxy.connect.servername, ['http/1.1']);
  out.bytes(OptionKey.ProxyTls, tls.finish());
}

/** For all legs: with a proxy, the longer of undici's two timeouts. */
function totalTimeout({ connect, proxy }: PoolSettings): number {
  if (proxy === null) return connect.timeout;
  const both = [connect.timeout, proxy.connect.timeout];
  return both.includes(0) ? 0 : Math.max(...both);
}

/** The option list. `servername` is the request's, if any, and overrides that in `connect`. */
export function encodeSettings(settings: PoolSettings, servername: string | null): Uint8Array {
  const { url, connect } = settings;
  const out = new OptionWriter();
  out.text(OptionKey.Scheme, url.protocol.slice(0, -1));
  out.text(OptionKey.Host, bareHostname(url));
  out.number(OptionKey.Port, portOf(url));

  out.rows(CLIENT_SETTINGS, settings);
  out.rows(POOL_OPTIONS, settings);
  if (settings.eager) out.flag(OptionKey.Eager, true);
  out.flag(OptionKey.FailQueue, settings.kind === 'client');
  if (settings.allowH2 || settings.h2.useH2c) out.rows(H2_OPTIONS, settings.h2);

  out.number(OptionKey.ConnectTimeout, totalTimeout(settings));
  // With a proxy, the socket is that to the proxy.
  const hop = settle(settings.proxy?.connect ?? connect);
  const isDirect = settings.proxy === null;
  const localAddress = boundAddress(settings);
  const socketPath = isDirect ? settings.socketPath : hop.socketPath;
  if (localAddress !== null) out.text(OptionKey.LocalAddress, localAddress);
  if (socketPath !== null) out.text(OptionKey.SocketPath, socketPath);
  if (lookupOf(settings) !== null) out.flag(OptionKey.Lookup, true);
  if (hop.blockList !== null) out.flag(OptionKey.FilterAddresses, true);
  out.text(OptionKey.ResultOrder, resultOrder());
  out.number(OptionKey.KeepAliveProbe, hop.keepAliveProbe);
  out.rows(SOCKET_SETTINGS, hop);

  if (url.protocol === 'https:') {
    writeTls(out, connect, servername || connect.servername, alpnOf(settings));
  }
  if (settings.proxy !== null) writeProxy(out, settings.proxy);
  return out.finish();
}
