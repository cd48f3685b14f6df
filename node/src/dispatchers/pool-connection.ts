/**
 * One connection of a pool, as undici exposes it: a client.
 *
 * What lives here: the object that follows the pool in the targets of events, where undici's pools have
 * one client per connection. `Pool` creates it on demand. It must not know records.
 */

import type { Connection, ConnectionStatus } from '../connection';
import type { PoolCounters } from '../origin';
import { Client } from './client';
import type { PooledDispatcher } from './pooled-dispatcher';

function dropConnection(this: PoolConnection): void {
  this.drop();
}

/**
 * A client that shares its pool's queue: a request dispatched on it uses any of the pool's connections.
 * Its counters show whether the connection is open; `destroy()` ends the connection.
 */
export class PoolConnection extends Client {
  /** `null`: the connection could not be opened. */
  private readonly $connection: Connection | null;

  constructor(pool: PooledDispatcher, connection: Connection | null) {
    super(pool as never);
    this.$connection = connection;
    // As in undici, a pool continues without a connection whose client reports an error.
    this.on('connectionError', dropConnection);
  }

  /** Ends the connection. */
  drop(): void {
    this.$connection?.destroy(null);
  }

  protected override get $openConnections(): Iterable<Connection> {
    return this.$connection === null ? [] : [this.$connection];
  }

  override async connections(): Promise<ConnectionStatus[]> {
    const id = this.$connection?.info.id;
    return (await super.connections()).filter((status) => status.id === id);
  }

  protected override get $counters(): PoolCounters {
    const connected = this.$connection?.isUp === true ? 1 : 0;
    return {
      connected,
      free: connected,
      queued: 0,
      pending: 0,
      running: 0,
      size: 0,
      busy: false,
    };
  }

  /** With requests in flight it is unknown which of them the connection serves: it may end first. */
  protected override async $closeGracefully(): Promise<void> {
    if (this.$pool.counters.size > 0) await this.$connection?.whenEnded;
  }

  protected override async $destroyNow(error: Error): Promise<void> {
    if (this.$connection?.isUp !== true) return;
    this.$connection.destroy(error);
    await this.$connection.whenEnded;
  }
}
