/**
 * `install()`: Node's built-in fetch, and the peer's functions, through dodici.
 *
 * What lives here: the two global symbols under which undici's generations look for their
 * dispatcher. Users call it. It must not know pools.
 *
 * Node 20, 22 and 24 read `undici.globalDispatcher.1` and pass handlers of the older generation,
 * Node 26 reads `.2` and passes the newer one; our dispatchers take both, so both symbols get the
 * same object. It works before and after the first fetch: Node looks at the symbol on every call.
 */

import { Agent } from './agent';
import { EnvHttpProxyAgent } from './env-http-proxy-agent';
import { assertDispatcher, forgetChoice, setGlobalDispatcher } from './global';
import type { AgentOptions } from './types';
import type { Dispatcher } from './undici';

const SYMBOLS = [
  Symbol.for('undici.globalDispatcher.1'),
  Symbol.for('undici.globalDispatcher.2'),
] as const;

type Globals = Record<symbol, object | undefined>;

/** What `install()` did. */
export interface Installation {
  /** The dispatcher that now serves Node's fetch. */
  readonly dispatcher: Dispatcher;
  /**
   * Puts back what was there before, unless someone replaced the dispatcher since. Requests in
   * flight go on; the dispatcher stays open.
   */
  uninstall(): void;
  /** As `uninstall()`. */
  [Symbol.dispose](): void;
}

function isDispatcher(value: unknown): value is Dispatcher {
  return typeof (value as { dispatch?: unknown } | null | undefined)?.dispatch === 'function';
}

/** Whether Node's fetch goes through the proxies of the environment, as `NODE_USE_ENV_PROXY` says. */
function usesProxies(): boolean {
  const globals = globalThis as unknown as Globals;
  return SYMBOLS.some((symbol) => globals[symbol]?.constructor.name === 'EnvHttpProxyAgent');
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
 * Only the dispatcher changes: unlike undici's `install()`, it leaves `globalThis.fetch`, `Request`
 * and the other classes of Node in their place.
 *
 * @throws InvalidArgumentError for bad options; nothing is changed then.
 */
export function install(options?: AgentOptions | Dispatcher): Installation {
  const dispatcher = isDispatcher(options) ? options : makeDispatcher(options);
  assertDispatcher(dispatcher);
  const globals = globalThis as unknown as Globals;
  const before = SYMBOLS.map((symbol) => globals[symbol]);

  // The peer first: undici 8 puts a wrapper for older handlers under `.1`, which ours do not need.
  setGlobalDispatcher(dispatcher);
  for (const symbol of SYMBOLS) globals[symbol] = dispatcher;

  const uninstall = (): void => {
    if (SYMBOLS.some((symbol) => globals[symbol] !== dispatcher)) return;
    SYMBOLS.forEach((symbol, index) => {
      globals[symbol] = before[index];
    });
    forgetChoice();
  };
  return { dispatcher, uninstall, [Symbol.dispose]: uninstall };
}
