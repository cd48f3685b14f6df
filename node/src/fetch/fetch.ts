/**
 * `fetch()`.
 *
 * What lives here: the function, from its arguments to the promise. `api` passes it the global
 * dispatcher. It must not know hops.
 */

import { unpolluted } from '../options';
import { type Dispatcher, type FetchInternals, fetchInternals, type peer } from '../undici';
import { count, fetchByPeer, isForPeer } from './border';
import { rethrowWithCallers } from './caller';
import { Fetching } from './fetching';
import type { FetchRequest } from './request';
import { readRequest } from './request-init';
import { ResponseFactory } from './response';
import { rejected } from './response-body';

type Fetch = typeof peer.fetch;
type Response = InstanceType<typeof peer.Response>;
let responses: ResponseFactory | undefined;

function responsesOf(internals: FetchInternals): ResponseFactory {
  return (responses ??= new ResponseFactory(internals));
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
    let request: FetchRequest;
    try {
      request = readRequest(input, init, internals);
    } catch (error) {
      return rejected(error);
    }
    const dispatcher = request.dispatcher ?? globalDispatcher();
    const factory = responsesOf(internals);
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
