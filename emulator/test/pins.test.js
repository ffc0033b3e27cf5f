// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Pins, resolve } from '../lib/pins.js';
import { RP2040 } from '../lib/rp2040js.js';

const SIO = 5;
const PULL_DOWN = 0x56;
const PULL_UP = 0x5a;

function make() {
  const chip = new RP2040();
  const events = [];
  const pins = new Pins(chip.gpio, () => 7, (event) => events.push(event));
  const pad = (number, value) => chip.writeUint32(0x4001c004 + 4 * number, value);
  const func = (number, value) => chip.writeUint32(0x40014004 + 8 * number, value);
  const sio = (offset, value) => chip.writeUint32(0xd0000000 + offset, value);
  return { chip, pins, events, pad, func, sio, read: () => chip.readUint32(0xd0000004) };
}

test('an output wins over what is outside, and that over the pull', () => {
  assert.deepEqual([resolve(0, 1, true), resolve(null, 0, true), resolve(null, null, true), resolve(null, null, false)], [0, 0, 1, 0]);
});

test('pulls read back', () => {
  const { pad, read } = make();
  pad(3, PULL_UP);
  assert.equal(read() & 8, 8);
  pad(3, PULL_DOWN);
  assert.equal(read() & 8, 0);
});

test('an output reads back and is reported', () => {
  const { func, sio, read, events, pad } = make();
  pad(3, PULL_DOWN);
  func(3, SIO);
  sio(0x24, 8);
  sio(0x14, 8);
  assert.equal(read() & 8, 8);
  sio(0x18, 8);
  assert.deepEqual(events.map(({ pin, level }) => [pin, level]), [[3, 1], [3, 0]]);
});

test('an input has the level that is connected', () => {
  const { pins, pad, read } = make();
  pad(3, PULL_UP);
  pins.set(3, 0);
  assert.equal(read() & 8, 0);
  pins.set(3, null);
  assert.equal(read() & 8, 8);
});

test('setting the level that is there makes no edge', () => {
  const { chip, pins, pad } = make();
  pad(3, PULL_DOWN);
  pins.set(3, 1);
  chip.writeUint32(0x400140f0, 0xf << 12);
  assert.equal((chip.readUint32(0x400140f0) >>> 12) & 0xc, 0);
  pins.set(3, 1);
  assert.equal((chip.readUint32(0x400140f0) >>> 12) & 0xc, 0);
  pins.set(3, 0);
  assert.equal((chip.readUint32(0x400140f0) >>> 12) & 0xc, 4);
});

test('wrong pins and levels are refused', () => {
  const { pins } = make();
  assert.throws(() => pins.set(30, 1), RangeError);
  assert.throws(() => pins.set(3, 2), RangeError);
  assert.throws(() => pins.get('x'), RangeError);
});
