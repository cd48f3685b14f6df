/**
 * Classification of request bodies.
 *
 * What lives here: undici's checks on `body`, and a tagged form for the rest of the package. Called
 * when a request is created. It must not know records or sessions.
 */

import type { Readable } from 'node:stream';

import { invalid, peer, peerMajor } from '../undici';
import { type Bytes, bytesOf, bytesOfText, sizeOf } from '../wire';

/** A body that is not `null`. */
export type Body =
  | { readonly kind: 'bytes'; readonly bytes: Bytes; readonly source: unknown }
  | { readonly kind: 'stream'; readonly stream: Readable; readonly source: unknown }
  | { readonly kind: 'blob'; readonly blob: Blob; readonly source: unknown }
  | { readonly kind: 'form'; readonly form: FormData; readonly source: unknown }
  | { readonly kind: 'iterable'; readonly iterable: BodyIterable; readonly source: unknown };

/** `null` when there is nothing to send. */
export type RequestBody = Body | null;

/** Anything that can be iterated for chunks, including web streams. */
export type BodyIterable = Iterable<unknown> | AsyncIterable<unknown>;

function bytesBody(bytes: Bytes, source: unknown): RequestBody {
  return sizeOf(bytes) === 0 ? null : { kind: 'bytes', bytes, source };
}

function isStream(value: object): value is Readable {
  const { pipe, on } = value as Partial<Readable>;
  return typeof pipe === 'function' && typeof on === 'function';
}

const FORM_METHODS = ['append', 'delete', 'get', 'getAll', 'has', 'set'] as const;

function isFormData(value: object): value is FormData {
  const candidate = value as Record<string | symbol, unknown>;
  return (
    candidate[Symbol.toStringTag] === 'FormData' &&
    FORM_METHODS.every((name) => typeof candidate[name] === 'function')
  );
}

/**
 * Also one of another realm, such as jsdom's, which undici 8 rejects. undici 7 accepts whatever calls
 * itself a Blob and can be read, undici 8 nothing without a Blob's other members either.
 */
function isBlob(value: object): value is Blob {
  if (value instanceof Blob) return true;
  const { stream, arrayBuffer, size } = value as Partial<Blob>;
  const tag = (value as Record<symbol, unknown>)[Symbol.toStringTag];
  if (tag !== 'Blob' && tag !== 'File') return false;
  if (peerMajor >= 8 && typeof size !== 'number') return false;
  return typeof stream === 'function' || typeof arrayBuffer === 'function';
}

function isIterable(value: object): value is BodyIterable {
  const { [Symbol.iterator]: sync, [Symbol.asyncIterator]: async } = value as {
    [Symbol.iterator]?: unknown;
    [Symbol.asyncIterator]?: unknown;
  };
  return typeof sync === 'function' || typeof async === 'function';
}

/**
 * The tagged form of `body`, which is neither `null` nor `undefined`.
 *
 * @throws InvalidArgumentError with undici's message for anything undici does not accept.
 */
export function classifyBody(body: unknown): RequestBody {
  if (typeof body === 'string') return bytesBody(bytesOfText(body), body);
  if (typeof body === 'object' && body !== null) {
    const bytes = bytesOf(body);
    if (bytes !== null) return bytesBody(bytes, body);
    if (isStream(body)) return { kind: 'stream', stream: body, source: body };
    if (isFormData(body)) {
      if (peerMajor >= 8 && !((body as object) instanceof peer.FormData)) {
        throw invalid(
          'body must be a FormData created by this undici package instance; FormData from other sources, such as the built-in FormData provided by Node.js, is not supported',
        );
      }
      return { kind: 'form', form: body, source: body };
    }
    if (isBlob(body)) return { kind: 'blob', blob: body, source: body };
    if (isIterable(body)) return { kind: 'iterable', iterable: body, source: body };
  }
  throw invalid(
    'body must be a string, a Buffer, a Readable stream, an iterable, or an async iterable',
  );
}
