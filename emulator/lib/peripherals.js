// SPDX-License-Identifier: Apache-2.0
// Small peripherals that rp2040js lacks or answers wrongly.
import crypto from 'node:crypto';
import { BasePeripheral } from './rp2040js.js';

/** Registers that keep what is written; `initial` maps offsets to reset values. */
export class Registers extends BasePeripheral {
  constructor(chip, name, initial = {}) {
    super(chip, name);
    this.values = new Map(Object.entries(initial).map(([key, value]) => [Number(key), value]));
  }
  readUint32(offset) {
    return this.values.get(offset & 0xfff) ?? 0;
  }
  writeUint32(offset, value) {
    this.values.set(offset, value >>> 0);
  }
}

const ROSC_STATUS = 0x18;
const ROSC_RANDOMBIT = 0x1c;

/** The ring oscillator: stable, and its random bit is random. */
export class Rosc extends Registers {
  readUint32(offset) {
    if (offset === ROSC_STATUS) {
      return 0x80001000;
    }
    return offset === ROSC_RANDOMBIT ? crypto.randomInt(2) : super.readUint32(offset);
  }
}

/** CHIP_ID of revision B2; PLATFORM "asic"; git reference. */
export const SYSINFO = { 0: 0x20002927, 4: 2, 0x40: 0 };
/** HAD_POR of CHIP_RESET; regulator on, in regulation. */
export const VREG = { 0: 0x10b1, 4: 0x91, 8: 0x100 };

const SS_CTRL = 0x0c;
const OVERRIDE_SHIFT = 8;
const DRIVE_LOW = 2;
const DRIVE_HIGH = 3;

/** IO_QSPI, of which the override of the flash's chip select matters. */
export class QspiPins extends Registers {
  constructor(chip, onSelect) {
    super(chip, 'IO_QSPI');
    this.onSelect = onSelect;
  }
  writeUint32(offset, value) {
    super.writeUint32(offset, value);
    if (offset === SS_CTRL) {
      const override = (value >>> OVERRIDE_SHIFT) & 3;
      this.onSelect(override === DRIVE_LOW ? true : override === DRIVE_HIGH ? false : null);
    }
  }
}

const SSIENR = 0x08;
const SR = 0x28;
const DR0 = 0x60;
const DR_LAST = 0xec;
const IDR = 0x58;
const SR_READY = 0x06; // transmit FIFO empty and not full
const SR_RECEIVED = 0x08;

/**
 * The SSI in front of the flash. Bytes are transferred at once. Its own chip select ends with the
 * last byte that is fetched; the override of IO_QSPI says it outright.
 */
export class Ssi extends Registers {
  constructor(chip, nor) {
    super(chip, 'SSI', { [IDR]: 0x51535049 });
    this.nor = nor;
    this.received = [];
    this.forced = null;
    this.selected = false;
  }

  /** true: held selected, false: held deselected, null: up to the SSI. */
  override(forced) {
    if (forced !== this.forced) {
      this.#select(false);
      this.forced = forced;
      this.#select(forced === true);
    }
  }

  #select(selected) {
    if (selected !== this.selected) {
      this.selected = selected;
      if (selected) {
        this.nor.select();
      } else {
        this.nor.deselect();
      }
    }
  }

  readUint32(offset) {
    if (offset === SR) {
      return SR_READY | (this.received.length ? SR_RECEIVED : 0);
    }
    if (offset >= DR0 && offset <= DR_LAST) {
      const value = this.received.shift() ?? 0;
      if (!this.received.length && this.forced === null) {
        this.#select(false);
      }
      return value;
    }
    return super.readUint32(offset);
  }

  writeUint32(offset, value) {
    if (offset >= DR0 && offset <= DR_LAST) {
      if (this.forced === null) {
        this.#select(true);
      }
      this.received.push(this.selected ? this.nor.transfer(value & 0xff) : 0xff);
      return;
    }
    if (offset === SSIENR && !(value & 1)) {
      this.received = [];
      if (this.forced === null) {
        this.#select(false);
      }
    }
    super.writeUint32(offset, value);
  }
}
