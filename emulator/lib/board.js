// SPDX-License-Identifier: Apache-2.0
// A board: power, reset, boot loader, and a chip that runs between them. It emits:
//   state(name)           off, running, bootloader or halted (a fault; `fault` has the text)
//   reset(reason)         "power", "pin", "watchdog" or "software", before the chip starts anew
//   usb(up)               the serial port of the USB device appears, disappears
//   usb-data(bytes), usb-drain(), uart-data(number, bytes), uart-drain(number), pin(event)
import { EventEmitter } from 'node:events';
import { Chip } from './chip.js';
import { RealTime } from './pace.js';
import { parseUf2 } from './uf2.js';

const SLICE_INSTRUCTIONS = 50000; // some 10 ms: so soon input is looked at
const MAX_SLEEP_MS = 1000;
const WATCHDOG_TIMER = 1;
const WATCHDOG_FORCED = 2;

const hostNanos = () => performance.now() * 1e6;

export class Board extends EventEmitter {
  constructor({ bootrom, flash, uniqueId, pace = new RealTime() }) {
    super();
    this.parts = { bootrom, flash, uniqueId };
    this.flash = flash;
    this.pace = pace;
    this.state = 'off';
    this.fault = null;
    this.chip = null;
    this.pending = null;
    this.timer = null;
    this.resets = 0;
    this.busyMs = 0;
    this.before = { instructions: 0, nanos: 0 };
    this.external = new Map(); // what is connected to the pins stays over a reset
    this.analog = [0, 0, 0, 0, 0];
    this.usbOpened = false;
    this.uartOut = [[], []];
    this.clearToSend = [true, true];
    this.watching = false;
    this.inRun = false;
  }

  // --- power and reset

  powerOn() {
    if (this.state === 'off') {
      this.#start({}, 'power');
    }
  }

  powerOff() {
    this.#stop();
    this.#setState('off');
  }

  /** The RUN pin: as power off and on, but nothing has to be off. */
  reset() {
    if (this.state !== 'off') {
      this.#stop();
      this.#start({}, 'pin');
    }
  }

  /** BOOTSEL held while it starts. */
  enterBootloader() {
    this.#stop();
    this.#setState('bootloader');
  }

  /** Write a UF2 file as the boot loader does, and start it. Uf2Error: nothing was changed. */
  burn(file) {
    if (this.state !== 'bootloader') {
      throw new Error(`the board is not in its boot loader but ${this.state}`);
    }
    const blocks = parseUf2(file, this.flash.size);
    this.flash.burn(blocks);
    this.#start({ reason: WATCHDOG_FORCED }, 'software');
    return blocks.length;
  }

  #setState(state) {
    if (state !== this.state) {
      this.state = state;
      this.emit('state', state);
    }
  }

  #start(kept, reason) {
    this.emit('reset', reason);
    this.resets++;
    this.fault = null;
    const on = {
      reset: (left) => (this.pending = left),
      bootloader: () => (this.pending = 'bootloader'),
      fault: (text) => (this.fault = text),
    };
    const chip = new Chip({ ...this.parts, kept, on });
    this.chip = chip;
    this.pace.restart();
    this.#wire(chip);
    this.#setState('running');
    this.#wake();
  }

  #wire(chip) {
    const { usb, pins, rp } = chip;
    usb.onReady = () => this.emit('usb', true);
    usb.onGone = () => this.emit('usb', false);
    usb.onData = (bytes) => this.emit('usb-data', bytes) && !this.usbHeld;
    usb.onDrain = () => this.emit('usb-drain');
    this.usbHeld = false;
    this.usbOpened = false;
    chip.uarts.forEach((uart, number) => {
      uart.onByte = (byte) => this.#uartByte(number, byte);
      uart.onDrain = () => this.emit('uart-drain', number);
      uart.setClearToSend(this.clearToSend[number]);
    });
    this.external.forEach((level, pin) => pins.set(pin, level));
    pins.onChange = (event) => this.watching && this.emit('pin', event);
    rp.adc.channelValues = this.analog;
  }

  #stop() {
    const { chip } = this;
    clearTimeout(this.timer);
    clearImmediate(this.immediate);
    this.timer = this.immediate = null;
    this.pending = null;
    if (chip) {
      const wasUp = chip.usb.ready;
      this.chip = null;
      this.before.instructions += chip.instructions;
      this.before.nanos += chip.clock.nanos;
      this.#flushUarts();
      if (wasUp) {
        this.emit('usb', false);
      }
    }
  }

  // --- running

  /** Something came from outside: look at it now. */
  #wake() {
    if (this.chip && !this.immediate) {
      clearTimeout(this.timer);
      this.timer = null;
      this.immediate = setImmediate(() => this.#slice());
    }
  }

  #target(chip) {
    return this.pace.target(chip.clock.nanos, hostNanos(), chip.waiting);
  }

  /** A board that slept is brought to the present, before something happens to it. */
  #catchUp() {
    const { chip } = this;
    if (chip?.waiting && !this.inRun) {
      this.#run(chip);
    }
    return this.chip;
  }

  #run(chip) {
    const from = performance.now();
    this.inRun = true;
    try {
      chip.run(this.#target(chip), SLICE_INSTRUCTIONS);
    } finally {
      this.inRun = false;
      this.busyMs += performance.now() - from;
    }
  }

  #slice() {
    this.timer = this.immediate = null;
    const { chip } = this;
    this.#run(chip);
    this.#flushUarts();
    if (chip.halted) {
      this.#halted();
    } else if (this.chip === chip && !this.immediate) {
      this.#next(chip);
    }
  }

  #next(chip) {
    if (!chip.waiting) {
      // Where the board is ahead of the host, there is nothing to do for a moment.
      const ahead = chip.clock.nanos - this.#target(chip);
      if (ahead < 1e6) {
        this.#wake();
      } else {
        this.timer = setTimeout(() => this.#slice(), ahead / 1e6);
      }
      return;
    }
    const sleep = this.pace.sleep(chip.idleNanos) / 1e6;
    if (sleep < 0.2) {
      this.#wake();
    } else {
      this.timer = setTimeout(() => this.#slice(), Math.min(sleep, MAX_SLEEP_MS));
    }
  }

  #halted() {
    const { pending } = this;
    this.#stop();
    if (pending === 'bootloader') {
      this.#setState('bootloader');
    } else if (pending) {
      this.#start(pending, pending.reason === WATCHDOG_TIMER ? 'watchdog' : 'software');
    } else {
      this.#setState('halted');
    }
  }

  // --- what is connected

  usbOpen() {
    this.usbOpened = true;
    this.usbHeld = false; // the one before may have left in the middle
    this.#catchUp()?.usb.open();
    this.#wake();
  }

  usbClose() {
    this.usbOpened = false;
    this.#catchUp()?.usb.close();
    this.#wake();
  }

  get usbUp() {
    return Boolean(this.chip?.usb.ready);
  }

  /** Bytes for the device; false: wait for usb-drain. */
  usbWrite(bytes) {
    const more = this.#catchUp()?.usb.write(bytes) ?? true;
    this.#wake();
    return more;
  }

  /** Do not read from the device, or do again. */
  usbHold(held) {
    this.usbHeld = held;
    if (!held) {
      this.#catchUp()?.usb.resume();
      this.#wake();
    }
  }

  /** As a host program that sets the baud rate; 1200 asks some firmware for the boot loader. */
  usbBaud(baud) {
    this.#catchUp()?.usb.setBaud(baud);
    this.#wake();
  }

  /** Bytes for a UART; false: wait for uart-drain. */
  uartWrite(number, bytes) {
    const more = this.#catchUp()?.uarts[number].feed(bytes) ?? true;
    this.#wake();
    return more;
  }

  /** The CTS line of a UART: false holds a board off that uses it. */
  uartClearToSend(number, clear) {
    if (!(number in this.clearToSend)) {
      throw new RangeError(`there is no UART ${number}`);
    }
    this.clearToSend[number] = clear;
    this.#catchUp()?.uarts[number].setClearToSend(clear);
    this.#wake();
  }

  #uartByte(number, byte) {
    this.uartOut[number].push(byte);
  }

  #flushUarts() {
    this.uartOut.forEach((bytes, number) => {
      if (bytes.length) {
        this.uartOut[number] = [];
        this.emit('uart-data', number, Uint8Array.from(bytes));
      }
    });
  }

  setPin(pin, level) {
    if (!this.chip) {
      throw new Error(`the board is ${this.state}`);
    }
    this.#catchUp().pins.set(pin, level);
    this.external.set(pin, level);
    this.#wake();
  }

  getPin(pin) {
    if (!this.chip) {
      throw new Error(`the board is ${this.state}`);
    }
    return this.chip.pins.get(pin);
  }

  /** A raw 12-bit value for an ADC channel: 0-3 are GPIO 26-29, 4 is the temperature. */
  setAnalog(channel, value) {
    if (!(channel in this.analog) || !(value >= 0 && value <= 4095)) {
      throw new RangeError('the channel is 0 to 4, the value 0 to 4095');
    }
    this.analog[channel] = Math.round(value);
  }

  statistics() {
    const { chip } = this;
    return {
      state: this.state,
      resets: this.resets,
      instructions: this.before.instructions + (chip?.instructions ?? 0),
      instructions_since_reset: chip?.instructions ?? 0,
      board_ms: (this.before.nanos + (chip?.clock.nanos ?? 0)) / 1e6,
      board_ms_since_reset: (chip?.clock.nanos ?? 0) / 1e6,
      busy_ms: this.busyMs,
      usb: { up: this.usbUp, from_board: chip?.usb.received ?? 0, to_board: chip?.usb.sent ?? 0 },
      uart: (chip?.uarts ?? []).map((uart) => ({
        baud: Math.round(uart.baud), from_board: uart.sent, to_board: uart.received, overruns: uart.overruns,
      })),
      flash: { erased_sectors: this.flash.erases, programmed_bytes: this.flash.programmed },
    };
  }
}
