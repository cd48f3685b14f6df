/**
 * Buffer's own latin1 methods.
 *
 * What lives here: types only, for two methods that every Node has on Buffer and that its type
 * declarations leave out. `toString('latin1')` and `write(text, 'latin1')` end in the same
 * functions after some checks, which heads need not pay for: they are read and written thousands
 * of times a second.
 */

/** A Buffer with its direct latin1 methods. */
export interface Latin1Buffer extends Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, offset: number, length: number): number;
}
