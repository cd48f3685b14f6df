/**
 * The events of a dispatcher.
 *
 * What lives here: undici's arguments, followed by the details. `OriginDispatcher` has one. It must
 * not know when an event is due.
 */

import type { EventEmitter } from 'node:events';

import type { Connection } from '../connection';
import type { Dispatcher } from '../undici';
import type { MayHandOver } from './hand-over';

/** The dispatcher named in events. */
export type EventOwner = Dispatcher &
  MayHandOver & {
    /** The targets after the dispatcher in events of a connection: a pool's client; none for a client. */
    $targetsOf(connection: Connection | null): readonly Dispatcher[];
  };

/** See above. */
export class OwnerEvents {
  readonly #owner: EventOwner;
  readonly #url: URL;

  constructor(owner: EventOwner, url: URL) {
    this.#owner = owner;
    this.#url = url;
  }

  /** Emits an event of the origin, or of one of its connections. */
  emit(name: string, connection: Connection | null, ...details: unknown[]): void {
    if ((this.#owner as EventEmitter).listenerCount(name) === 0) return;
    this.emitBare(name, this.#url, this.#owner.$targetsOf(connection), ...details);
  }

  /** Emits one with other arguments. The peer's declarations have neither `error` nor our details. */
  emitBare(name: string, ...values: unknown[]): void {
    (this.#owner as EventEmitter).emit(name, ...values);
  }
}
