/**
 * `multipart/form-data` encoding of FormData bodies.
 *
 * What lives here: the HTML standard's encoding ("multipart form data"), with its length known in
 * advance so that it is sent with `content-length`. Called when a request with such a body is sent. It
 * must not know requests.
 */

import { randomInt } from 'node:crypto';
import { types } from 'node:util';

import { isHeaderValue } from '../headers';
import { readBlob } from './sources';

/** An encoded form. */
export interface EncodedForm {
  readonly contentType: string;
  /** Total bytes; `null` if the size of a part is unknown. */
  readonly length: number | null;
  readonly chunks: AsyncIterable<unknown>;
}

/** The same form always gets the same boundary, so that a replayed request sends the same bytes. */
const boundaries = new WeakMap<object, string>();

function boundaryOf(form: object): string {
  let boundary = boundaries.get(form);
  if (boundary === undefined) {
    boundary = `----formdata-dodici-0${String(randomInt(1e11)).padStart(11, '0')}`;
    boundaries.set(form, boundary);
  }
  return boundary;
}

const normalizeNewlines = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n');

const ESCAPES: Readonly<Record<string, string>> = { '\n': '%0A', '\r': '%0D', '"': '%22' };
const escapeName = (text: string): string =>
  text.replace(/[\n\r"]/g, (char) => ESCAPES[char] as string);

type Part = Uint8Array | Blob;

/** Encodes `form`; its files are read while `chunks` is iterated. */
export function encodeForm(form: FormData, boundary = boundaryOf(form)): EncodedForm {
  const encoder = new TextEncoder();
  const parts: Part[] = [];
  let length: number | null = 0;

  const add = (part: Part, size: number | undefined): void => {
    parts.push(part);
    length = length === null || size === undefined ? null : length + size;
  };
  const addText = (text: string): void => {
    const bytes = encoder.encode(text);
    add(bytes, bytes.byteLength);
  };

  for (const [name, value] of form as unknown as Iterable<[string, string | File]>) {
    const disposition = `--${boundary}\r\nContent-Disposition: form-data; name="${escapeName(normalizeNewlines(name))}"`;
    if (typeof value === 'string') {
      addText(`${disposition}\r\n\r\n${normalizeNewlines(value)}\r\n`);
      continue;
    }
    const filename = value.name ? `; filename="${escapeName(value.name)}"` : '';
    const { type } = value;
    // A subclass of File may return anything here; only a valid field value may be written.
    const contentType = type && isHeaderValue(type) ? type : 'application/octet-stream';
    addText(`${disposition}${filename}\r\nContent-Type: ${contentType}\r\n\r\n`);
    add(value, value.size);
    addText('\r\n');
  }
  addText(`--${boundary}--\r\n`);

  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    length,
    chunks: readParts(parts),
  };
}

async function* readParts(parts: readonly Part[]): AsyncGenerator<unknown, void, undefined> {
  for (const part of parts) {
    if (types.isUint8Array(part)) yield part;
    else yield* readBlob(part);
  }
}
