/**
 * Reader of tagged payloads: errors, and the details of connects and disconnects.
 *
 * What lives here: the walk over `u16 tag, u16 zero, u32 length, value padded to 4`, little-endian.
 * `errors.ts` and `events.ts` have the tables of fields. It must not know what a field means.
 */

const FIELD_HEADER = 8;

/** Forms of values. `payloads`: all values of a field that repeats, each a nested payload. */
const FORMS = {
  uint32: (bytes: Buffer, start: number) => bytes.readUInt32LE(start),
  int32: (bytes: Buffer, start: number) => bytes.readInt32LE(start),
  float64: (bytes: Buffer, start: number) => bytes.readDoubleLE(start),
  text: (bytes: Buffer, start: number, end: number) => bytes.toString('utf8', start, end),
  latin1: (bytes: Buffer, start: number, end: number) => bytes.toString('latin1', start, end),
  bytes: (bytes: Buffer, start: number, end: number) => Buffer.from(bytes.subarray(start, end)),
  payloads: (bytes: Buffer, start: number, end: number, before: Buffer[] = []) => [
    ...before,
    bytes.subarray(start, end),
  ],
};

/** The fields of a payload by the names they are read to. */
type FieldTable = Readonly<Record<string, readonly [tag: number, form: keyof typeof FORMS]>>;

/** What a payload has of these fields. */
type FieldValues<Table extends FieldTable> = {
  -readonly [Name in keyof Table]?: ReturnType<(typeof FORMS)[Table[Name][1]]>;
};

/**
 * A reader of these fields; one that the table does not have is ignored.
 *
 * A length that points past the payload throws: both sides compared their schemas when the addon was
 * loaded, so that is a bug and not bad input.
 */
export function fieldReader<const Table extends FieldTable>(
  table: Table,
): (buffer: Buffer, start: number, end: number) => FieldValues<Table> {
  const rows = new Map(
    Object.entries(table).map(([name, [tag, form]]) => [tag, { name, read: FORMS[form] }]),
  );
  return (buffer, start, end) => {
    const values: Record<string, unknown> = {};
    for (let at = start; at + FIELD_HEADER <= end;) {
      const tag = buffer.readUInt16LE(at);
      const from = at + FIELD_HEADER;
      const to = from + buffer.readUInt32LE(at + 4);
      if (to > end) throw new RangeError(`dodici: field ${tag} ends outside its payload`);
      const row = rows.get(tag);
      if (row) values[row.name] = row.read(buffer, from, to, values[row.name] as Buffer[]);
      at = from + ((to - from + 3) & ~3);
    }
    return values as FieldValues<Table>;
  };
}
