/**
 * Header fields, in both directions.
 *
 * What lives here: users' headers, checked, as fields of a request; fields of a response as objects and
 * raw lists. It must not know requests.
 */

export { decodeReason, parseFields } from './fields';
export { lazyRawList, rawList } from './raw-list';
export {
  addHeader,
  addHeaders,
  type HeaderTarget,
  isHeaderValue,
  isIterableObject,
  isToken,
} from './request-headers';
