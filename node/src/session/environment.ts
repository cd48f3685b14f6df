/**
 * The session of this environment, made when the first request needs it.
 *
 * What lives here: the one global of the package. Pools ask for it; `configureEnvironment` may set
 * its options before that. It must not know what a session does.
 */

import { loadAddon } from '../native';
import { Session, type SessionOptions } from './session';

let session: Session | undefined;
let configured: SessionOptions = {};

/** Options for the session that the first request makes. Without effect afterwards; returns whether it took. */
export function configureEnvironment(options: SessionOptions): boolean {
  if (session !== undefined) return false;
  configured = { ...configured, ...options };
  return true;
}

/** The session of this environment, if a request has made it. */
export function openedSession(): Session | undefined {
  return session;
}

/**
 * The session of this environment.
 *
 * @throws Error with the code `ERR_DODICI_ADDON` when there is no usable addon.
 */
export function currentSession(): Session {
  session ??= new Session(loadAddon(), configured);
  return session;
}
