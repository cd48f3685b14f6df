/**
 * The global dispatcher.
 *
 * What lives here: the dispatcher that the top-level functions and `fetch` use by default. It must not
 * know them.
 *
 * Importing dodici changes nothing for others: Node's fetch and undici's functions keep their
 * global dispatcher until `install()` or `setGlobalDispatcher()`. This package's functions use, in
 * this order: `options.dispatcher`; a global dispatcher that was set with dodici's, undici's or a
 * mock's `setGlobalDispatcher`; our own `Agent`, created when it is needed.
 */

import { type Dispatcher, doesTakeBoth, ForOlderHandlers, peer, peerMajor } from '../undici';
import { Agent } from './agent';

/** Classes of undici's and Node's default global dispatcher. */
const DEFAULT_CLASSES: readonly unknown[] = [peer.Agent, peer.Dispatcher1Wrapper];

/**
 * The peer's global dispatcher at the time of the import, if it looks like a default one: the
 * peer's own class, or the Agent inside Node. Anything else (a MockAgent, a ProxyAgent, a subclass)
 * was set explicitly, and so was anything that differs later.
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
  // undici 8 stores a wrapper there that accepts older handlers, undici 7 the dispatcher itself.
  const isBare = peerMajor === 7 && !(dispatcher instanceof peer.Dispatcher);
  if (isBare && !doesTakeBoth(dispatcher)) {
    (globalThis as Record<symbol, unknown>)[OLDER] = new ForOlderHandlers(dispatcher);
  }
  isChosen = true;
}

/** Resets the choice of a global dispatcher; called when the last `install()` is undone. */
export function forgetChoice(): void {
  isChosen = false;
}
