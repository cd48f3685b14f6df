/**
 * The top-level functions: `request`, `fetch` and the others.
 *
 * What lives here: undici's functions of these names with our global dispatcher. Users call them. They
 * must not know how a pool works.
 */

import type { Duplex } from 'node:stream';

import { getGlobalDispatcher } from '../dispatchers';
import { makeFetch } from '../fetch';
import { isUrl, unpolluted } from '../options';
import type { OwnRequestOptions } from '../request';
import { type Dispatcher, peer } from '../undici';

/** Options of a call: the second argument, or the first if it takes the place of the URL. */
function withDispatcher(url: unknown, options: unknown): unknown {
  if (options !== undefined && options !== null) {
    // undici rejects anything that is not an object.
    if (typeof options !== 'object') return options;
    const { dispatcher } = unpolluted(options) as { dispatcher?: unknown };
    return dispatcher === undefined ? { ...options, dispatcher: getGlobalDispatcher() } : options;
  }
  const inUrl = typeof url === 'object' && url !== null && !isUrl(url) ? url : {};
  // undici takes the path from the URL here; a `path` in the options would conflict.
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

type Url = Parameters<typeof peer.request>[0];

/** What undici's functions take beside the URL, and our own. */
type CallOptions<Options, InUrl extends PropertyKey = 'origin' | 'path'> = {
  dispatcher?: Dispatcher;
} & Omit<Options, InUrl> &
  OwnRequestOptions;

/** undici's `request`, through dodici. */
export const request: typeof peer.request &
  (<TOpaque = null>(
    url: Url,
    options: CallOptions<Dispatcher.RequestOptions<TOpaque>, 'origin' | 'path' | 'method'> &
      Partial<Pick<Dispatcher.RequestOptions, 'method'>>,
  ) => Promise<Dispatcher.ResponseData<TOpaque>>) = bind('request');
/** undici's `stream`, through dodici. */
export const stream: typeof peer.stream &
  (<TOpaque = null>(
    url: Url,
    options: CallOptions<Dispatcher.RequestOptions<TOpaque>>,
    factory: Dispatcher.StreamFactory<TOpaque>,
  ) => Promise<Dispatcher.StreamData<TOpaque>>) = bind('stream');
/** undici's `pipeline`, through dodici. */
export const pipeline: typeof peer.pipeline &
  (<TOpaque = null>(
    url: Url,
    options: CallOptions<Dispatcher.PipelineOptions<TOpaque>>,
    handler: Dispatcher.PipelineHandler<TOpaque>,
  ) => Duplex) = bind('pipeline');
/** undici's `connect`, through dodici. */
export const connect = bind('connect');
/** undici's `upgrade`, through dodici. */
export const upgrade = bind('upgrade');

/** undici's `fetch`, through dodici. */
export const fetch: typeof peer.fetch = makeFetch(getGlobalDispatcher);
