/**
 * What is inside the peer's Request, Response and Headers.
 *
 * What lives here: the functions of the peer's fetch by which its own modules make these objects and
 * read them, checked once. The room `fetch` makes genuine Responses with them, whose state is its own.
 * It must not know what that state is.
 *
 * They are no public API: where one is missing or does something else, `fetchInternals` is `null`, and
 * every fetch goes to the peer's.
 */

import type * as Undici from 'undici';

/** A header list of the peer's: by lower-case name, the name as it was given and the joined value. */
export interface PeerHeadersList {
  readonly headersMap: Map<string, { readonly name: string; readonly value: string }>;
  readonly cookies: string[] | null;
}

/** The body of a Request: `source` is `null` for a stream, which can be read once. */
export interface PeerBody {
  stream: ReadableStream<Uint8Array>;
  source: unknown;
  length: number | null;
}

/** What the Fetch standard calls a request's concept, as the peer keeps it. */
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
  /** Base of the lists that the peer's Headers look into. */
  readonly HeadersList: { readonly prototype: object };
  /** A Response whose state is `state`. */
  fromInnerResponse(state: object, guard: 'immutable'): Undici.Response;
  /** @throws TypeError for what is no Response of the peer's. */
  getResponseState(response: object): object;
  /** @throws TypeError for what is no Request of the peer's. */
  getRequestState(request: object): PeerRequestState;
  getRequestDispatcher(request: object): Undici.Dispatcher | undefined;
  /** Ends what a Request does about the signal that it was given; undici 7 has no such function. */
  removeRequestAbortListener?(request: object): void;
  /** @throws TypeError for what is no Headers of the peer's. */
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

/** Makes one of each, and looks whether they are what the room `fetch` takes them for. */
function doesWhatItShould(internals: FetchInternals): boolean {
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

/** Loaded with the first fetch; `null` where the peer has others. */
export function fetchInternals(): FetchInternals | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}
