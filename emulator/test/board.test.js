// SPDX-License-Identifier: Apache-2.0
// Board, control port and drive with the real boot ROM and a blank flash.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { Board } from '../lib/board.js';
import { answer } from '../lib/control.js';
import { isComplete } from '../lib/drive.js';
import { Flash } from '../lib/flash.js';
import { FreeRunning, RealTime } from '../lib/pace.js';
import { makeUf2 } from '../lib/fakes.js';

const bootrom = fs.readFileSync(new URL('../../build/emulator/bootrom.bin', import.meta.url));

function make(t) {
  const board = new Board({ bootrom, flash: new Flash(), uniqueId: [1], pace: new FreeRunning() });
  t.after(() => board.powerOff());
  return board;
}

const reached = (board, state) =>
  new Promise((resolve) => board.on('state', (now) => now === state && resolve()));

test('a blank flash leads to the boot loader', async (t) => {
  const board = make(t);
  const there = reached(board, 'bootloader');
  board.powerOn();
  await there;
});

test('a UF2 is burnt in the boot loader only, and started', (t) => {
  const board = make(t);
  const file = makeUf2([[0x10000000, Array(256).fill(1)]]);
  assert.throws(() => board.burn(file), /not in its boot loader but off/);
  board.enterBootloader();
  assert.equal(board.burn(file), 1);
  assert.deepEqual([board.flash.bytes[0], board.state], [1, 'running']);
});

test('a bad UF2 changes nothing', (t) => {
  const board = make(t);
  board.enterBootloader();
  const file = makeUf2([[0x10000000, [1]]], { family: 0xe48bff59 });
  assert.throws(() => board.burn(file), /RP2350/);
  assert.deepEqual([board.flash.bytes[0], board.state], [0xff, 'bootloader']);
});

test('the control port answers, and refuses with the reason', (t) => {
  const board = make(t);
  const context = { info: () => ({ pid: 1 }) };
  assert.deepEqual(answer(board, { id: 3, do: 'state' }, context), {
    id: 3, ok: true, result: { state: 'off', fault: null, usb: false, pid: 1 },
  });
  assert.match(answer(board, { id: 4, do: 'constructor' }, context).error, /unknown command/);
  assert.match(answer(board, { do: 'gpio-set', pin: 1, level: 1 }, context).error, /the board is off/);
  assert.match(answer(board, { do: 'adc-set', channel: 9, value: 1 }, context).error, /0 to 4/);
  assert.match(answer(board, { do: 'uart-hold', uart: 2, held: true }, context).error, /no UART 2/);
  assert.equal(answer(board, { do: 'power', on: true }, context).ok, true);
  assert.equal(board.state, 'running');
  assert.equal(answer(board, { do: 'gpio-set', pin: 1, level: 1 }, context).ok, true);
  assert.equal(answer(board, { do: 'gpio-get', pin: 1 }, context).result.external, 1);
});

test('what is connected to a pin stays over a reset', (t) => {
  const board = make(t);
  board.powerOn();
  board.setPin(4, 1);
  board.reset();
  assert.equal(board.getPin(4).level, 1);
  assert.equal(board.statistics().resets, 2);
});

test('real time follows the host, skips lag of a busy board, and keeps a sleep', () => {
  const pace = new RealTime();
  assert.equal(pace.target(0, 5e6, false), 0);
  assert.equal(pace.target(0, 6e6, false), 1e6);
  assert.equal(pace.target(0, 105e6, true), 100e6);
  assert.equal(pace.target(1e6, 105e6, false), 1e6);
});

test('a UF2 file is complete with its last block', () => {
  const file = makeUf2([[0x10000000, [1]], [0x10000100, [1]]]);
  assert.deepEqual([0, 512, 1000, 1024].map((size) => isComplete(file.subarray(0, size))), [false, false, false, true]);
});
