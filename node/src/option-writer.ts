/**
 * Settings as the option list of a `PoolCreate` record.
 *
 * What lives here: the writer of `u16 key, u16 zero, u32 length, value padded to 4` and the list of
 * keys (`OptionKey` in `crates/dodici-wire/src/schema.rs`). `options.ts` calls it. It must not
 * validate: what arrives here is checked.
 */

import type { ConnectSettings } from './connect-options';
import type { PoolSettings } from './options';
import { OptionKey } from './wire/generated';

/** ALPN protocols on offer, most wanted first; the server chooses. */
function alpnOf(settings: PoolSettings): readonly string[] {
  const { allowH2, preferH2, h2 } = settings;
  if (h2.priorKnowledge) return ['h2'];
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

  flag(key: OptionKey, value: boolean): void {
    this.bytes(key, Buffer.of(value ? 1 : 0));
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}

/** Host without the brackets of an IPv6 address. */
function hostOf(url: URL): string {
  return url.hostname.startsWith('[') ? url.hostname.slice(1, -1) : url.hostname;
}

function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

function writeCredentials(out: OptionWriter, connect: ConnectSettings): void {
  for (const ca of connect.ca ?? []) out.bytes(OptionKey.Ca, ca);
  if (connect.cert !== null) out.bytes(OptionKey.Cert, connect.cert);
  if (connect.key !== null) out.bytes(OptionKey.Key, connect.key);
  if (connect.passphrase !== null) out.text(OptionKey.Passphrase, connect.passphrase);
}

/** The option list of a pool that has nothing but these certificates and keys. */
export function encodeCredentials(connect: ConnectSettings): Buffer {
  const out = new OptionWriter();
  out.text(OptionKey.Scheme, 'https');
  out.text(OptionKey.Host, 'localhost');
  out.number(OptionKey.Port, 443);
  // Without roots of its own there is nothing to judge in the default ones.
  out.flag(OptionKey.RejectUnauthorized, connect.ca !== null);
  writeCredentials(out, connect);
  return out.finish();
}

/** The option list. `servername` is the request's, and goes before the one in `connect`. */
export function encodeSettings(settings: PoolSettings, servername?: string): Uint8Array {
  const { url, connect } = settings;
  const out = new OptionWriter();
  out.text(OptionKey.Scheme, url.protocol.slice(0, -1));
  out.text(OptionKey.Host, hostOf(url));
  out.number(OptionKey.Port, portOf(url));

  out.number(OptionKey.Connections, settings.connections ?? 0);
  out.number(OptionKey.Pipelining, settings.pipelining);
  out.number(OptionKey.KeepAliveTimeout, settings.keepAliveTimeout);
  out.number(OptionKey.KeepAliveMaxTimeout, settings.keepAliveMaxTimeout);
  out.number(OptionKey.KeepAliveTimeoutThreshold, settings.keepAliveTimeoutThreshold);
  if (settings.clientTtl !== null) out.number(OptionKey.ClientTtl, settings.clientTtl);
  if (settings.maxRequestsPerClient !== null) {
    out.number(OptionKey.MaxRequestsPerClient, settings.maxRequestsPerClient);
  }
  out.flag(OptionKey.FailQueue, settings.kind === 'client');

  out.number(OptionKey.HeadersTimeout, settings.headersTimeout);
  out.number(OptionKey.BodyTimeout, settings.bodyTimeout);
  out.number(OptionKey.MaxHeaderSize, settings.maxHeaderSize);
  out.number(OptionKey.MaxResponseSize, settings.maxResponseSize);

  const { h2 } = settings;
  if (settings.allowH2 || h2.priorKnowledge) {
    out.flag(OptionKey.Http2, h2.priorKnowledge);
    out.number(OptionKey.MaxConcurrentStreams, h2.maxConcurrentStreams);
    out.number(OptionKey.StreamWindow, h2.initialWindowSize);
    if (h2.connectionWindowSize !== null) {
      out.number(OptionKey.ConnectionWindow, h2.connectionWindowSize);
    }
    out.number(OptionKey.PingInterval, h2.pingInterval);
  }

  out.number(OptionKey.ConnectTimeout, connect.timeout);
  if (settings.localAddress !== null) out.text(OptionKey.LocalAddress, settings.localAddress);
  if (settings.socketPath !== null) out.text(OptionKey.SocketPath, settings.socketPath);
  out.flag(OptionKey.NoDelay, connect.noDelay);
  out.number(OptionKey.KeepAliveProbe, connect.keepAliveProbe);
  out.number(OptionKey.Family, connect.family);
  out.flag(OptionKey.AutoSelectFamily, connect.autoSelectFamily);
  out.number(OptionKey.AutoSelectFamilyAttemptTimeout, connect.autoSelectFamilyAttemptTimeout);

  if (url.protocol === 'https:') {
    const name = servername || connect.servername;
    if (name) out.text(OptionKey.ServerName, name);
    out.flag(OptionKey.RejectUnauthorized, connect.rejectUnauthorized);
    writeCredentials(out, connect);
    for (const protocol of alpnOf(settings)) out.text(OptionKey.Alpn, protocol);
    out.text(OptionKey.MinVersion, connect.minVersion);
    out.text(OptionKey.MaxVersion, connect.maxVersion);
    out.number(OptionKey.MaxCachedSessions, connect.maxCachedSessions);
    out.flag(OptionKey.PlatformVerifier, connect.platformVerifier);
  }
  return out.finish();
}
