/**
 * Request bodies.
 *
 * What lives here: classification of bodies, sources of their chunks, and sending under credit. The
 * request owns source and outgoing side. It must not know handlers, pools or sessions.
 */

export { classifyBody, type RequestBody } from './classify';
export { type EncodedForm, encodeForm } from './form-data';
export { type BodyOwner, OutgoingBody } from './outgoing';
export {
  type BodySource,
  destroyStream,
  type SourceListener,
  sourceOf,
  streamLength,
  watchStream,
} from './sources';
