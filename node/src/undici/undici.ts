/**
 * The loaded peer. Only this folder imports `undici`.
 *
 * What lives here: the loaded peer, its major version and the symbols of its counters. All code of this
 * package gets error classes, `Dispatcher` and undici's other classes from here. It must not know any of
 * our own classes.
 *
 * undici is a peer dependency, because `instanceof Dispatcher`, `instanceof errors.RequestAbortedError` and
 * `MockAgent` must mean the same classes in the user's code and here.
 */

import type * as Undici from 'undici';

/** The peer's exports, with the types of the newest supported major. */
export type Peer = typeof Undici;

/** Symbols under which undici's dispatchers expose their counters and origin. */
export interface PeerSymbols {
  readonly kUrl: symbol;
  readonly kConnected: symbol;
  readonly kFree: symbol;
  readonly kQueued: symbol;
  readonly kPending: symbol;
  readonly kRunning: symbol;
  readonly kSize: symbol;
  readonly kBusy: symbol;
  readonly kClients: symbol;
  readonly kConnect: symbol;
  readonly kSocket: symbol;
  readonly kDispatch: symbol;
  readonly kHTTP2Stream: symbol;
  readonly kMaxConcurrentStreams: symbol;
  readonly kProxy: symbol;
  readonly kNoProxyAgent: symbol;
  readonly kHttpProxyAgent: symbol;
  readonly kHttpsProxyAgent: symbol;
  readonly kClosed: symbol;
  readonly kDestroyed: symbol;
  readonly [name: string]: symbol | undefined;
}

/** Symbols of the peer's pools that are not among the others. */
export interface PeerPoolSymbols {
  /** Where a pool stores its clients. */
  readonly kClients: symbol;
  /** The method that adds one. */
  readonly kAddClient: symbol;
}

/**
 * Replaces an internal file that the peer lacks, or that a bundler left out: our classes still work, but
 * the peer's classes that read counters by symbol (BalancedPool, Agent) cannot see ours.
 */
function ownSymbols(): unknown {
  const known = new Map<string | symbol, symbol>();
  const get = (_target: object, name: string | symbol): symbol => {
    const symbol = known.get(name) ?? Symbol(String(name));
    known.set(name, symbol);
    return symbol;
  };
  return new Proxy({}, { get });
}

/** The loaded peer. */
export const peer: Peer = require('undici/index.js') as Peer;

/** undici's error for something invalid that the caller has passed. */
export function invalid(message: string, cause?: Error): Error {
  const error = new peer.errors.InvalidArgumentError(message);
  return cause === undefined ? error : Object.assign(error, { cause });
}

/** Major version of the loaded peer: their defaults differ (`allowH2`, `h2Options`, `tls`). */
export const peerMajor: 7 | 8 = 'Dispatcher1Wrapper' in peer ? 8 : 7;

// Each `require` is in a `try`, so that bundlers only warn about a missing file.

function loadSymbols(): unknown {
  try {
    return require('undici/lib/core/symbols.js');
  } catch {
    return ownSymbols();
  }
}

function loadPoolSymbols(): unknown {
  try {
    return require('undici/lib/dispatcher/pool-base.js');
  } catch {
    return ownSymbols();
  }
}

/** The loaded peer's symbols. */
export const symbols = loadSymbols() as PeerSymbols;

/** The symbols of the loaded peer's pools. */
export const poolSymbols = loadPoolSymbols() as PeerPoolSymbols;

type UnwrapHandler = (handler: object) => object;

/** undici 7 has an adapter from newer handlers to its own generation; undici 8 needs none. */
function loadUnwrapHandler(): UnwrapHandler {
  try {
    return (require('undici/lib/handler/unwrap-handler.js') as { unwrap: UnwrapHandler }).unwrap;
  } catch {
    return (handler) => handler;
  }
}

/**
 * The handler in the generation that the peer's dispatchers use internally: undici 7's mocks and pools
 * call methods of the older one, and only its public `dispatch()` accepts both.
 */
export const toPeerHandler: UnwrapHandler = loadUnwrapHandler();

let returned: boolean | undefined;

/**
 * What the peer's `dispatch()` returns for a request that fails at once. Since undici 8.13, that there is
 * room for more: no `drain` follows.
 */
export function returnedOnFailure(): boolean {
  const ignore = (): void => undefined;
  const handler = { onResponseError: ignore, onError: ignore };
  return (returned ??= new peer.Agent().dispatch({} as Undici.Dispatcher.DispatchOptions, handler));
}

// What this package uses itself; `exports.ts` has what its users get.
export { buildConnector, Dispatcher, errors } from 'undici';

// Types: as declared by the installed peer.
export type * from 'undici';
