// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeUf2 } from '../lib/fakes.js';
import { parseUf2, Uf2Error } from '../lib/uf2.js';

const SIZE = 0x200000;

const good = makeUf2([[0x10000000, [1, 2]], [0x10000100, [3]]]);

test('blocks come as offset and bytes', () => {
  const found = parseUf2(good, SIZE).map(([offset, bytes]) => [offset, [...bytes]]);
  assert.deepEqual(found, [[0, [1, 2]], [0x100, [3]]]);
});

test('a truncated file is refused', () => {
  assert.throws(() => parseUf2(good.subarray(0, 700), SIZE), Uf2Error);
  assert.throws(() => parseUf2(good.subarray(0, 512), SIZE), /number 0 of 2/);
  assert.throws(() => parseUf2(good.subarray(0, 0), SIZE), Uf2Error);
});

test('a file for another chip is refused by its name', () => {
  const other = makeUf2([[0x10000000, [1]]], { family: 0xe48bff59 });
  assert.throws(() => parseUf2(other, SIZE), /RP2350, ARM/);
});

test('a block outside of the flash is refused', () => {
  assert.throws(() => parseUf2(makeUf2([[0x10200000, [1]]]), SIZE), /outside/);
  assert.throws(() => parseUf2(makeUf2([[0x20000000, [1]]]), SIZE), /outside/);
});

test('a damaged block is refused', () => {
  const bad = Buffer.from(good);
  bad[512] ^= 1;
  assert.throws(() => parseUf2(bad, SIZE), /block 1 has no UF2 magic/);
});
