/**
 * Events of a dispatcher that serves for another one.
 *
 * What lives here: whose events they are seen as. A dispatcher made of others forwards theirs. It must
 * not know what the events tell.
 */

import type { EventEmitter } from 'node:events';

import type { Dispatcher } from '../undici';

type Targets = readonly Dispatcher[];

/** undici's events of dispatchers; each names the URL and the dispatchers that it went through. */
const EVENTS = ['drain', 'connect', 'disconnect', 'connectionError'];

function relay(
  from: Dispatcher,
  owner: Dispatcher,
  seen: (targets: Targets) => Targets,
  ended?: () => void,
): void {
  for (const name of EVENTS) {
    const isEnd = name === 'disconnect' || name === 'connectionError';
    (from as EventEmitter).on(name, (url: URL, targets: Targets, ...rest: unknown[]) => {
      if (isEnd) ended?.();
      (owner as EventEmitter).emit(name, url, seen(targets), ...rest);
    });
  }
}

/**
 * `owner` emits the events of `from`, in front of whose targets it stands. `ended` is called before
 * listeners hear that a connection has ended or could not be made.
 */
export function forwardEvents(from: Dispatcher, owner: Dispatcher, ended?: () => void): void {
  relay(from, owner, (targets) => [owner, ...targets], ended);
}

/** `owner` emits the events of `from` as its own. */
export function adoptEvents(from: Dispatcher, owner: Dispatcher): void {
  relay(from, owner, (targets) => targets.map((target) => (target === from ? owner : target)));
}
