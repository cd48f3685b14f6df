/**
 * What sockets of the engine tell about their connections.
 *
 * What lives here: the members of `net.Socket` and `tls.TLSSocket` that Node takes from a handle, which
 * these sockets do not have. The stand-in of a connection gets them, and the byte stream after an upgrade.
 * It must not know requests. `docs/undici.md` names what is missing.
 */

import { X509Certificate } from 'node:crypto';
import type { Duplex } from 'node:stream';

import type { Connection } from './connection';
import { familyOf } from './errors';
import type { TlsInfo } from './events';

/** Bytes received and sent. */
export interface Traffic {
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

/** OpenSSL's name of a cipher suite. Those of TLS 1.3 are IANA's. */
function opensslName(cipher: string): string {
  if (!cipher.includes('_WITH_')) return cipher;
  const dashed = cipher.replace('TLS_', '').replace('_WITH_', '_').replaceAll('_', '-');
  return dashed.replace(/AES-(\d+)/, 'AES$1').replace('POLY1305-SHA256', 'POLY1305');
}

/** What a `tls.TLSSocket` has beside a `net.Socket`. */
function tlsMembers({ version, cipher, alpn, resumed, authorized, certificate }: TlsInfo) {
  const parse = () => (certificate === undefined ? undefined : new X509Certificate(certificate));
  return {
    encrypted: true,
    authorized,
    authorizationError: null,
    alpnProtocol: alpn ?? false,
    getProtocol: () => version,
    getCipher: () => ({ name: opensslName(cipher), standardName: cipher, version }),
    isSessionReused: () => resumed,
    getPeerX509Certificate: parse,
    getPeerCertificate: () => parse()?.toLegacyObject() ?? {},
  };
}

/** Adds these members to `socket`. `traffic` is asked whenever the counters are read. */
export function describeSocket(
  socket: Duplex,
  connection: Connection | null,
  traffic: () => Traffic,
): void {
  const { localAddress, localPort, remoteAddress, remotePort, tls } = connection?.info ?? {};
  const localFamily = familyOf(localAddress);
  const isKnown = localAddress !== undefined && localPort !== undefined;
  const values = {
    connecting: false,
    localAddress,
    localPort,
    localFamily,
    remoteAddress,
    remotePort,
    remoteFamily: familyOf(remoteAddress),
    address: () => (isKnown ? { address: localAddress, family: localFamily, port: localPort } : {}),
    ...(tls === undefined ? {} : tlsMembers(tls)),
  };
  for (const [name, value] of Object.entries(values)) {
    const descriptor = { configurable: true, enumerable: true, writable: true, value };
    Object.defineProperty(socket, name, descriptor);
  }
  const getters = {
    pending: () => socket.destroyed,
    bytesRead: () => traffic().bytesRead,
    bytesWritten: () => traffic().bytesWritten,
  };
  for (const [name, get] of Object.entries(getters)) {
    Object.defineProperty(socket, name, { configurable: true, get });
  }
}
