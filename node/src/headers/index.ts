/**
 * Header fields, in both directions.
 *
 * What lives here: validated user headers as request fields; response fields as objects and raw lists.
 * It must not know requests.
 */

export { decodeReason, parseFields } from './fields';
export { lazyRawList, rawList } from './raw-list';
export * from './request-headers';
