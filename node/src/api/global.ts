/**
 * The dispatcher of the top-level functions.
 *
 * What lives here: which dispatcher `request`, `fetch` and the others of this package use, and
 * those functions themselves. `index.ts` exports them. It must not know how a pool works.
 *
 * Importing dodici changes nothing for others: Node's fetch and undici's functions keep their
 * global dispatcher until `install()` or `setGlobalDispatcher()`. This package's functions use, in
 * this order: `options.dispatcher`; a global dispatcher that was set with dodici's, undici's or a
 * mock's `setGlobalDispatcher`; an `Agent` of ours, made when it is needed.
 */

import { Agent } from '../dispatchers';
import { isUrl, unpolluted } from '../options';
import { type Dispatcher, doesTakeBoth, ForOlderHandlers, peer, peerMajor } from '../undici';

/** Classes that undici and Node make their default global dispatcher of. */
const DEFAULT_CLASSES: readonly unknown[] = [peer.Agent, peer.Dispatcher1Wrapper];

/**
 * The peer's global dispatcher at the time of the import, if it looks like a default one: the
 * peer's own class, or the Agent inside Node. Anything else (a MockAgent, a ProxyAgent, a subclass)
 * was set by someone, and so was whatever differs later.
 */
const initial = findInitial();

function findInitial(): Dispatcher | undefined {
  const current = peer.getGlobalDispatcher() as Dispatcher | undefined;
  if (current === undefined) return undefined;
  const { constructor } = current;
  const isDefault =
    DEFAULT_CLASSES.includes(constructor) ||
    constructor.name === 'Agent' ||
    constructor.name === 'Dispatcher1Wrapper';
  return isDefault ? current : undefined;
}

/** Where undici 6 and 7, and Node's fetch up to Node 24, find the global dispatcher. */
export const OLDER = Symbol.for('undici.globalDispatcher.1');
/** Where undici 8 and Node's fetch from Node 26 on find it. */
export const NEWER = Symbol.for('undici.globalDispatcher.2');

let isChosen = false;
let ours: Agent | undefined;

/** The dispatcher that this package's functions use when none is given. */
export function getGlobalDispatcher(): Dispatcher {
  const current = peer.getGlobalDispatcher() as Dispatcher | undefined;
  if (current !== undefined && (isChosen || current !== initial)) return current;
  ours ??= new Agent();
  return ours;
}

/** Makes `dispatcher` the default of this package's and of undici's functions, and of Node's fetch. */
export function setGlobalDispatcher(dispatcher: Dispatcher): void {
  peer.setGlobalDispatcher(dispatcher);
  // undici 8 has put a wrapper there that takes older handlers, undici 7 the dispatcher itself.
  const isBare = peerMajor === 7 && !(dispatcher instanceof peer.Dispatcher);
  if (isBare && !doesTakeBoth(dispatcher)) {
    (globalThis as Record<symbol, unknown>)[OLDER] = new ForOlderHandlers(dispatcher);
  }
  isChosen = true;
}

/** Forgets that a global dispatcher was chosen; `install()` calls it when all of it is undone. */
export function forgetChoice(): void {
  isChosen = false;
}

/** Options of a call: those given, or those that stand in the place of the URL. */
function withDispatcher(url: unknown, options: unknown): unknown {
  if (options !== undefined && options !== null) {
    // What is no object is undici's to refuse.
    if (typeof options !== 'object') return options;
    const { dispatcher } = unpolluted(options) as { dispatcher?: unknown };
    return dispatcher === undefined ? { ...options, dispatcher: getGlobalDispatcher() } : options;
  }
  const inUrl = typeof url === 'object' && url !== null && !isUrl(url) ? url : {};
  // undici takes the path from the URL here, and a `path` among the options would mean another.
  return withDispatcher(undefined, { ...inUrl, path: undefined });
}

type Api = 'request' | 'stream' | 'pipeline' | 'connect' | 'upgrade';

type AnyFunction = (url: unknown, options: unknown, handler: unknown) => unknown;

/** undici's function of that name, with our default dispatcher. */
function bind<Name extends Api>(name: Name): (typeof peer)[Name] {
  const bound: AnyFunction = (url, options, handler) => {
    const call = peer[name] as unknown as AnyFunction;
    if (typeof options === 'function') return call(url, withDispatcher(url, null), options);
    return call(url, withDispatcher(url, options), handler);
  };
  Object.defineProperty(bound, 'name', { value: name });
  return bound as unknown as (typeof peer)[Name];
}

/** undici's `request`, through dodici. */
export const request = bind('request');
/** undici's `stream`, through dodici. */
export const stream = bind('stream');
/** undici's `pipeline`, through dodici. */
export const pipeline = bind('pipeline');
/** undici's `connect`, through dodici. */
export const connect = bind('connect');
/** undici's `upgrade`, through dodici. */
export const upgrade = bind('upgrade');

/**
 * undici's `fetch`, through dodici.
 *
 * A `Request` that was made with a `dispatcher` of its own keeps it only if the dispatcher is given
 * here as well: undici hides it inside the Request.
 */
export const fetch: typeof peer.fetch = function fetch(input, init) {
  const given = unpolluted(init) as { dispatcher?: unknown } | null | undefined;
  if (given !== undefined && given !== null && typeof given !== 'object') {
    return peer.fetch(input, init);
  }
  if (given?.dispatcher !== undefined) return peer.fetch(input, init);
  return peer.fetch(input, { ...init, dispatcher: getGlobalDispatcher() });
};
