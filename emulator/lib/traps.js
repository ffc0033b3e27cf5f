// SPDX-License-Identifier: Apache-2.0
// The work behind the boot ROM's BKPT traps (bootrom/bootrom.S): floats by the host's arithmetic,
// indexed as in the SDK's pico/bootrom/sf_table.h.
//
// The real ROM flushes denormals to zero and is off by some bits in the transcendental functions;
// this is IEEE arithmetic, rounded to nearest.

export const TRAP_DOUBLE = 32;
export const TRAP_FLASH_ERASE = 64;
export const TRAP_FLASH_PROGRAM = 65;
export const TRAP_USB_BOOT = 66;
export const TRAP_FAULT = 67;

const view = new DataView(new ArrayBuffer(8));

const single = {
  words: 1,
  get: (registers, index) => {
    view.setUint32(0, registers[index]);
    return view.getFloat32(0);
  },
  set: (registers, value, index = 0) => {
    view.setFloat32(0, value);
    registers[index] = view.getUint32(0);
  },
};
const double = {
  words: 2,
  get: (registers, index) => {
    view.setUint32(4, registers[2 * index]);
    view.setUint32(0, registers[2 * index + 1]);
    return view.getFloat64(0);
  },
  set: (registers, value, index = 0) => {
    view.setFloat64(0, value);
    registers[2 * index] = view.getUint32(4);
    registers[2 * index + 1] = view.getUint32(0);
  },
};

const clamp = (value, low, high) => (Number.isNaN(value) ? 0 : Math.min(high, Math.max(low, value)));
const floorTo = (value, points, low, high) => clamp(Math.floor(value * 2 ** points), low, high);

function setWide(registers, value, low, high) {
  const big = BigInt(clamp(value, -(2 ** 64), 2 ** 64));
  const kept = big < low ? low : big > high ? high : big;
  registers[0] = Number(kept & 0xffffffffn);
  registers[1] = Number((kept >> 32n) & 0xffffffffn);
}

function wide(registers, signed) {
  const value = (BigInt(registers[1]) << 32n) | BigInt(registers[0]);
  return signed ? BigInt.asIntN(64, value) : value;
}

// A BigInt to the nearest float; through a double it would be rounded twice.
function fromWide(value, type, points) {
  if (type === double) {
    return Number(value) / 2 ** points;
  }
  const magnitude = value < 0n ? -value : value;
  const drop = BigInt(Math.max(0, magnitude.toString(2).length - 50));
  const sticky = magnitude & ((1n << drop) - 1n) ? 1n : 0n;
  const rounded = Math.fround(Number((magnitude >> drop) | sticky)) * 2 ** (Number(drop) - points);
  return value < 0n ? -rounded : rounded;
}

const S32 = [-0x80000000, 0x7fffffff];
const U32 = [0, 0xffffffff];
const S64 = [-(1n << 63n), (1n << 63n) - 1n];
const U64 = [0n, (1n << 64n) - 1n];

function compare(x, y) {
  return x < y ? -1 : x > y ? 1 : 0;
}

// What each index does; `t` is the type, `r` the registers.
function operations(t, other) {
  const x = (r) => t.get(r, 0);
  const y = (r) => t.get(r, 1);
  const unary = (f) => (r) => t.set(r, f(x(r)));
  const binary = (f) => (r) => t.set(r, f(x(r), y(r)));
  const toInt = (range, fixed) => (r) =>
    (r[0] = floorTo(x(r), fixed ? r[t.words] | 0 : 0, ...range) >>> 0);
  const toWide = (range, fixed) => (r) => {
    const value = x(r) * 2 ** (fixed ? r[t.words] | 0 : 0);
    setWide(r, Number.isFinite(value) ? Math.floor(value) : value, ...range);
  };
  const fromInt = (signed, fixed) => (r) =>
    t.set(r, (signed ? r[0] | 0 : r[0]) / 2 ** (fixed ? r[1] | 0 : 0));
  const from64 = (signed, fixed) => (r) =>
    t.set(r, fromWide(wide(r, signed), t, fixed ? r[2] | 0 : 0));
  return [
    binary((a, b) => a + b), binary((a, b) => a - b), binary((a, b) => a * b), binary((a, b) => a / b),
    (r) => (r[0] = compare(x(r), y(r)) >>> 0),
    null,
    unary(Math.sqrt),
    toInt(S32, false), toInt(S32, true), toInt(U32, false), toInt(U32, true),
    fromInt(true, false), fromInt(true, true), fromInt(false, false), fromInt(false, true),
    unary(Math.cos), unary(Math.sin), unary(Math.tan),
    (r) => {
      const angle = x(r);
      t.set(r, Math.sin(angle), 0);
      t.set(r, Math.cos(angle), 1);
    },
    unary(Math.exp), unary(Math.log),
    (r) => (r[0] = compare(x(r), y(r)) >>> 0),
    binary(Math.atan2),
    from64(true, false), from64(true, true), from64(false, false), from64(false, true),
    toWide(S64, false), toWide(S64, true), toWide(U64, false), toWide(U64, true),
    (r) => other.set(r, x(r)),
  ];
}

const TABLE = [...operations(single, double), ...operations(double, single)];

/** Run float function `number` on the registers; false when there is none. */
export function floatTrap(number, registers) {
  const operation = TABLE[number];
  operation?.(registers);
  return Boolean(operation);
}
