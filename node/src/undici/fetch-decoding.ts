/**
 * How our `fetch` asks for decoded bodies.
 *
 * What lives here: the key of the request option, and its value. `fetch` sets it, the request path
 * reads it. It must not know codings.
 */

/**
 * A request option that our `fetch` sets to a `FetchDecoding`. Only directly on a dispatcher of
 * ours: an interceptor in between that stores bodies, or a mock, would see a body without the
 * codings that its head names.
 *
 * Spreading the options keeps it. If it is lost, or the engine does not serve the request, nothing
 * is decoded, and `decoded` stays false.
 */
export const kDecode = Symbol('dodici decode');

/**
 * The body of a response is decoded by the rules of undici's fetch: with any status but 101, 204,
 * 205 and 304, not in response to HEAD and CONNECT, and only if all codings are known. The head and
 * raw headers are delivered unchanged. An invalid or truncated body, or more than five codings,
 * fails the request with the errors of Node's zlib and undici's fetch.
 */
export interface FetchDecoding {
  /** Redirects are followed: one with a location is not decoded, since its body is not read. */
  readonly follows: boolean;
  /** Set before the handler gets the final head: whether the body is decoded. */
  decoded: boolean;
  /** Set before the handler gets the end: how many bytes a decoded body had before. */
  received: number;
}
