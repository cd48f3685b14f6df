/**
 * `NODE_DEBUG=dodici`: a line for each event of a connection and of a request.
 *
 * What lives here: the text of the lines. Requests and the diagnostics of connections write them.
 * They must not contain anything that may be secret: header fields, bodies, the query of a URL.
 *
 * Whether they are written is decided when the package is loaded. If not, they cost a request
 * nothing.
 */

import { debuglog } from 'node:util';

import type { Connection, DisconnectInfo, TlsInfo } from '../connection';

const write = debuglog('dodici');

/** Whether lines are written: check before you build one. */
export const isDebugging: boolean = write.enabled;

interface DebuggedRequest {
  readonly origin: string;
  readonly method: string;
  readonly path: string;
}

/** Numbers of requests, in the order of their first line. */
const numbers = new WeakMap<DebuggedRequest, number>();
let count = 0;

/** An event of a request. */
export function debugRequest(request: DebuggedRequest, event: string): void {
  let number = numbers.get(request);
  if (number === undefined) numbers.set(request, (number = ++count));
  const { method, origin, path } = request;
  write('request %d: %s %s%s: %s', number, method, origin, path.replace(/\?.*/s, '?…'), event);
}

/** For `connect.enableTrace`: what TLS with `origin` has negotiated, or why it has not, on stderr. */
export function traceTls(origin: string, outcome: TlsInfo | Error | undefined): void {
  if (outcome === undefined) return;
  const text =
    outcome instanceof Error
      ? outcome.message
      : `${outcome.version} ${outcome.cipher}, ALPN ${outcome.alpn ?? 'none'}, server name ${outcome.servername ?? 'none'}, ${outcome.resumed ? 'resumed' : 'new'} session`;
  process.stderr.write(`dodici: TLS with ${origin}: ${text}\n`);
}

/** A connection to `origin` is being opened, or could not be. */
export function debugConnecting(origin: string, event: string): void {
  write('%s: %s', origin, event);
}

/** A connection to `origin` has been opened. */
export function debugConnected(origin: string, { serial, info }: Connection): void {
  const { protocol, path, remoteAddress, remotePort, tls, proxy, timings } = info;
  const peer = path ?? `${remoteAddress ?? ''} port ${remotePort ?? ''}`;
  const through = proxy === undefined ? '' : ' through a proxy';
  const secured = tls === undefined ? '' : `, ${tls.version}`;
  const time = Math.round(timings.total);
  write(
    '%s: connection %d: connected to %s%s (%s%s, %d ms)',
    origin,
    serial,
    peer,
    through,
    protocol,
    secured,
    time,
  );
}

/** A connection to `origin` has ended. */
export function debugDisconnected(
  origin: string,
  { serial }: Connection,
  info: DisconnectInfo,
): void {
  const { reason, requests, age } = info;
  write(
    '%s: connection %d: ended: %s (requests: %d, %d ms)',
    origin,
    serial,
    reason,
    requests,
    Math.round(age),
  );
}
