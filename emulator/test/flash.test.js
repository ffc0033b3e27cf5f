// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Flash, SECTOR, SpiNor } from '../lib/flash.js';

function send(nor, ...bytes) {
  nor.select();
  const answer = bytes.map((byte) => nor.transfer(byte));
  nor.deselect();
  return answer;
}

test('programming only clears bits, erasing sets them', () => {
  const flash = new Flash();
  flash.program(10, [0xf0]);
  flash.program(10, [0x3c]);
  assert.equal(flash.bytes[10], 0x30);
  flash.erase(0, SECTOR);
  assert.equal(flash.bytes[10], 0xff);
});

test('erasing keeps the next sector', () => {
  const flash = new Flash();
  flash.program(SECTOR - 1, [1, 2]);
  flash.erase(0, SECTOR);
  assert.deepEqual([...flash.bytes.subarray(SECTOR - 1, SECTOR + 1)], [0xff, 2]);
});

test('nothing outside of the flash is changed', () => {
  const flash = new Flash({ size: 2 * SECTOR });
  flash.program(2 * SECTOR - 1, [1, 2]);
  flash.erase(2 * SECTOR, SECTOR);
  assert.equal(flash.bytes.length, 2 * SECTOR);
  assert.equal(flash.bytes[2 * SECTOR - 1], 1);
});

test('the contents are kept in the file', (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'flash-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'flash.bin');
  const first = new Flash({ file });
  first.program(5, [1, 2, 3]);
  first.close();
  const again = new Flash({ file });
  t.after(() => again.close());
  assert.deepEqual([...again.bytes.subarray(4, 9)], [0xff, 1, 2, 3, 0xff]);
});

test('a file of another size is refused', (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'flash-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'flash.bin');
  fs.writeFileSync(file, 'short');
  assert.throws(() => new Flash({ file }), /has 5 bytes/);
});

test('burning erases what it needs, and no more', () => {
  const flash = new Flash();
  flash.program(0, [0]);
  flash.program(2 * SECTOR, [0]);
  flash.burn([[0, Uint8Array.of(0xaa)], [100, Uint8Array.of(0xbb)]]);
  assert.deepEqual([flash.bytes[0], flash.bytes[100], flash.bytes[2 * SECTOR]], [0xaa, 0xbb, 0]);
  assert.equal(flash.erases, 1);
});

test('the serial side tells ids and status', () => {
  const nor = new SpiNor(new Flash(), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(send(nor, 0x9f, 0, 0, 0).slice(1), [0xef, 0x40, 0x15]);
  assert.deepEqual(send(nor, 0x4b, ...Array(12).fill(0)).slice(5), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(send(nor, 0x05, 0)[1], 0);
  send(nor, 0x06);
  assert.equal(send(nor, 0x05, 0)[1], 2);
});

test('status and sectors change only after write enable', () => {
  const flash = new Flash();
  const nor = new SpiNor(flash, []);
  flash.program(0, [7]);
  send(nor, 0x20, 0, 0, 0);
  send(nor, 0x01, 0, 2);
  assert.deepEqual([flash.bytes[0], send(nor, 0x35, 0)[1]], [7, 0]);
  send(nor, 0x06);
  send(nor, 0x01, 0, 2);
  send(nor, 0x06);
  send(nor, 0x20, 0, 0, 0);
  assert.deepEqual([flash.bytes[0], send(nor, 0x35, 0)[1]], [0xff, 2]);
});
