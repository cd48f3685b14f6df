/**
 * Dispatchers made of others: `Agent` and the proxy agents.
 *
 * What lives here: their end, which is that of all their parts, and the end of an
 * unused part. It must not know which part a request goes to.
 */

import type { ConnectionStatus } from '../connection';
import type { Dispatcher } from '../undici';
import { readCounters } from './delegate';
import { DispatcherBase, hideFields } from './dispatcher-base';

/** A dispatcher, or what stands in for one. */
interface Part {
  close(): Promise<unknown>;
  destroy(error: Error): Promise<unknown>;
}

/** See above. */
export abstract class CompositeDispatcher extends DispatcherBase {
  /** Parts that finish their requests. */
  private $closing: readonly Part[] = [];

  /** All parts. No request goes to them any more. */
  protected abstract $takeParts(): readonly Part[];

  /** Those that have connections. */
  protected abstract $listParts(): Iterable<unknown>;

  override connections(): Promise<ConnectionStatus[]> {
    return connectionsOf(new Set([...this.$listParts(), ...this.$closing]));
  }

  protected override $closeGracefully(): Promise<unknown> {
    this.$closing = this.$takeParts();
    hideFields(this, '$closing');
    return Promise.all(this.$closing.map((part) => part.close()));
  }

  protected override $destroyNow(error: Error): Promise<unknown> {
    return Promise.all(this.$takeParts().map((part) => part.destroy(error)));
  }
}

/** What the connections of several dispatchers are doing; those of undici's own classes are not known. */
export async function connectionsOf(parts: Iterable<unknown>): Promise<ConnectionStatus[]> {
  const isOwn = (part: unknown): part is DispatcherBase => part instanceof DispatcherBase;
  const own = Array.from(parts).filter(isOwn);
  return (await Promise.all(own.map((part) => part.connections()))).flat();
}

/** What can open connections in advance. */
interface Preconnecting {
  preconnect(...given: unknown[]): Promise<number>;
}

/** Whether a dispatcher can open connections in advance; undici's own classes cannot. */
export function canPreconnect(dispatcher: object): dispatcher is Preconnecting {
  return typeof (dispatcher as Partial<Preconnecting>).preconnect === 'function';
}

/**
 * Opens connections of several dispatchers until each has `count` that are ready, and resolves with how many
 * all have. Rejects with the error of an attempt if none has any.
 */
export async function preconnectAll(parts: Iterable<object>, count: number): Promise<number> {
  const opening = Array.from(parts)
    .filter(canPreconnect)
    .map((part) => part.preconnect(count));
  let ready = 0;
  let failed: PromiseRejectedResult | undefined;
  for (const outcome of await Promise.allSettled(opening)) {
    if (outcome.status === 'fulfilled') ready += outcome.value;
    else failed ??= outcome;
  }
  if (ready === 0 && failed !== undefined) throw failed.reason;
  return ready;
}

/**
 * Closes a pool without connections and requests, so that many origins cost nothing in the long run.
 * Returns whether it is one.
 */
export function closeIfUnused(pool: Dispatcher): boolean {
  const { connected, busy, pending } = readCounters(pool);
  if (connected > 0 || busy || pending > 0) return false;
  if (!(pool as { destroyed?: boolean }).destroyed) void pool.close();
  return true;
}
