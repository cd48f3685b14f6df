/**
 * A limit on the connections of several pools together: the option `maxConnections` of agents.
 *
 * What lives here: the private option through which agents pass their limit to the dispatchers they
 * create. Agents set it, and `options.ts` reads it from a pool's options. It must not know pools: the
 * engine counts.
 */

/** See above. */
export interface SharedLimit {
  /** Pools with the same number share the limit. */
  readonly id: number;
  readonly most: number;
}

/** The key for the limit in options. A symbol, so that only agents can set it. */
const kSharedLimit = Symbol('shared limit');

let lastId = 0;

/** A limit that nothing is under yet. */
export function makeLimit(most: number): SharedLimit {
  return { id: ++lastId, most };
}

/** The same options under a limit, if there is one. */
export function underLimit<Options extends object>(
  options: Options,
  limit: SharedLimit | null,
): Options {
  return limit === null ? options : { ...options, [kSharedLimit]: limit };
}

/** The limit that options are under. */
export function limitOf(options: unknown): SharedLimit | null {
  if (typeof options !== 'object' || options === null) return null;
  if (!Object.hasOwn(options, kSharedLimit)) return null;
  return (options as Record<symbol, SharedLimit>)[kSharedLimit] ?? null;
}
