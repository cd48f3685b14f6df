/**
 * One request, from `dispatch()` to its settlement.
 *
 * What lives here: the request as it was given, checked; sending and delivering; the controller; the
 * messages of diagnostics channels. It must not know dispatchers, nor other requests.
 */

export type { ExchangeContext } from './context';
export { ConnectionDiagnostics, observe } from './diagnostics';
export { Exchange } from './exchange';
export { Pipeline, Place } from './pipeline';
export { type HeadContext, serverNameOf } from './request';
export type { SendTarget } from './sending';
