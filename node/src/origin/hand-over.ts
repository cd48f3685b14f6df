/**
 * Handing requests to the peer if the server's TLS is too old for the engine.
 *
 * What lives here: who serves them then, and their error if no one may. `OriginDispatcher` asks
 * when a connection failed. It must not know for how long (`old-servers.ts`).
 */

import { addSentence, isHelloRefused } from '../connection';
import type { Request } from '../request';
import { dispatchToPeer, type PoolSettings } from '../options';
import type { Dispatcher } from '../undici';

const FORBIDDEN =
  'The server has no TLS version, cipher suite or curve in common with rustls; Node’s OpenSSL may, but connect.fallback is false';
const TOUCHED =
  'The server has no TLS version, cipher suite or curve in common with rustls, and a part of the body had been read: undici’s class serves the requests that follow';

/** A dispatcher with a stand-in. */
export interface MayHandOver {
  readonly destroyed: boolean;
  /** Whether there may be one for a server with old TLS. */
  readonly $mayHandOver: boolean;
  /** The peer's dispatcher that serves the origin from now on; `null`: only the engine may. */
  $peerForOldTls(): Dispatcher | null;
}

/** The peer's dispatcher, if `error` says that the server's TLS is too old; `null`: the engine. */
export function peerAfter(
  owner: MayHandOver,
  { connect }: PoolSettings,
  error: Error,
): Dispatcher | null {
  if (!isHelloRefused(error) || owner.destroyed) return null;
  const peer = owner.$peerForOldTls();
  if (peer === null && !connect.fallback) addSentence(error, FORBIDDEN);
  return peer;
}

/** `error` is about to end `request`, of which nothing was sent. Returns whether the peer serves it. */
export function takeOver(
  owner: MayHandOver,
  settings: PoolSettings,
  request: Request,
  error: Error,
): boolean {
  const peer = peerAfter(owner, settings, error);
  if (peer === null) return false;
  if (request.bodyAgain === undefined) {
    addSentence(error, TOUCHED);
    return false;
  }
  const { options, handler } = request.handOver();
  dispatchToPeer(peer, options, handler, settings.decompress);
  return true;
}
