/**
 * One request, from `dispatch()` to its settlement.
 *
 * What lives here: the validated request; sending and delivering; the controller; messages of diagnostics
 * channels. It must not know dispatchers, nor other requests.
 */

export type { RequestContext } from './context';
export { RequestController } from './controller';
export { type HeadContext, serverNameOf } from './description';
export { ConnectionDiagnostics, observe } from './diagnostics';
export { Pipeline, Place } from './pipeline';
export { Request } from './request';
export { OwnHandler } from './own-handler';
export type { OwnRequestOptions } from './request-options';
export type { SendTarget } from './sending';
export type { RequestTimings, TimedController, TimingsMessage } from './timings';
