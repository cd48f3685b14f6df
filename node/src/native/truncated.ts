/**
 * Whether the addon's file is complete.
 *
 * What lives here: parsing of the ELF header, which determines the file's length. The loader checks it
 * before it loads the addon, because a truncated shared object (a full disk, a broken download) is mapped
 * anyway, and the process dies of SIGBUS when it accesses the missing part. Other systems' loaders reject
 * such a file themselves.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Bytes of a 64-bit ELF header. */
const HEADER = 64;
/** Where it has the offset of the section headers, which linkers write last. */
const SECTIONS_AT = 40;
/** Where it has the size of one of them, and their number. */
const SECTION_SIZE_AT = 58;
const SECTION_COUNT_AT = 60;

/** Little-endian, 64 bits. */
const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1]);

/** How many bytes the file has and how many it needs; `null` if it is complete. */
export function findMissingBytes(path: string): { has: number; needs: number } | null {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const header = Buffer.alloc(HEADER);
    const read = readSync(file, header, 0, HEADER, 0);
    // If it is not an ELF file at all, the system's loader reports it.
    if (read < HEADER || !header.subarray(0, MAGIC.length).equals(MAGIC)) return null;
    const sections = Number(header.readBigUInt64LE(SECTIONS_AT));
    if (sections === 0) return null;
    const needs =
      sections + header.readUInt16LE(SECTION_SIZE_AT) * header.readUInt16LE(SECTION_COUNT_AT);
    return size < needs ? { has: size, needs } : null;
  } finally {
    closeSync(file);
  }
}
