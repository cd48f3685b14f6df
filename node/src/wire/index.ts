/**
 * The boundary's format: records that JavaScript writes and reads.
 *
 * What lives here: the generated half of the schema, the writer of submissions, the reader of
 * completions, and their memory. It must not know requests, pools or users' options.
 */

export * from './bytes';
export * from './generated';
export type { Latin1Buffer } from './latin1';
export { Pages } from './pages';
export { alignBatch, readBatch, type RecordSink } from './reader';
export { fieldReader } from './tagged-fields';
export { type PoolCommand, SubmissionWriter } from './writer';
