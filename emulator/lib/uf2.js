// SPDX-License-Identifier: Apache-2.0
// UF2 files: blocks of 512 bytes with up to 476 bytes of data and the address they belong to.
// The format: github.com/microsoft/uf2.
const BLOCK = 512;
const MAGIC_START0 = 0x0a324655;
const MAGIC_START1 = 0x9e5d5157;
const MAGIC_END = 0x0ab16f30;
const NOT_MAIN_FLASH = 1;
const FAMILY_PRESENT = 0x2000;
const MAX_DATA = 476;

export const RP2040_FAMILY = 0xe48bff56;
const FAMILIES = {
  0xe48bff56: 'RP2040',
  0xe48bff57: 'RP2350, absolute',
  0xe48bff59: 'RP2350, ARM',
  0xe48bff5a: 'RP2350, RISC-V',
  0xe48bff5b: 'RP2350, ARM, non-secure',
};

/** A file that must not be flashed; the message says why. */
export class Uf2Error extends Error {}

function block(data, index) {
  const at = index * BLOCK;
  const word = (offset) => data.readUInt32LE(at + offset);
  if (word(0) !== MAGIC_START0 || word(4) !== MAGIC_START1 || word(508) !== MAGIC_END) {
    throw new Uf2Error(`block ${index} has no UF2 magic`);
  }
  const size = word(16);
  if (size > MAX_DATA) {
    throw new Uf2Error(`block ${index} claims ${size} bytes`);
  }
  return {
    flags: word(8),
    address: word(12),
    number: word(20),
    count: word(24),
    family: word(28),
    bytes: data.subarray(at + 32, at + 32 + size),
  };
}

function check(found, index, total, flashStart, flashSize) {
  if (!(found.flags & FAMILY_PRESENT)) {
    throw new Uf2Error(`block ${index} names no family`);
  }
  if (found.family !== RP2040_FAMILY) {
    const name = FAMILIES[found.family] ?? `0x${found.family.toString(16)}`;
    throw new Uf2Error(`this is an RP2040; the file is for family ${name}`);
  }
  if (found.count !== total || found.number !== index) {
    throw new Uf2Error(
      `block ${index} says that it is number ${found.number} of ${found.count}; there are ${total}`,
    );
  }
  const end = found.address + found.bytes.length;
  if (found.address < flashStart || end > flashStart + flashSize) {
    throw new Uf2Error(`block ${index} is for 0x${found.address.toString(16)}, outside of the flash`);
  }
}

/**
 * The blocks of a file as [offset in flash, bytes], checked as a whole: nothing of a file that is
 * truncated, damaged or for another chip is returned.
 */
export function parseUf2(file, flashSize, flashStart = 0x10000000) {
  const data = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  if (data.length === 0 || data.length % BLOCK) {
    throw new Uf2Error(`${data.length} bytes are not a whole number of UF2 blocks`);
  }
  const all = Array.from({ length: data.length / BLOCK }, (_, index) => block(data, index));
  const blocks = all.filter((found) => !(found.flags & NOT_MAIN_FLASH));
  if (!blocks.length) {
    throw new Uf2Error('the file has nothing for the flash');
  }
  blocks.forEach((found, index) => check(found, index, blocks.length, flashStart, flashSize));
  return blocks.map((found) => [found.address - flashStart, found.bytes]);
}
