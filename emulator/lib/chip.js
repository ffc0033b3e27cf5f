// SPDX-License-Identifier: Apache-2.0
// One RP2040 from one reset to the next: rp2040js with our boot ROM and our peripherals.
import { SpiNor } from './flash.js';
import { QspiPins, Registers, Rosc, Ssi, SYSINFO, VREG } from './peripherals.js';
import { Pins } from './pins.js';
import { RP2040, SimulationClock } from './rp2040js.js';
import {
  floatTrap, TRAP_FAULT, TRAP_FLASH_ERASE, TRAP_FLASH_PROGRAM, TRAP_USB_BOOT,
} from './traps.js';
import { Uart } from './uart.js';
import { UsbDevice } from './usb_device.js';
import { UsbHost } from './usb_host.js';

const ROM_END = 0x4000;
const NANOS = 1e9;
const FIFO_STATUS = 0x50;
const FIFO_READY = 3;
const FIFO_READ = 0x58;

const quiet = { debug() {}, info() {}, warn() {}, error() {} };

export class Chip {
  /**
   * `kept` is what survives a reset: {reason, scratch} of the watchdog. Events are given to
   * `on`: reset({reason, scratch}), bootloader(), fault(text).
   */
  constructor({ bootrom, flash, uniqueId, kept = {}, on = {} }) {
    this.on = { reset() {}, bootloader() {}, fault() {}, ...on };
    this.clock = new SimulationClock();
    this.rp = new RP2040(this.clock);
    this.rp.logger = quiet;
    this.flash = flash;
    this.instructions = 0;
    this.halted = false;
    this.#memory(bootrom);
    this.#peripherals(new SpiNor(flash, uniqueId));
    this.#watchdog(kept);
    this.pins = new Pins(this.rp.gpio, () => this.clock.nanos);
    this.rp.onBreak = (number) => this.#trap(number);
    this.rp.core.reset();
  }

  #memory(bootrom) {
    this.rp.bootrom.fill(0);
    new Uint8Array(this.rp.bootrom.buffer).set(bootrom);
    this.rp.flash.set(this.flash.bytes);
  }

  #place(base, peripheral) {
    this.rp.peripherals[base] = peripheral;
    return peripheral;
  }

  #peripherals(nor) {
    const { rp } = this;
    const ssi = this.#place(0x18000, new Ssi(rp, nor));
    this.#place(0x40018, new QspiPins(rp, (forced) => ssi.override(forced)));
    this.#place(0x40000, new Registers(rp, 'SYSINFO', SYSINFO));
    this.#place(0x40060, new Rosc(rp, 'ROSC'));
    this.#place(0x40064, new Registers(rp, 'VREG', VREG));
    this.uarts = [0, 1].map((number) => this.#place(0x40034 + 4 * number, new Uart(rp, number)));
    rp.uart = this.uarts.map((uart) => Object.assign(uart, { clkPeriChanged() {} }));
    rp.usbCtrl = this.#place(0x50110, new UsbDevice(rp));
    this.usb = new UsbHost(rp.usbCtrl, this.clock);
    // There is no second core. What it says after each reset, a zero, is always in the FIFO: the
    // SDK waits for it.
    const read = rp.sio.readUint32.bind(rp.sio);
    rp.sio.readUint32 = (offset) =>
      offset === FIFO_STATUS ? FIFO_READY : offset === FIFO_READ ? 0 : read(offset);
  }

  #watchdog({ reason = 0, scratch = null }) {
    const watchdog = this.rp.peripherals[0x40058];
    watchdog.reason = reason;
    if (scratch) {
      watchdog.scratchData.set(scratch);
    }
    watchdog.onWatchdogTrigger = () => {
      if (this.halted) {
        return; // a forced reset while the timer runs: rp2040js starts that again
      }
      watchdog.alarm.enable = false; // it would be due again at once
      watchdog.timer.enable = false;
      this.halted = true;
      const kept = watchdog.scratchData.slice();
      this.on.reset({ reason: watchdog.reason, scratch: kept });
    };
  }

  #trap(number) {
    const { core } = this.rp;
    // rp2040js has already gone past the BKPT.
    if (core.PC > ROM_END) {
      this.#fault(`BKPT #${number} at 0x${(core.PC - 2).toString(16)}`);
    } else if (number === TRAP_USB_BOOT) {
      this.halted = true;
      this.on.bootloader();
    } else if (!this.#flashTrap(number, core.registers) && !floatTrap(number, core.registers)) {
      this.#fault(number === TRAP_FAULT ? 'a fault in the boot ROM' : `boot ROM function ${number}`);
    }
  }

  #fault(text) {
    this.halted = true;
    this.on.fault(text);
  }

  #flashTrap(number, [offset, second, third]) {
    if (number === TRAP_FLASH_ERASE) {
      this.flash.erase(offset, second);
      this.#refresh(offset, second);
    } else if (number === TRAP_FLASH_PROGRAM) {
      const data = Uint8Array.from({ length: third }, (_, index) => this.rp.readUint8(second + index));
      this.flash.program(offset, data);
      this.#refresh(offset, third);
    }
    return number === TRAP_FLASH_ERASE || number === TRAP_FLASH_PROGRAM;
  }

  // What the program sees of the flash is a copy: rp2040js has an array of its own.
  #refresh(offset, length) {
    const start = offset & ~0xfff;
    const end = Math.min(this.flash.size, (offset + length + 0xfff) & ~0xfff);
    this.rp.flash.set(this.flash.bytes.subarray(start, end), start);
  }

  /** True when the processor waits for an interrupt. */
  get waiting() {
    return this.rp.core.waiting;
  }

  /** Nanoseconds until something happens by itself; Infinity when nothing will. */
  get idleNanos() {
    return this.clock.nextAlarm ? this.clock.nanosToNextAlarm : Infinity;
  }

  /**
   * Run until `target` (nanoseconds since the reset), or for `limit` instructions, or until it
   * halts. While it waits for an interrupt time is skipped; with a target of Infinity up to the
   * next event only if there is one.
   */
  run(target, limit) {
    const { clock } = this;
    const { core } = this.rp;
    const perCycle = NANOS / this.rp.clkSys;
    let left = limit;
    while (left > 0 && clock.nanosCounter < target && !this.halted) {
      if (core.waiting) {
        const idle = this.idleNanos;
        const step = Math.min(idle, target - clock.nanosCounter);
        if (step === Infinity) {
          break;
        }
        clock.tick(step);
        left--;
      } else {
        clock.nanosCounter += core.executeInstruction() * perCycle;
        if (clock.nextAlarm && clock.nextAlarm.nanos <= clock.nanosCounter) {
          clock.tick(0);
        }
        this.instructions++;
        left--;
      }
    }
    return limit - left;
  }
}
