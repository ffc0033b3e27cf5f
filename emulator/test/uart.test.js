// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IRQ } from '../lib/rp2040js.js';
import { READ_AHEAD, Uart } from '../lib/uart.js';
import { fakeChip } from '../lib/fakes.js';

const BYTE = 1e10 / 115200; // nanoseconds, 8N1

function make({ control = 0x301, fifos = true } = {}) {
  const chip = fakeChip();
  const uart = new Uart(chip, 0);
  const out = [];
  uart.onByte = (byte) => out.push(byte);
  const write = (offset, value) => uart.writeUint32Atomic(offset, value, 0);
  write(0x24, 67);
  write(0x28, 52);
  write(0x2c, 0x60 | (fifos ? 0x10 : 0));
  write(0x30, control);
  const after = (bytes) => chip.clock.tick(bytes * BYTE * 1.001);
  return { chip, uart, out, write, read: (offset) => uart.readUint32(offset), after };
}

test('the divisors give the baud rate', () => {
  assert.ok(Math.abs(make().uart.baud - 115200) < 20);
});

test('a byte out takes its time', () => {
  const { out, write, read, after } = make();
  write(0, 65);
  after(0.9);
  assert.deepEqual(out, []);
  assert.ok(read(0x18) & 8, 'busy');
  after(0.2);
  assert.deepEqual(out, [65]);
  assert.equal(read(0x18) & 8, 0);
});

test('the transmit interrupt comes when the FIFO falls to its level, and can be cleared', () => {
  const { chip, write, after, read } = make();
  write(0x38, 1 << 5);
  assert.equal(chip.interrupts.get(IRQ.UART0), false);
  for (let i = 0; i < 20; i++) {
    write(0, i);
  }
  after(2);
  assert.equal(chip.interrupts.get(IRQ.UART0), false);
  after(3);
  assert.equal(chip.interrupts.get(IRQ.UART0), true);
  write(0x44, 1 << 5);
  assert.equal(chip.interrupts.get(IRQ.UART0), false);
  assert.equal(read(0x3c) & (1 << 5), 0);
});

test('a full FIFO drops what is written', () => {
  const { out, write, read, after } = make();
  for (let i = 0; i < 40; i++) {
    write(0, i);
  }
  assert.ok(read(0x18) & 0x20);
  after(41);
  assert.equal(out.length, 33); // one was already on the line
});

test('bytes in arrive at the baud rate', () => {
  const { uart, read, after } = make();
  uart.feed([1, 2]);
  assert.ok(read(0x18) & 0x10, 'empty');
  after(1.1);
  assert.equal(read(0), 1);
  assert.ok(read(0x18) & 0x10);
  after(1.1);
  assert.equal(read(0), 2);
});

test('few bytes raise the time-out interrupt, and reading them clears it', () => {
  const { uart, read, after } = make();
  uart.feed([1]);
  after(2);
  assert.equal(read(0x3c) & 0x50, 0);
  after(3);
  assert.equal(read(0x3c) & 0x50, 0x40);
  read(0);
  assert.equal(read(0x3c) & 0x50, 0);
});

test('a FIFO at its level raises the receive interrupt', () => {
  const { uart, read, after } = make();
  uart.feed(Array(16).fill(9));
  after(16.5);
  assert.ok(read(0x3c) & 0x10);
  read(0);
  assert.equal(read(0x3c) & 0x10, 0);
});

test('a board that does not read loses bytes and sees the overrun', () => {
  const { uart, read, after } = make();
  uart.feed(Array.from({ length: 34 }, (_, i) => i));
  after(36);
  assert.equal(uart.overruns, 2);
  assert.ok(read(0x3c) & (1 << 10));
  const values = Array.from({ length: 32 }, () => read(0));
  assert.deepEqual(values, Array.from({ length: 32 }, (_, i) => i));
  uart.feed([50]);
  after(1.1);
  assert.equal(read(0), 50 | (1 << 11));
});

test('with RTS flow control nothing is lost', () => {
  const { uart, read, after } = make({ control: 0x301 | (1 << 14) });
  uart.feed(Array.from({ length: 40 }, (_, i) => i));
  after(50);
  assert.equal(uart.requestToSend, false);
  const values = [];
  while (values.length < 40) {
    values.push(read(0));
    after(1.1);
  }
  assert.deepEqual(values, Array.from({ length: 40 }, (_, i) => i));
  assert.equal(uart.overruns, 0);
});

test('with CTS flow control the other end holds the board back', () => {
  const { uart, out, write, after } = make({ control: 0x301 | (1 << 15) });
  uart.setClearToSend(false);
  write(0, 1);
  after(3);
  assert.deepEqual(out, []);
  uart.setClearToSend(true);
  after(1.1);
  assert.deepEqual(out, [1]);
});

test('too much from the other end is held off until it drains', () => {
  const { uart, after } = make();
  let drained = 0;
  uart.onDrain = () => drained++;
  assert.equal(uart.feed(Array(READ_AHEAD).fill(0)), false);
  after(1.1);
  assert.equal(drained, 1);
});

test('a receiver that is off takes nothing', () => {
  const { uart, read, after } = make({ control: 0x101 });
  uart.feed([1]);
  after(1.1);
  assert.ok(read(0x18) & 0x10);
});
