// SPDX-License-Identifier: Apache-2.0
// A USB host for one CDC device: enumerates it, opens and closes its serial port, and moves bytes
// with flow control both ways. It sees only the host's side of UsbDevice.
import { STALLED } from './usb_device.js';

const TRANSACTION_NANOS = 50e3; // about what 64 bytes take at full speed
const RESET_NANOS = 10e6;
const CLOSING_NANOS = 1e9; // so long a device that takes nothing can hold up close()
const GET_DESCRIPTOR = 6;
const SET_ADDRESS = 5;
const SET_CONFIGURATION = 9;
const SET_LINE_CODING = 0x20;
const SET_CONTROL_LINE_STATE = 0x22;
const DEVICE = 1;
const CONFIGURATION = 2;
const STRING = 3;
const ENGLISH = 0x0409;
const CLASS_CDC = 2;
const CLASS_CDC_DATA = 10;
const DTR_RTS = 3;
const PACKET = 64;
export const READ_AHEAD = 65536;

/** The interfaces and end points in a configuration descriptor. */
export function parseConfiguration(bytes) {
  const found = { control: null, in: null, out: null };
  let kind = null;
  for (let at = 0; at + 1 < bytes.length && bytes[at] >= 2; at += bytes[at]) {
    const type = bytes[at + 1];
    if (type === 4) {
      kind = bytes[at + 5];
      if (kind === CLASS_CDC && found.control === null) {
        found.control = bytes[at + 2];
      }
    } else if (type === 5 && kind === CLASS_CDC_DATA && (bytes[at + 3] & 3) === 2) {
      const direction = bytes[at + 2] & 0x80 ? 'in' : 'out';
      found[direction] ??= bytes[at + 2] & 15;
    }
  }
  return found;
}

const setupPacket = (type, request, value, index, length) =>
  Uint8Array.of(type, request, value & 255, value >> 8, index & 255, index >> 8, length & 255, length >> 8);

export class UsbHost {
  constructor(device, clock) {
    this.device = device;
    this.alarm = clock.createAlarm(() => this.#service());
    this.resetAlarm = clock.createAlarm(() => {
      this.resetAlarm.scheduled = false;
      this.device.busReset();
    });
    this.closeAlarm = clock.createAlarm(() => this.#closed());
    this.onReady = () => {};
    this.onGone = () => {};
    this.onData = () => true; // returns false to hold the device back until resume()
    this.onDrain = () => {};
    this.baud = 115200;
    this.opened = false;
    this.closing = false;
    this.info = null;
    this.received = 0;
    this.sent = 0;
    this.#forget();
    device.onAttach = () => this.resetAlarm.schedule(RESET_NANOS);
    device.onDetach = () => this.#gone();
    device.onResetSeen = () => this.#enumerate();
    device.onBuffer = () => this.#kick();
  }

  #forget() {
    this.ready = false;
    this.held = false;
    this.queue = [];
    this.transfer = null;
    this.out = [];
    this.outBytes = 0;
    this.ends = { control: null, in: null, out: null };
  }

  #gone() {
    const was = this.ready;
    this.resetAlarm.cancel();
    this.#forget();
    if (was) {
      this.onGone();
    }
  }

  #kick() {
    if (!this.alarm.scheduled) {
      this.alarm.schedule(TRANSACTION_NANOS);
    }
  }

  #service() {
    this.alarm.scheduled = false;
    const control = this.transfer ? this.#controlStep() : false;
    const input = this.#input();
    const output = this.#output();
    if (control || input || output) {
      this.#kick();
    }
  }

  // --- control transfers

  /** Queue one; `done(bytes)` gets the data of an IN transfer, null when it was refused. */
  #request(setup, data, done) {
    this.queue.push({ setup, data, done, reply: [], stage: 'setup' });
    this.#nextTransfer();
  }

  #nextTransfer() {
    if (!this.transfer && this.queue.length) {
      this.transfer = this.queue.shift();
      this.#kick();
    }
  }

  #controlStep() {
    const step = this.transfer;
    if (step.stage === 'setup') {
      this.device.setup(step.setup);
      const length = step.setup[6] | (step.setup[7] << 8);
      const input = Boolean(step.setup[0] & 0x80);
      step.stage = length ? (input ? 'in' : 'out') : 'status-in';
      step.length = length;
      return true;
    }
    // The firmware clears what was left in the buffers when it handles the set-up packet.
    if (this.device.setupPending) {
      return false;
    }
    return step.stage === 'in' ? this.#controlIn(step) : this.#controlRest(step);
  }

  #controlIn(step) {
    const packet = this.device.takePacket(0);
    if (packet === STALLED) {
      return this.#finish(null);
    }
    if (packet) {
      step.reply.push(...packet);
      if (packet.length < PACKET || step.reply.length >= step.length) {
        step.stage = 'status-out';
      }
    }
    return Boolean(packet);
  }

  /** The data of an OUT transfer and both kinds of status stage: only once the firmware is armed. */
  #controlRest(step) {
    const input = step.stage === 'status-in';
    const got = input
      ? this.device.takePacket(0)
      : this.device.givePacket(0, step.stage === 'out' ? step.data : new Uint8Array(0));
    if (got === STALLED) {
      return this.#finish(null);
    }
    if (!got) {
      return false;
    }
    if (step.stage === 'out') {
      step.stage = 'status-in';
      return true;
    }
    return this.#finish(Uint8Array.from(step.reply));
  }

  #finish(reply) {
    const { done } = this.transfer;
    this.transfer = null;
    done?.(reply);
    this.#nextTransfer();
    return true;
  }

  #descriptor(type, length, done, index = 0, language = 0) {
    this.#request(setupPacket(0x80, GET_DESCRIPTOR, (type << 8) | index, language, length), null, done);
  }

  #enumerate() {
    this.#forget();
    const info = {};
    this.#descriptor(DEVICE, 18, (bytes) => {
      if (bytes) {
        info.vendor = bytes[8] | (bytes[9] << 8);
        info.product = bytes[10] | (bytes[11] << 8);
        info.serialIndex = bytes[16];
      }
    });
    this.#request(setupPacket(0, SET_ADDRESS, 1, 0, 0), null, null);
    this.#descriptor(CONFIGURATION, 9, (bytes) => {
      const total = bytes ? bytes[2] | (bytes[3] << 8) : 0;
      this.#descriptor(CONFIGURATION, total, (all) => this.#configure(info, all));
    });
  }

  #configure(info, bytes) {
    this.ends = parseConfiguration(bytes ?? []);
    this.#descriptor(STRING, 255, (text) => {
      info.serial = text ? Buffer.from(text.subarray(2)).toString('utf16le') : '';
    }, info.serialIndex, ENGLISH);
    this.#request(setupPacket(0, SET_CONFIGURATION, 1, 0, 0), null, () => {
      this.info = info;
      this.ready = this.ends.in !== null;
      if (this.ready) {
        this.onReady();
        this.#lineState();
      }
    });
  }

  // --- the serial port

  /** A program opens the port: the line is set, DTR and RTS go up, and IN tokens are sent. */
  open() {
    if (this.closing) {
      this.#closed();
    }
    this.opened = true;
    if (this.ready) {
      this.#lineState();
    }
  }

  /** It closes the port: what it has written still goes out, as with a tty. */
  close() {
    this.held = false;
    this.closing = true;
    if (this.ready && this.out.length) {
      this.closeAlarm.schedule(CLOSING_NANOS);
      this.#kick();
    } else {
      this.#closed();
    }
  }

  #closed() {
    this.closeAlarm.cancel();
    this.closing = false;
    this.opened = false;
    this.out = [];
    this.outBytes = 0;
    if (this.ready) {
      this.#lineState();
    }
  }

  /** Set the baud rate; 1200 and then close() is how some firmware is told to enter its boot loader. */
  setBaud(baud) {
    this.baud = baud;
    if (this.ready && this.opened) {
      this.#lineCoding();
    }
  }

  #lineCoding() {
    const coding = Buffer.alloc(7);
    coding.writeUInt32LE(this.baud, 0);
    coding[6] = 8;
    this.#request(setupPacket(0x21, SET_LINE_CODING, 0, this.ends.control, 7), coding, null);
  }

  #lineState() {
    if (this.opened) {
      this.#lineCoding();
    }
    const state = this.opened ? DTR_RTS : 0;
    this.#request(setupPacket(0x21, SET_CONTROL_LINE_STATE, state, this.ends.control, 0), null, null);
    this.#kick();
  }

  /** Queue bytes for the device; false when the queue is full, until onDrain. */
  write(bytes) {
    if (this.ready && this.opened) {
      for (let at = 0; at < bytes.length; at += PACKET) {
        this.out.push(bytes.subarray(at, at + PACKET));
      }
      this.outBytes += bytes.length;
      this.#kick();
    }
    return this.outBytes < READ_AHEAD;
  }

  /** After onData returned false: read on. */
  resume() {
    this.held = false;
    this.#kick();
  }

  #input() {
    // A port that nobody has open is not read: the device keeps its packets.
    if (!this.ready || !this.opened || this.held) {
      return false;
    }
    const packet = this.device.takePacket(this.ends.in);
    if (!packet || packet === STALLED) {
      return false;
    }
    this.received += packet.length;
    if (packet.length && this.onData(packet) === false) {
      this.held = true;
    }
    return true;
  }

  #output() {
    if (!this.out.length || this.device.givePacket(this.ends.out, this.out[0]) !== true) {
      return false;
    }
    const { length } = this.out.shift();
    this.sent += length;
    if (this.closing && !this.out.length) {
      this.#closed();
      return true;
    }
    const full = this.outBytes >= READ_AHEAD;
    this.outBytes -= length;
    if (full && this.outBytes < READ_AHEAD) {
      this.onDrain();
    }
    return true;
  }
}
