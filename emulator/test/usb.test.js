// SPDX-License-Identifier: Apache-2.0
// The host and the controller against a small firmware that does what TinyUSB does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeChip } from '../lib/fakes.js';
import { IRQ } from '../lib/rp2040js.js';
import { UsbDevice } from '../lib/usb_device.js';
import { parseConfiguration, READ_AHEAD, UsbHost } from '../lib/usb_host.js';

const AVAILABLE = 1 << 10;
const FULL = 1 << 15;
const IN_DATA = 0x180;
const OUT_DATA = 0x280;
const CONFIGURATION = [
  9, 2, 48, 0, 2, 1, 0, 0x80, 50,
  9, 4, 0, 0, 1, 2, 2, 0, 0,
  7, 5, 0x81, 3, 8, 0, 16,
  9, 4, 1, 0, 2, 10, 0, 0, 0,
  7, 5, 0x02, 2, 64, 0, 0,
  7, 5, 0x82, 2, 64, 0, 0,
];
const DEVICE = [18, 1, 0, 2, 0, 0, 0, 64, 0x8a, 0x2e, 5, 0, 0, 1, 1, 2, 3, 1];
const SERIAL = [6, 3, ...Buffer.from('E6', 'utf16le')];

class Firmware {
  constructor() {
    this.chip = fakeChip();
    this.device = new UsbDevice(this.chip);
    this.setups = [];
    this.lineCoding = null;
    this.write(0x90, (1 << 16) | (1 << 12) | (1 << 4));
    this.view.setUint32(8 * 2, IN_DATA, true);
    this.view.setUint32(8 * 2 + 4, OUT_DATA, true);
  }
  get view() {
    return this.chip.usbDPRAMView;
  }
  write(offset, value, atomic = 0) {
    this.device.writeUint32Atomic(offset, value, atomic);
  }
  control(offset, value) {
    this.view.setUint32(offset, value, true);
    this.device.DPRAMUpdated(offset, value);
  }
  attach() {
    this.write(0x40, 1);
    this.write(0x4c, 1 << 16);
  }
  /** One pass of the interrupt handler. */
  handle() {
    const status = this.device.readUint32(0x98);
    if (status & (1 << 4)) {
      const done = this.device.readUint32(0x58);
      this.write(0x58, done);
      if (done & 2 && this.coding) {
        this.lineCoding = [...this.chip.usbDPRAM.slice(0x100, 0x107)];
        this.coding = false;
        this.control(0x80, AVAILABLE | FULL);
      }
    }
    if (status & (1 << 16)) {
      const packet = [...this.chip.usbDPRAM.slice(0, 8)];
      this.setups.push(packet);
      this.#answer(packet);
      this.write(0x50, 1 << 17);
    }
    if (status & (1 << 12)) {
      this.write(0x50, 1 << 19);
    }
  }
  #answer([type, request, , kind, , , length]) {
    this.control(0x84, 0);
    if (type === 0x21 && request === 0x20) {
      this.coding = true;
      this.control(0x84, AVAILABLE | 7);
      return;
    }
    const reply = request === 6 ? { 1: DEVICE, 2: CONFIGURATION, 3: SERIAL }[kind] : [];
    const sent = reply.slice(0, length);
    this.chip.usbDPRAM.set(sent, 0x100);
    this.control(0x80, AVAILABLE | FULL | sent.length);
    if (type & 0x80) {
      this.control(0x84, AVAILABLE);
    }
  }
  run(ms = 1) {
    for (let i = 0; i < ms * 100; i++) {
      this.chip.clock.tick(1e4);
      if (this.chip.interrupts.get(IRQ.USBCTRL)) {
        this.handle();
      }
    }
  }
  armOut() {
    this.control(0x94, AVAILABLE | 64);
  }
  send(bytes) {
    this.chip.usbDPRAM.set(bytes, IN_DATA);
    this.control(0x90, AVAILABLE | FULL | bytes.length);
  }
  get sendBusy() {
    return Boolean(this.view.getUint32(0x90, true) & AVAILABLE);
  }
}

function enumerated({ open = true } = {}) {
  const firmware = new Firmware();
  const host = new UsbHost(firmware.device, firmware.chip.clock);
  const got = [];
  host.onData = (bytes) => got.push(...bytes) > 0;
  if (open) {
    host.open();
  }
  firmware.attach();
  firmware.run(15);
  return { firmware, host, got };
}

test('the bulk end points of the data interface are found', () => {
  assert.deepEqual(parseConfiguration(CONFIGURATION), { control: 0, in: 2, out: 2 });
  assert.deepEqual(parseConfiguration([]), { control: null, in: null, out: null });
});

test('a device is enumerated with its ids and serial number', () => {
  const { host, firmware } = enumerated();
  assert.equal(host.ready, true);
  assert.deepEqual([host.info.vendor, host.info.product, host.info.serial], [0x2e8a, 5, 'E6']);
  assert.deepEqual(firmware.setups.find((packet) => packet[1] === 5).slice(2, 4), [1, 0]);
});

test('an open port sets the line and raises DTR, a closed one lowers it', () => {
  const { host, firmware } = enumerated();
  assert.deepEqual(firmware.lineCoding, [0, 0xc2, 1, 0, 0, 0, 8]);
  assert.equal(firmware.setups.at(-1)[1], 0x22);
  assert.equal(firmware.setups.at(-1)[2], 3);
  host.close();
  firmware.run();
  assert.deepEqual(firmware.setups.at(-1).slice(1, 3), [0x22, 0]);
});

test('bytes go out when the device takes them, in order, and are all counted', () => {
  const { host, firmware } = enumerated();
  host.write(Uint8Array.from({ length: 100 }, (_, i) => i));
  firmware.run();
  assert.equal(host.sent, 0);
  firmware.armOut();
  firmware.run();
  assert.equal(host.sent, 64);
  firmware.armOut();
  firmware.run();
  assert.equal(host.sent, 100);
  assert.equal(firmware.chip.usbDPRAM[OUT_DATA + 35], 99);
});

test('a host that does not take packets holds the device back', () => {
  const { host, firmware, got } = enumerated();
  host.onData = (bytes) => {
    got.push(...bytes);
    return false;
  };
  firmware.send([1, 2]);
  firmware.run();
  firmware.send([3]);
  firmware.run(5);
  assert.deepEqual([got, firmware.sendBusy], [[1, 2], true]);
  host.resume();
  firmware.run();
  assert.deepEqual([got, firmware.sendBusy], [[1, 2, 3], false]);
});

test('a port that nobody has open is not read', () => {
  const { host, firmware, got } = enumerated({ open: false });
  firmware.send([1]);
  firmware.run(5);
  assert.deepEqual([got, firmware.sendBusy], [[], true]);
  host.open();
  firmware.run();
  assert.deepEqual(got, [1]);
});

test('what was written before the port was closed still goes out', () => {
  const { host, firmware } = enumerated();
  host.write(Uint8Array.of(1));
  host.close();
  firmware.run();
  assert.equal(host.opened, true);
  firmware.armOut();
  firmware.run();
  assert.deepEqual([host.sent, host.opened], [1, false]);
  assert.deepEqual(firmware.setups.at(-1).slice(1, 3), [0x22, 0]);
});

test('a device that takes nothing delays closing for a second', () => {
  const { host, firmware } = enumerated();
  host.write(Uint8Array.of(1));
  host.close();
  firmware.run(1100);
  assert.equal(host.opened, false);
});

test('two buffers are taken in order with one interrupt', () => {
  const { firmware, got } = enumerated();
  firmware.view.setUint32(16, IN_DATA | (1 << 30), true);
  firmware.chip.usbDPRAM.set([1], IN_DATA);
  firmware.chip.usbDPRAM.set([2], IN_DATA + 64);
  const half = AVAILABLE | FULL | 1;
  firmware.control(0x90, half | (half << 16));
  firmware.chip.clock.tick(6e4);
  assert.equal(firmware.device.bufferStatus & 0x10, 0);
  firmware.chip.clock.tick(6e4);
  assert.equal(firmware.device.bufferStatus & 0x10, 0x10);
  assert.deepEqual(got, [1, 2]);
});

test('a full queue is held off until it drains', () => {
  const { host, firmware } = enumerated();
  let drained = 0;
  host.onDrain = () => drained++;
  assert.equal(host.write(new Uint8Array(READ_AHEAD)), false);
  firmware.armOut();
  firmware.run();
  assert.equal(drained, 1);
});

test('frames interrupt only while that is enabled', () => {
  const { firmware } = enumerated();
  firmware.write(0x90, 1 << 17, 2);
  firmware.chip.clock.tick(1.1e6);
  assert.ok(firmware.device.readUint32(0x98) & (1 << 17));
  firmware.device.readUint32(0x48);
  assert.equal(firmware.device.readUint32(0x98) & (1 << 17), 0);
});

test('detaching ends the port', () => {
  const { host, firmware } = enumerated();
  let gone = 0;
  host.onGone = () => gone++;
  firmware.write(0x4c, 0);
  assert.deepEqual([gone, host.ready], [1, false]);
});

test('a frame comes once, however the clock is rounded', () => {
  for (const from of [0.3, 1 / 3, 279906915.7, 123456789.12345679]) {
    const chip = fakeChip();
    const device = new UsbDevice(chip);
    chip.clock.tick(from);
    device.busReset();
    let frames = 0;
    chip.setInterrupt = (irq, active) => {
      if (active) {
        frames++;
        assert.ok(frames < 1000, `after ${from} ns the alarm does not get on`);
        device.readUint32(0x48); // ends the interrupt
      }
    };
    device.writeUint32Atomic(0x90, 1 << 17, 0);
    for (let i = 0; i < 300; i++) {
      chip.clock.tick(1e6 / 3);
    }
    assert.ok(frames >= 99 && frames <= 101, `${frames} frames`);
  }
});
