/**
 * The internals of the peer's Request, Response and Headers.
 *
 * What lives here: the functions with which the peer's own modules create and read these objects,
 * checked once. The layer `fetch` creates genuine Responses with them, whose state is its own. It
 * must not know that state.
 *
 * They are not public: if one is missing or behaves differently, `fetchInternals` is `null`, and
 * the peer serves every fetch.
 */

import type * as Undici from 'undici';

import { peer } from './undici';

/** One of the peer's header lists: by lower-case name, the name as given and the joined value. */
export interface PeerHeadersList {
  readonly headersMap: Map<string, { readonly name: string; readonly value: string }>;
  readonly cookies: string[] | null;
}

/** The body of a Request: `source` is `null` for a stream, which can be read only once. */
interface PeerBody {
  stream: ReadableStream<Uint8Array>;
  source: unknown;
  length: number | null;
}

/** The Fetch standard's request, as the peer represents it. */
export interface PeerRequestState {
  readonly method: string;
  readonly urlList: readonly URL[];
  readonly headersList: PeerHeadersList;
  readonly body: PeerBody | null;
  readonly redirect: string;
  readonly mode: string;
  readonly cache: string;
  readonly referrer: 'client' | 'no-referrer' | URL;
  readonly referrerPolicy: string;
  readonly integrity: string;
}

/** See above. */
export interface FetchInternals {
  readonly Response: typeof Undici.Response;
  readonly Request: typeof Undici.Request;
  readonly Headers: typeof Undici.Headers;
  /** Base class of the lists that the peer's Headers read. */
  readonly HeadersList: { readonly prototype: object };
  /** Creates a Response with this state. */
  fromInnerResponse(state: object, guard: 'immutable'): Undici.Response;
  /** @throws TypeError if it is not one of the peer's Responses. */
  getResponseState(response: object): object;
  /** @throws TypeError if it is not one of the peer's Requests. */
  getRequestState(request: object): PeerRequestState;
  getRequestDispatcher(request: object): Undici.Dispatcher | undefined;
  /** Stops a Request from following its signal; undici 7 has no such function. */
  removeRequestAbortListener?(request: object): void;
  /** @throws TypeError if it is not one of the peer's Headers. */
  getHeadersList(headers: object): PeerHeadersList;
}

type Loaded = Readonly<Record<string, unknown>>;

function load(): FetchInternals | null {
  try {
    const response = require('undici/lib/web/fetch/response.js') as Loaded;
    const request = require('undici/lib/web/fetch/request.js') as Loaded;
    const headers = require('undici/lib/web/fetch/headers.js') as Loaded;
    const internals = {
      Response: response['Response'],
      Request: request['Request'],
      Headers: headers['Headers'],
      HeadersList: headers['HeadersList'],
      fromInnerResponse: response['fromInnerResponse'],
      getResponseState: response['getResponseState'],
      getRequestState: request['getRequestState'],
      getRequestDispatcher: request['getRequestDispatcher'],
      removeRequestAbortListener: request['removeRequestAbortListener'],
      getHeadersList: headers['getHeadersList'],
    } as unknown as FetchInternals;
    return doesWhatItShould(internals) ? internals : null;
  } catch {
    return null;
  }
}

/**
 * Creates one of each, and checks that they are as the layer `fetch` expects: the peer's, whose files are
 * other copies if a bundle has the peer and not its files.
 */
function doesWhatItShould(internals: FetchInternals): boolean {
  const { Response, Request, Headers } = peer;
  if (internals.Response !== Response || internals.Request !== Request) return false;
  if (internals.Headers !== Headers) return false;
  const state = { status: 299, urlList: [], headersList: null };
  const response = internals.fromInnerResponse(state, 'immutable');
  const headers = new internals.Headers({ 'X-One': '1' });
  const request = new internals.Request('http://localhost/', { headers, method: 'PUT', body: 'b' });
  const { method, headersList, body, urlList, redirect } = internals.getRequestState(request);
  return (
    response instanceof internals.Response &&
    response.status === 299 &&
    internals.getResponseState(response) === state &&
    internals.getRequestDispatcher(request) === undefined &&
    internals.getHeadersList(headers).headersMap.get('x-one')?.name === 'X-One' &&
    method === 'PUT' &&
    body?.source === 'b' &&
    redirect === 'follow' &&
    urlList[0]?.href === 'http://localhost/' &&
    headersList.headersMap.get('x-one')?.value === '1'
  );
}

let loaded: FetchInternals | null | undefined;

/** Loaded with the first fetch; `null` if the peer's differ. */
export function fetchInternals(): FetchInternals | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}
