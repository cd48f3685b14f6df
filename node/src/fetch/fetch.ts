/**
 * `fetch()`.
 *
 * What lives here: the function, from its arguments to the promise. `api` passes it the global
 * dispatcher. It must not know hops.
 */

import { unpolluted } from '../options';
import { type Dispatcher, type FetchInternals, fetchInternals, type peer } from '../undici';
import { count, fetchByPeer, isForPeer } from './border';
import type * as FirstFetch from './first-fetch';
import type { FetchRequest } from './request';
import type { ResponseFactory } from './response';

type Fetch = typeof peer.fetch;
type Response = InstanceType<typeof peer.Response>;
/** What the first fetch loads and makes. */
interface Machinery extends Readonly<typeof FirstFetch> {
  readonly factory: ResponseFactory;
}

let machinery: Machinery | undefined;

function load(internals: FetchInternals): Machinery {
  const loaded = require('./first-fetch') as typeof FirstFetch;
  return { ...loaded, factory: new loaded.ResponseFactory(internals) };
}

/** A `fetch()` that uses the dispatcher returned by `globalDispatcher` if a call has none. */
export function makeFetch(globalDispatcher: () => Dispatcher): Fetch {
  // eslint-disable-next-line @typescript-eslint/no-useless-default-assignment -- for its `length`
  return function fetch(input, init = undefined) {
    const internals = fetchInternals();
    if (internals === null || isForPeer(input, init)) {
      count(false);
      return fetchByPeer(input, withDispatcher(init, globalDispatcher));
    }
    count(true);
    const { Fetching, factory, readRequest, rejected, rethrowWithCallers } = (machinery ??=
      load(internals));
    let request: FetchRequest;
    try {
      request = readRequest(input, init, internals);
    } catch (error) {
      return rejected(error);
    }
    const dispatcher = request.dispatcher ?? globalDispatcher();
    const settled = new Promise<Response>((resolve, reject) => {
      new Fetching(request, dispatcher, factory, resolve, reject).start();
    });
    return settled.then(undefined, rethrowWithCallers);
  };
}

/** `init` with our dispatcher for the peer, which has its own global dispatcher. */
function withDispatcher(
  init: Parameters<Fetch>[1],
  globalDispatcher: () => Dispatcher,
): Parameters<Fetch>[1] {
  const given = unpolluted(init) as { dispatcher?: unknown } | null | undefined;
  if (given !== undefined && given !== null && typeof given !== 'object') return init;
  return given?.dispatcher === undefined ? { ...init, dispatcher: globalDispatcher() } : init;
}
