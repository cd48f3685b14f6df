/**
 * `install()`: routes Node's built-in fetch, and the peer's functions, through dodici.
 *
 * What lives here: what `install()` sets on `globalThis`, and how it is undone. Users call it. It must
 * not know pools.
 *
 * undici's generations, and the copies of it inside Node, look up their dispatcher under two symbols:
 * Node 20, 22 and 24 read `undici.globalDispatcher.1` and pass handlers of the older generation, Node 26
 * reads `.2` and passes the newer one. Only a dispatcher that accepts both is set under both unchanged.
 * It works before and after the first fetch: Node reads the symbol on every call.
 */

import { Agent, forgetChoice, NEWER, OLDER, setGlobalDispatcher } from '../dispatchers';
import { type AgentOptions, ownOptions } from '../options';
import { standsInNode } from '../process';
import { EnvHttpProxyAgent } from '../proxies';
import { type Dispatcher, doesTakeBoth, invalid, peer } from '../undici';
import { fetch } from './functions';

/** What `install()` did. */
export interface Installation {
  /** The dispatcher that now serves Node's fetch. */
  readonly dispatcher: Dispatcher;
  /**
   * Restores what was there before, unless it was replaced since; installations may be undone in any
   * order. Requests in flight continue; the dispatcher stays open.
   */
  uninstall(): void;
  /** Same as `uninstall()`. */
  [Symbol.dispose](): void;
}

type Key = string | symbol;

/** A property of `globalThis` before and after an installation. */
interface Change {
  readonly key: Key;
  before: PropertyDescriptor | undefined;
  readonly after: PropertyDescriptor | undefined;
}

/** Active installations, oldest first. */
const installations: (readonly Change[])[] = [];

/** Names that belong together: one implementation's Request is meaningless to another's fetch. */
const FETCH = ['fetch', 'Headers', 'Response', 'Request', 'FormData'];
const OTHERS = ['WebSocket', 'CloseEvent', 'ErrorEvent', 'MessageEvent', 'EventSource'];

/** Descriptors, because Node has getters that load a class on demand. */
function look(key: Key): PropertyDescriptor | undefined {
  return Object.getOwnPropertyDescriptor(globalThis, key);
}

function isSame(one: PropertyDescriptor | undefined, other: PropertyDescriptor | undefined) {
  return one?.value === other?.value && one?.get === other?.get;
}

/**
 * Whether `fetch` may be replaced: a mock in its place would be disabled, and calls Node's, and so our
 * dispatcher, itself.
 */
function isFetchFree(): boolean {
  const now: unknown = globalThis.fetch;
  if (now === undefined || now === fetch || now === peer.fetch) return true;
  return (
    standsInNode(now, ['internal/bootstrap/web/exposed-window-or-worker'], /fetch|web/) ?? true
  );
}

/** The names set by undici's `install()`, with its values; `fetch` is ours. */
function globalNames(withFetch: boolean): [name: string, value: unknown][] {
  const values = peer as unknown as Readonly<Record<string, unknown>>;
  return [...(withFetch && isFetchFree() ? FETCH : []), ...OTHERS].map((name) => [
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
    // Installations on top of it restore what was below.
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

/** Whether Node's fetch uses the environment's proxies, see `NODE_USE_ENV_PROXY`. */
function usesProxies(): boolean {
  const globals = globalThis as Record<symbol, object | undefined>;
  return [OLDER, NEWER].some((key) => globals[key]?.constructor.name === 'EnvHttpProxyAgent');
}

function makeDispatcher(options: AgentOptions | undefined): Dispatcher {
  return usesProxies() ? new EnvHttpProxyAgent(options) : new Agent(options);
}

/** Options of the `Agent` that `install()` creates, and what it installs. */
export interface InstallOptions extends AgentOptions {
  /**
   * Whether `globalThis.fetch` and its classes become dodici's. `false`: Node's stay, and use the
   * dispatcher. Default true.
   */
  fetch?: boolean;
}

/**
 * Makes Node's built-in fetch, and undici's and dodici's functions, use `dispatcher`, or a new `Agent`
 * with the given options; an `EnvHttpProxyAgent` if Node's fetch uses the environment's proxies.
 *
 * Like undici's `install()`, it sets `globalThis.fetch`, `Headers`, `Response`, `Request`, `FormData`,
 * `WebSocket`, `CloseEvent`, `ErrorEvent`, `MessageEvent` and `EventSource`. A `fetch` that is not
 * Node's, such as a mock, is left in place together with its classes, and so is Node's with
 * `fetch: false`.
 *
 * @throws InvalidArgumentError for invalid options; nothing is changed then.
 */
export function install(options?: InstallOptions | Dispatcher): Installation {
  if (options !== undefined && options !== null && typeof options !== 'object') {
    throw invalid('install() takes a dispatcher, or options of an Agent');
  }
  let dispatcher: Dispatcher;
  let withFetch = true;
  if (isDispatcher(options)) dispatcher = options;
  else {
    const { fetch: given = true, ...rest } = ownOptions(options);
    if (typeof given !== 'boolean') throw invalid('fetch must be a boolean');
    withFetch = given;
    dispatcher = makeDispatcher(rest);
  }
  const names = globalNames(withFetch);
  const keys: Key[] = [OLDER, NEWER, ...names.map(([name]) => name)];
  const before = keys.map(look);

  // The peer first: undici 8 sets a wrapper for older handlers under `.1`, which ours do not need.
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
