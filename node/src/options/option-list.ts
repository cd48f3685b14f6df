/**
 * A list of options as it is sent to Rust: `u16 key, u16 zero, u32 length, value padded to 4`, again and
 * again.
 *
 * What lives here: its writer. It must not know which options there are.
 */

import type { OptionKey } from '../wire';
import type { WrittenRow } from './generated';

/** Appends options; all numbers little-endian. */
export class OptionList {
  private readonly parts: Buffer[] = [];

  bytes(key: OptionKey, value: Uint8Array): void {
    const part = Buffer.alloc(8 + ((value.byteLength + 3) & ~3));
    part.writeUInt16LE(key, 0);
    part.writeUInt32LE(value.byteLength, 4);
    part.set(value, 8);
    this.parts.push(part);
  }

  text(key: OptionKey, value: string): void {
    this.bytes(key, Buffer.from(value, 'utf8'));
  }

  number(key: OptionKey, value: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    this.bytes(key, bytes);
  }

  /** Numbers of two bytes; `null` is not written. */
  codePoints(key: OptionKey, values: readonly number[] | null): void {
    if (values !== null) this.bytes(key, Buffer.from(values.flatMap((n) => [n & 0xff, n >> 8])));
  }

  flag(key: OptionKey, value: boolean): void {
    this.bytes(key, Buffer.of(value ? 1 : 0));
  }

  /** Writes the setting of each row; `null` is not written. */
  rows(rows: readonly WrittenRow[], settings: object): void {
    for (const { name, key, form } of rows) {
      const value = (settings as Record<string, unknown>)[name];
      if (value === null) continue;
      if (form === 'number') this.number(key, value as number);
      else if (form === 'flag') this.flag(key, value as boolean);
      else this.text(key, value as string);
    }
  }

  finish(): Buffer {
    return Buffer.concat(this.parts);
  }
}
