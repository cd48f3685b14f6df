/**
 * Reader of tagged payloads: errors, and the details of connects and disconnects.
 *
 * What lives here: the walk over `u16 tag, u16 zero, u32 length, value padded to 4`, little-endian.
 * `errors.ts` and `events.ts` call it. It must not know what a field means.
 */

const FIELD_HEADER = 8;

/** One field: its tag and where its value is in the buffer. */
export interface TaggedField {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** The view of a payload's bytes, created once per payload. */
export class TaggedFields {
  private readonly view: DataView;

  /** Fields from `start` to `end` of `buffer`; the bytes must not change while it is used. */
  constructor(
    private readonly buffer: Buffer,
    private readonly start: number,
    private readonly end: number,
  ) {
    this.view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  }

  /**
   * The fields in order.
   *
   * A length that points past the payload throws: both sides compared their schemas when the addon was
   * loaded, so that is a bug and not bad input.
   */
  *[Symbol.iterator](): Generator<TaggedField, void, undefined> {
    let at = this.start;
    while (at + FIELD_HEADER <= this.end) {
      const tag = this.view.getUint16(at, true);
      const start = at + FIELD_HEADER;
      const end = start + this.view.getUint32(at + 4, true);
      if (end > this.end) {
        throw new RangeError(`dodici: field ${tag} ends outside its payload`);
      }
      yield { tag, start, end };
      at = end + ((4 - ((end - start) & 3)) & 3);
    }
  }

  /** A `u32` value. */
  uint32(field: TaggedField): number {
    return this.view.getUint32(field.start, true);
  }

  /** An `i32` value. */
  int32(field: TaggedField): number {
    return this.view.getInt32(field.start, true);
  }

  /** An `f64` value. */
  float64(field: TaggedField): number {
    return this.view.getFloat64(field.start, true);
  }

  /** A UTF-8 value. */
  text(field: TaggedField): string {
    return this.buffer.toString('utf8', field.start, field.end);
  }

  /** A nested payload. */
  nested(field: TaggedField): TaggedFields {
    return new TaggedFields(this.buffer, field.start, field.end);
  }
}

/** The view of `buffer` from `start` to `end`, whatever kind of byte array it is. */
export function taggedFields(buffer: Uint8Array, start: number, end: number): TaggedFields {
  const bytes = Buffer.isBuffer(buffer)
    ? buffer
    : Buffer.from(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return new TaggedFields(bytes, start, end);
}
