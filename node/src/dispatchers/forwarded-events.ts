/**
 * Events of a dispatcher that serves on behalf of another.
 *
 * What lives here: forwarding of events by dispatchers that are made of others. It must
 * not know what the events mean.
 */

import type { EventEmitter } from 'node:events';

import type { Dispatcher } from '../undici';

type Targets = readonly Dispatcher[];

/** undici's events of dispatchers; their arguments are the URL and the dispatchers on the way. */
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
 * `owner` emits the events of `from`, and adds itself to their targets. `ended` is called before
 * listeners are notified that a connection has ended or could not be opened.
 */
export function forwardEvents(from: Dispatcher, owner: Dispatcher, ended?: () => void): void {
  relay(from, owner, (targets) => [owner, ...targets], ended);
}

/** `owner` emits the events of `from` as its own. */
export function adoptEvents(from: Dispatcher, owner: Dispatcher): void {
  relay(from, owner, (targets) => targets.map((target) => (target === from ? owner : target)));
}
