// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floatTrap, TRAP_DOUBLE } from '../lib/traps.js';

const view = new DataView(new ArrayBuffer(8));
const single = (value) => (view.setFloat32(0, value), [view.getUint32(0)]);
const double = (value) => (view.setFloat64(0, value), [view.getUint32(4), view.getUint32(0)]);
const wide = (value) => [Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n))];

function call(number, ...args) {
  const registers = new Uint32Array(16);
  registers.set(args.flat());
  assert.equal(floatTrap(number, registers), true);
  view.setUint32(0, registers[0]);
  const float = view.getFloat32(0);
  view.setUint32(4, registers[0]);
  view.setUint32(0, registers[1]);
  return { float, double: view.getFloat64(0), word: registers[0], wide: [registers[0], registers[1]] };
}

test('arithmetic of both widths', () => {
  assert.equal(call(0, single(1.5), single(2)).float, 3.5);
  assert.equal(call(3, single(1), single(3)).float, Math.fround(1 / 3));
  assert.equal(call(TRAP_DOUBLE + 2, double(1.5), double(-3)).double, -4.5);
  assert.equal(call(TRAP_DOUBLE + 6, double(2)).double, Math.SQRT2);
});

test('to integer rounds down and saturates', () => {
  assert.equal(call(7, single(-2.5)).word | 0, -3);
  assert.equal(call(7, single(1e20)).word, 0x7fffffff);
  assert.equal(call(9, single(-1)).word, 0);
  assert.equal(call(8, single(1.5), 4).word, 24);
  assert.deepEqual(call(27, single(-1)).wide, wide(-1n));
  assert.deepEqual(call(29, single(2 ** 40)).wide, wide(1n << 40n));
  assert.deepEqual(call(27, single(Infinity)).wide, wide((1n << 63n) - 1n));
});

test('from integer', () => {
  assert.equal(call(11, 0xffffffff).float, -1);
  assert.equal(call(13, 0xffffffff).float, 2 ** 32);
  assert.equal(call(23, wide(-5n)).float, -5);
  assert.equal(call(TRAP_DOUBLE + 25, wide(1n << 40n)).double, 2 ** 40);
  assert.equal(call(24, wide(-5n), 1).float, -2.5);
});

test('a wide integer is rounded once', () => {
  // Half-way between two floats but for its last bit; through a double it would become a tie.
  const value = (1n << 60n) + (1n << 36n) + 1n;
  assert.equal(call(25, wide(value)).float, 2 ** 60 + 2 ** 37);
});

test('between the widths', () => {
  assert.equal(call(31, single(1.5)).double, 1.5);
  assert.equal(call(TRAP_DOUBLE + 31, double(0.1)).float, Math.fround(0.1));
});

test('compare', () => {
  assert.equal(call(4, single(1), single(2)).word | 0, -1);
  assert.equal(call(TRAP_DOUBLE + 4, double(2), double(2)).word, 0);
});

test('what there is not is told', () => {
  assert.equal(floatTrap(5, new Uint32Array(16)), false);
  assert.equal(floatTrap(99, new Uint32Array(16)), false);
});
