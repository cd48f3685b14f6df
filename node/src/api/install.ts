/**
 * `install()`: Node's built-in fetch, and the peer's functions, through dodici.
 *
 * What lives here: what `install()` puts on `globalThis`, and the way back. Users call it. It must not
 * know pools.
 *
 * undici's generations, and the copies of it inside Node, look for their dispatcher under two symbols:
 * Node 20, 22 and 24 read `undici.globalDispatcher.1` and pass handlers of the older generation, Node 26
 * reads `.2` and passes the newer one. Only a dispatcher that takes both stands under both as it is. It
 * works before and after the first fetch: Node looks at the symbol on every call.
 */

import { Agent, forgetChoice, NEWER, OLDER, setGlobalDispatcher } from '../dispatchers';
import type { AgentOptions } from '../options';
import { standsInNode } from '../process';
import { EnvHttpProxyAgent } from '../proxies';
import { type Dispatcher, doesTakeBoth, errors, peer } from '../undici';
import { fetch } from './functions';

/** What `install()` did. */
export interface Installation {
  /** The dispatcher that now serves Node's fetch. */
  readonly dispatcher: Dispatcher;
  /**
   * Puts back what was there before, where nobody has replaced it since; installations may be undone
   * in any order. Requests in flight go on; the dispatcher stays open.
   */
  uninstall(): void;
  /** As `uninstall()`. */
  [Symbol.dispose](): void;
}

type Key = string | symbol;

/** A property of `globalThis` before an installation, and as that left it. */
interface Change {
  readonly key: Key;
  before: PropertyDescriptor | undefined;
  readonly after: PropertyDescriptor | undefined;
}

/** What is installed, the oldest first. */
const installations: (readonly Change[])[] = [];

/** Names that belong together: a Request of one fetch means nothing to another. */
const FETCH = ['fetch', 'Headers', 'Response', 'Request', 'FormData'];
const OTHERS = ['WebSocket', 'CloseEvent', 'ErrorEvent', 'MessageEvent', 'EventSource'];

/** Descriptors, because Node has getters that load a class when it is needed. */
function look(key: Key): PropertyDescriptor | undefined {
  return Object.getOwnPropertyDescriptor(globalThis, key);
}

function isSame(one: PropertyDescriptor | undefined, other: PropertyDescriptor | undefined) {
  return one?.value === other?.value && one?.get === other?.get;
}

/**
 * Whether fetch is nobody's whom we would put out of work: a mock that stands there calls Node's, and
 * so our dispatcher, by itself.
 */
function isFetchFree(): boolean {
  const now: unknown = globalThis.fetch;
  if (now === undefined || now === fetch || now === peer.fetch) return true;
  return (
    standsInNode(now, ['internal/bootstrap/web/exposed-window-or-worker'], /fetch|web/) ?? true
  );
}

/** The names that undici's `install()` sets, with its values; `fetch` with ours. */
function globalNames(): [name: string, value: unknown][] {
  const values = peer as unknown as Readonly<Record<string, unknown>>;
  return [...(isFetchFree() ? FETCH : []), ...OTHERS].map((name) => [
    name,
    name === 'fetch' ? fetch : values[name],
  ]);
}

function undo(changes: readonly Change[]): void {
  const index = installations.indexOf(changes);
  if (index === -1) return;
  installations.splice(index, 1);
  const later = installations.slice(index).flat();
  for (const { key, before, after } of changes) {
    // Whoever came on top of it goes back to what was below.
    const heir = later.find((change) => change.key === key && isSame(change.before, after));
    if (heir !== undefined) heir.before = before;
    else if (!isSame(look(key), after)) continue;
    else if (before === undefined) Reflect.deleteProperty(globalThis, key);
    else Object.defineProperty(globalThis, key, before);
  }
  if (installations.length === 0) forgetChoice();
}

function isDispatcher(value: unknown): value is Dispatcher {
  return typeof (value as { dispatch?: unknown } | null | undefined)?.dispatch === 'function';
}

/** Whether Node's fetch goes through the proxies of the environment, as `NODE_USE_ENV_PROXY` says. */
function usesProxies(): boolean {
  const globals = globalThis as Record<symbol, object | undefined>;
  return [OLDER, NEWER].some((key) => globals[key]?.constructor.name === 'EnvHttpProxyAgent');
}

function makeDispatcher(options: AgentOptions | undefined): Dispatcher {
  return usesProxies()
    ? new EnvHttpProxyAgent(options as EnvHttpProxyAgent.Options)
    : new Agent(options);
}

/**
 * Makes Node's built-in fetch, and undici's and dodici's functions, use `dispatcher`, or a new
 * `Agent` with the options given; an `EnvHttpProxyAgent` where Node's fetch used the proxies of the
 * environment, which so stay in use.
 *
 * As undici's `install()`, it sets `globalThis.fetch`, `Headers`, `Response`, `Request`, `FormData`,
 * `WebSocket`, `CloseEvent`, `ErrorEvent`, `MessageEvent` and `EventSource`. A fetch that is not
 * Node's, such as a mock's, stays with the classes beside it.
 *
 * @throws InvalidArgumentError for bad options; nothing is changed then.
 */
export function install(options?: AgentOptions | Dispatcher): Installation {
  if (options !== undefined && options !== null && typeof options !== 'object') {
    throw new errors.InvalidArgumentError('install() takes a dispatcher, or options of an Agent');
  }
  const dispatcher = isDispatcher(options) ? options : makeDispatcher(options);
  const names = globalNames();
  const keys: Key[] = [OLDER, NEWER, ...names.map(([name]) => name)];
  const before = keys.map(look);

  // The peer first: undici 8 puts a wrapper for older handlers under `.1`, which ours do not need.
  setGlobalDispatcher(dispatcher);
  if (doesTakeBoth(dispatcher)) {
    for (const symbol of [OLDER, NEWER]) {
      (globalThis as Record<symbol, unknown>)[symbol] = dispatcher;
    }
  }
  for (const [name, value] of names) {
    const enumerable = look(name)?.enumerable ?? false;
    const rest = { enumerable, writable: true, configurable: true };
    Object.defineProperty(globalThis, name, { value, ...rest });
  }

  const changes = keys.map((key, index) => ({ key, before: before[index], after: look(key) }));
  installations.push(changes);
  const uninstall = (): void => undo(changes);
  return { dispatcher, uninstall, [Symbol.dispose]: uninstall };
}
