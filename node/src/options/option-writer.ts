/**
 * Writes settings as the option list of a `PoolCreate` or `PoolConfigure` record.
 *
 * What lives here: what is written in addition to the rows of the table. `origin` calls it. It must
 * not validate: settings are valid.
 */

import { keyLogFile } from '../process';
import { OptionKey } from '../wire';
import { writeCertificates } from './certificates';
import type { ConnectSettings } from './connect-options';
import { encodeDns } from './dns-options';
import {
  CLIENT_SETTINGS,
  H2_OPTIONS,
  POOL_OPTIONS,
  SOCKET_SETTINGS,
  TLS_SETTINGS,
} from './generated';
import { bareHostname, portOf } from './host';
import { lookupOf } from './lookups';
import { OptionList } from './option-list';
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

/** Who is asked about addresses. */
function writeRule(
  out: OptionList,
  key: OptionKey,
  { allow, blockList }: Pick<ConnectSettings, 'allow' | 'blockList'>,
): void {
  if (allow === null && blockList === null) return;
  out.text(key, allow === 'public' && blockList === null ? allow : 'asked');
}

function writeTls(
  out: OptionList,
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
  writeCertificates(out, connect);
  const keyLog = keyLogFile();
  if (keyLog !== null) out.text(OptionKey.KeyLog, keyLog);
  if (connect.allowPartialTrustChain) out.flag(OptionKey.PartialChains, true);
  if (connect.checkServerIdentity !== null) out.flag(OptionKey.CheckIdentity, true);
  for (const protocol of alpn) out.text(OptionKey.Alpn, protocol);
}

function writeProxy(out: OptionList, proxy: ProxySettings): void {
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
  const tls = new OptionList();
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
  const out = new OptionList();
  out.text(OptionKey.Scheme, url.protocol.slice(0, -1));
  out.text(OptionKey.Host, bareHostname(url));
  out.number(OptionKey.Port, portOf(url));

  if (settings.limit !== null) {
    out.number(OptionKey.LimitId, settings.limit.id);
    out.number(OptionKey.MaxConnections, settings.limit.most);
  }
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
  writeRule(out, OptionKey.Allow, hop);
  if (!isDirect) writeRule(out, OptionKey.AllowProxied, connect);
  out.text(OptionKey.ResultOrder, resultOrder());
  if (settings.dns !== null) out.bytes(OptionKey.DnsCache, encodeDns(settings.dns));
  out.number(OptionKey.KeepAliveProbe, hop.keepAliveProbe);
  out.rows(SOCKET_SETTINGS, hop);

  if (url.protocol === 'https:') {
    writeTls(out, connect, servername || connect.servername, alpnOf(settings));
  }
  if (settings.proxy !== null) writeProxy(out, settings.proxy);
  return out.finish();
}
