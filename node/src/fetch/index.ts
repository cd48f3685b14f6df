/**
 * Our own `fetch()`.
 *
 * What lives here: the Fetch standard as undici keeps it, over any dispatcher. Responses, requests and
 * headers are the peer's classes; what is rare is the peer's to serve. It must not know which dispatchers
 * there are.
 */

export { fetchCounters } from './border';
export { makeFetch } from './fetch';
