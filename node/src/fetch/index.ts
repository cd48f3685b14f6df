/**
 * Our own `fetch()`.
 *
 * What lives here: the Fetch standard as undici implements it, over any dispatcher. Responses,
 * requests and headers are the peer's classes, and rare cases are left to the peer's fetch. It must
 * not know which dispatchers exist.
 */

export { fetchCounters } from './border';
export { makeFetch } from './fetch';
