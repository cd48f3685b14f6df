/**
 * The boundary's format: records that JavaScript writes and reads.
 *
 * What lives here: the generated half of the schema, the writer of submissions, the reader of
 * completions, and their memory. It must not know requests, pools or users' options.
 */

export {
  asGiven,
  type Bytes,
  bytesOf,
  bytesOfText,
  copyOf,
  partOf,
  sizeOf,
  viewedBytes,
} from './bytes';
export {
  BODY_SLICE,
  Completion,
  Counter,
  CREDIT_STEP,
  DEFAULT_TIMEOUT,
  DispatchFlag,
  ErrorCode,
  FEW,
  Field,
  FLUSH_EVERY,
  HeadFlag,
  INBOUND_BYTES,
  LAYOUT_HASH,
  MORE_ROOM,
  OptionKey,
  PIECE_OVERHEAD,
  RIPE_TURNS,
  SOON,
  WINDOW,
  WireBody,
  WireCloseReason,
  WireDecode,
} from './generated';
export type { Latin1Buffer } from './latin1';
export { Pages } from './pages';
export { alignBatch, readBatch, type RecordSink } from './reader';
export { TaggedFields, taggedFields } from './tagged-fields';
export { SubmissionWriter } from './writer';
