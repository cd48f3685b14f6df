/**
 * The pools of this environment.
 *
 * What lives here: which pool receives a completion, and how long it is kept alive. The session has one
 * table; pools register in it. It must not know slots, nor what a pool does with a record.
 */

import { Completion } from '../wire';

/** Owner of a native pool. Payloads are in `batch` from `start` to `end`, only until the call returns. */
export interface PoolOwner {
  onConnected(connection: number, batch: Buffer, start: number, end: number): void;
  onConcurrency(connection: number, streams: number): void;
  onPong(connection: number, milliseconds: number): void;
  onDisconnected(connection: number, batch: Buffer, start: number, end: number): void;
  onConnectFailed(connection: number, batch: Buffer, start: number, end: number): void;
  onConnectGivenUp(): void;
  /** The user's function must resolve `host`. */
  onLookup(lookup: number, host: string): void;
  /** The user's rule must judge an address: `question` is the address, LF, and its host. */
  onAddress(lookup: number, isProxied: boolean, question: string): void;
  /** The user's function must judge a server. */
  onIdentity(lookup: number, isProxy: boolean, question: Buffer): void;
  /** The answer to a question; if it `failed`, an error payload. */
  onAnswer(question: number, failed: boolean, batch: Buffer, start: number, end: number): void;
  onPoolClosed(): void;
  /** See `ProcessSettings`. */
  onProcessChanged(): void;
}

/** See above. */
export class PoolTable {
  /** Strong while the pool has connections; its requests keep it alive as well. */
  readonly #pools = new Map<number, PoolOwner | WeakRef<PoolOwner>>();
  readonly #abandoned: FinalizationRegistry<number>;
  #next = 1;

  /** `destroy` is called for a pool that was collected. */
  constructor(destroy: (id: number) => void) {
    this.#abandoned = new FinalizationRegistry((id) => {
      this.#pools.delete(id);
      destroy(id);
    });
  }

  /** A new pool id; completions about it go to `owner` until `onPoolClosed`. */
  register(owner: PoolOwner): number {
    const id = this.#next++;
    this.letGo(id, owner);
    this.#abandoned.register(owner, id, owner);
    return id;
  }

  /** Keeps a pool alive that has connections, or is about to, even if nothing else does. */
  keep(id: number, owner: PoolOwner): void {
    this.#pools.set(id, owner);
  }

  /** From now on the pool lives as long as its user, or a request, references it. */
  letGo(id: number, owner: PoolOwner): void {
    this.#pools.set(id, new WeakRef(owner));
  }

  #get(id: number): PoolOwner | undefined {
    const owner = this.#pools.get(id);
    return owner instanceof WeakRef ? owner.deref() : owner;
  }

  /** Whether the pool is still in use. */
  has(id: number): boolean {
    return this.#get(id) !== undefined;
  }

  /** Process settings have changed. */
  processChanged(): void {
    for (const id of this.#pools.keys()) this.#get(id)?.onProcessChanged();
  }

  /** Delivers a record to its pool, unless that was collected. */
  deliver(
    batch: Buffer,
    kind: number,
    flags: number,
    id: number,
    connection: number,
    start: number,
    end: number,
  ): void {
    const pool = this.#get(id);
    if (pool === undefined) return;
    switch (kind) {
      case Completion.Connected:
        pool.onConnected(connection, batch, start, end);
        return;
      case Completion.Disconnected:
        pool.onDisconnected(connection, batch, start, end);
        return;
      case Completion.ConnectFailed:
        pool.onConnectFailed(connection, batch, start, end);
        return;
      case Completion.ConnectGivenUp:
        pool.onConnectGivenUp();
        return;
      case Completion.Concurrency:
        pool.onConcurrency(connection, batch.readUInt32LE(start));
        return;
      case Completion.Pong:
        pool.onPong(connection, batch.readUInt32LE(start) / 1000);
        return;
      case Completion.Lookup:
        pool.onLookup(connection, batch.toString('utf8', start, end));
        return;
      case Completion.Address:
        pool.onAddress(connection, (flags & 1) !== 0, batch.toString('utf8', start, end));
        return;
      case Completion.Identity:
        pool.onIdentity(connection, (flags & 1) !== 0, batch.subarray(start, end));
        return;
      case Completion.Answer:
        pool.onAnswer(connection, (flags & 1) !== 0, batch, start, end);
        return;
      case Completion.PoolClosed:
        this.#pools.delete(id);
        this.#abandoned.unregister(pool);
        pool.onPoolClosed();
        return;
      default:
        throw new RangeError(`dodici: unknown completion ${kind}`);
    }
  }
}
