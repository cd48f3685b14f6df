/**
 * Bytes supplied by users: measured here, never trusted.
 *
 * What lives here: the only conversion from user values to memory that may be sent, by the brand of
 * the object and not by its class, so that arrays of other realms (`node:vm`, jsdom) are accepted.
 * Bodies, their chunks, writes to upgraded sockets, and TLS material pass through here. It must not
 * know what the bytes are for.
 *
 * An object can claim a false `byteLength`, `buffer` or `subarray`. Trusting it would announce more
 * than is copied, and the gap would be filled with memory of other requests. So `Bytes` has no
 * properties in TypeScript: its size and its parts come from the functions below, which read the
 * internal slots.
 */

import { types } from 'node:util';

declare const brand: unique symbol;

/** Memory of a `Uint8Array` of any realm, whose own properties are never read. */
export interface Bytes {
  readonly [brand]: true;
}

type Getter = (view: object) => unknown;

/** The original getter, saved when the package was loaded. */
function getter(prototype: object, name: string): Getter {
  const get = Object.getOwnPropertyDescriptor(prototype, name)?.get as () => unknown;
  return Function.prototype.call.bind(get);
}

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;
const viewBuffer = getter(typedArray, 'buffer') as (view: object) => ArrayBuffer;
const viewOffset = getter(typedArray, 'byteOffset') as (view: object) => number;
const viewSize = getter(typedArray, 'byteLength') as (view: object) => number;
const bufferSize = getter(ArrayBuffer.prototype, 'byteLength') as (buffer: object) => number;
const dataViewBuffer = getter(DataView.prototype, 'buffer') as (view: object) => ArrayBuffer;
const dataViewOffset = getter(DataView.prototype, 'byteOffset') as (view: object) => number;
const dataViewSize = getter(DataView.prototype, 'byteLength') as (view: object) => number;

const { isArrayBuffer, isDataView, isUint8Array } = types;
const { isView } = ArrayBuffer;

function memoryOf(view: ArrayBufferView): ArrayBuffer {
  return isDataView(view) ? dataViewBuffer(view) : viewBuffer(view);
}

/** The memory of a typed array or a `DataView`; `null` for anything else. */
export function viewedBytes(value: unknown): Bytes | null {
  if (isUint8Array(value)) return value as unknown as Bytes;
  if (!isView(value)) return null;
  return (isDataView(value)
    ? Buffer.from(memoryOf(value), dataViewOffset(value), dataViewSize(value))
    : Buffer.from(memoryOf(value), viewOffset(value), viewSize(value))) as unknown as Bytes;
}

/** Like `viewedBytes`, plus the memory of an `ArrayBuffer`, at its current size; none if it is detached. */
export function bytesOf(value: unknown): Bytes | null {
  const memory = isView(value) ? memoryOf(value) : value;
  if (!isArrayBuffer(memory)) return viewedBytes(value);
  if (bufferSize(memory) === 0) return bytesOfText('');
  return memory === value
    ? (Buffer.from(memory, 0, bufferSize(memory)) as unknown as Bytes)
    : viewedBytes(value);
}

/** Text as UTF-8. */
export function bytesOfText(text: string): Bytes {
  return Buffer.from(text) as unknown as Bytes;
}

/** The current size: the user can detach or resize the memory. */
export function sizeOf(bytes: Bytes): number {
  return viewSize(bytes);
}

/** As the user supplied them, to report what was sent. */
export function asGiven(bytes: Bytes): Uint8Array {
  return bytes as unknown as Uint8Array;
}

/** Those from `start` to `end`, which must be inside: the same memory. */
export function partOf(bytes: Bytes, start: number, end: number): Buffer {
  return Buffer.from(viewBuffer(bytes), viewOffset(bytes) + start, end - start);
}

/** A copy of all of them. */
export function copyOf(bytes: Bytes): Buffer {
  return Buffer.from(partOf(bytes, 0, sizeOf(bytes)));
}
