/**
 * Events of a dispatcher, as its listeners get them.
 *
 * What lives here: undici's arguments in front of the details. `OriginDispatcher` has one. It must not
 * know when an event is due.
 */

import type { EventEmitter } from 'node:events';

import type { Connection } from '../connection';
import type { Dispatcher } from '../undici';
import type { MayHandOver } from './hand-over';

/** The dispatcher named in events. */
export type EventOwner = Dispatcher &
  MayHandOver & {
    /** What events of one connection name after the dispatcher: a pool's client; nothing for a client. */
    targetsOf(connection: Connection | null): readonly Dispatcher[];
  };

/** See above. */
export class OwnerEvents {
  readonly #owner: EventOwner;
  readonly #url: URL;

  constructor(owner: EventOwner, url: URL) {
    this.#owner = owner;
    this.#url = url;
  }

  /** An event about the origin, or about one of its connections. */
  emit(name: string, connection: Connection | null, ...details: unknown[]): void {
    if ((this.#owner as EventEmitter).listenerCount(name) === 0) return;
    this.emitBare(name, this.#url, this.#owner.targetsOf(connection), ...details);
  }

  /** One with other arguments. The peer declares its own, and neither `error` nor our details. */
  emitBare(name: string, ...values: unknown[]): void {
    (this.#owner as EventEmitter).emit(name, ...values);
  }
}
