/**
 * Fetches that end when a signal fires.
 *
 * What lives here: one listener per signal, however many fetches follow it, so that a signal used
 * for everything causes no warning about a leak. It must not know fetches.
 */

import { addAbortListener } from 'node:events';

/** Follows a signal. */
export interface Follower {
  /** The signal has fired. */
  aborted(reason: unknown): void;
}

class Followers {
  readonly members = new Set<Follower>();
  readonly #listener: Disposable;

  constructor(signal: AbortSignal) {
    this.#listener = addAbortListener(signal, () => {
      followed.delete(signal);
      for (const follower of this.members) follower.aborted(signal.reason);
    });
  }

  stop(): void {
    this.#listener[Symbol.dispose]();
  }
}

const followed = new WeakMap<AbortSignal, Followers>();

/** Notifies `follower` when `signal`, which has not fired yet, does. */
export function follow(signal: AbortSignal, follower: Follower): void {
  let followers = followed.get(signal);
  if (followers === undefined) {
    followers = new Followers(signal);
    followed.set(signal, followers);
  }
  followers.members.add(follower);
}

/** Stops notifying it. */
export function unfollow(signal: AbortSignal, follower: Follower): void {
  const followers = followed.get(signal);
  if (!followers?.members.delete(follower)) return;
  if (followers.members.size > 0) return;
  followed.delete(signal);
  followers.stop();
}
