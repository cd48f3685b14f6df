/**
 * Request bodies.
 *
 * What lives here: what kind of body somebody gave, where its chunks come from, and its way out under
 * credit. The request owns both. It must not know handlers, pools or sessions.
 */

export { classifyBody, type RequestBody } from './classify';
export { type EncodedForm, encodeForm } from './form-data';
export { type BodyOwner, OutgoingBody } from './outgoing';
export {
  type BodySource,
  BytesSource,
  destroyStream,
  IterableSource,
  readBlob,
  type SourceListener,
  StreamSource,
} from './sources';
