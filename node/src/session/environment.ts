/**
 * The session of this environment, created when the first request needs it.
 *
 * What lives here: the package's only global. Pools use it; `configureEnvironment` may set its options
 * before. It must not know what a session does.
 */

import { loadAddon } from '../native';
import { Session, type SessionOptions } from './session';

let session: Session | undefined;
let configured: SessionOptions = {};

/** Options for the session that the first request creates. Returns false if there already is one. */
export function configureEnvironment(options: SessionOptions): boolean {
  if (session !== undefined) return false;
  configured = { ...configured, ...options };
  return true;
}

/** The session of this environment, if a request has created it. */
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
