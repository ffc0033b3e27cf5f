// SPDX-License-Identifier: Apache-2.0
// A SPI NOR flash of the W25Q family: its contents, kept in a file, and its serial commands.
import fs from 'node:fs';

export const SECTOR = 4096;
const PAGE = 256;

const JEDEC = { 0x200000: [0xef, 0x40, 0x15], 0x400000: [0xef, 0x40, 0x16], 0x1000000: [0xef, 0x40, 0x18] };

/** The contents. Only erasing sets bits, programming only clears them. */
export class Flash {
  /** `file` is made when it does not exist; without one the contents end with the process. */
  constructor({ size = 0x200000, file = null } = {}) {
    this.size = size;
    this.bytes = new Uint8Array(size).fill(0xff);
    this.listeners = [];
    this.erases = 0;
    this.programmed = 0;
    this.fd = file ? this.#open(file) : null;
  }

  #open(file) {
    const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
    const { size } = fs.fstatSync(fd);
    if (size !== 0 && size !== this.size) {
      throw new Error(`${file} has ${size} bytes, the flash has ${this.size}`);
    }
    if (size) {
      fs.readSync(fd, this.bytes, 0, size, 0);
    } else {
      fs.writeSync(fd, this.bytes, 0, this.size, 0);
    }
    return fd;
  }

  /** `listener(offset, length)` is called after each change. */
  onChange(listener) {
    this.listeners.push(listener);
  }

  #changed(offset, length) {
    if (this.fd !== null) {
      fs.writeSync(this.fd, this.bytes, offset, length, offset);
    }
    for (const listener of this.listeners) {
      listener(offset, length);
    }
  }

  /** Erase the sectors from `offset` on; what is outside of the flash is ignored, as wrap is not modelled. */
  erase(offset, length) {
    const start = offset - (offset % SECTOR);
    const end = Math.min(this.size, offset + length);
    if (start >= end) {
      return;
    }
    const stop = Math.min(this.size, Math.ceil(end / SECTOR) * SECTOR);
    this.bytes.fill(0xff, start, stop);
    this.erases += (stop - start) / SECTOR;
    this.#changed(start, stop - start);
  }

  program(offset, data) {
    const length = Math.max(0, Math.min(data.length, this.size - offset));
    for (let i = 0; i < length; i++) {
      this.bytes[offset + i] &= data[i];
    }
    this.programmed += length;
    if (length) {
      this.#changed(offset, length);
    }
  }

  /** Write [offset, bytes] blocks as a boot loader does: what lies below them is erased first. */
  burn(blocks) {
    const sectors = new Set();
    for (const [offset, data] of blocks) {
      for (let at = offset - (offset % SECTOR); at < offset + data.length; at += SECTOR) {
        sectors.add(at);
      }
    }
    sectors.forEach((at) => this.erase(at, SECTOR));
    blocks.forEach(([offset, data]) => this.program(offset, data));
  }

  close() {
    if (this.fd !== null) {
      fs.closeSync(this.fd);
      this.fd = null;
    }
  }
}

const CMD_WRITE_STATUS = 0x01;
const CMD_PAGE_PROGRAM = 0x02;
const CMD_READ = 0x03;
const CMD_WRITE_DISABLE = 0x04;
const CMD_READ_STATUS = 0x05;
const CMD_WRITE_ENABLE = 0x06;
const CMD_FAST_READ = 0x0b;
const CMD_SECTOR_ERASE = 0x20;
const CMD_READ_STATUS2 = 0x35;
const CMD_UNIQUE_ID = 0x4b;
const CMD_JEDEC_ID = 0x9f;
const STATUS_WRITE_ENABLED = 2;

/** The serial side: one byte in, one byte out, between select() and deselect(). Never busy. */
export class SpiNor {
  constructor(flash, uniqueId) {
    this.flash = flash;
    this.uniqueId = uniqueId;
    this.status = [0, 0];
    this.writeEnabled = false;
    this.frame = [];
  }

  select() {
    this.frame = [];
  }

  /** Commands that change something take effect when the chip is deselected. */
  deselect() {
    const [command, ...rest] = this.frame;
    this.frame = [];
    if (command === CMD_WRITE_ENABLE || command === CMD_WRITE_DISABLE) {
      this.writeEnabled = command === CMD_WRITE_ENABLE;
    } else if (this.writeEnabled && this.#change(command, rest)) {
      this.writeEnabled = false;
    }
  }

  #change(command, rest) {
    const address = (rest[0] << 16) | (rest[1] << 8) | rest[2];
    if (command === CMD_WRITE_STATUS) {
      rest.slice(0, 2).forEach((value, index) => (this.status[index] = value));
    } else if (command === CMD_SECTOR_ERASE && rest.length === 3) {
      this.flash.erase(address, SECTOR);
    } else if (command === CMD_PAGE_PROGRAM && rest.length > 3) {
      this.flash.program(address, rest.slice(3, 3 + PAGE - (address % PAGE)));
    } else {
      return false;
    }
    return true;
  }

  transfer(byte) {
    const position = this.frame.length;
    this.frame.push(byte);
    return position === 0 ? 0xff : this.#answer(this.frame[0], position);
  }

  #answer(command, position) {
    switch (command) {
      case CMD_READ_STATUS:
        return this.status[0] | (this.writeEnabled ? STATUS_WRITE_ENABLED : 0);
      case CMD_READ_STATUS2:
        return this.status[1];
      case CMD_JEDEC_ID:
        return (JEDEC[this.flash.size] ?? [])[position - 1] ?? 0xff;
      case CMD_UNIQUE_ID:
        return this.uniqueId[position - 5] ?? 0xff;
      case CMD_READ:
        return this.#read(position - 4);
      case CMD_FAST_READ:
        return this.#read(position - 5);
      default:
        return 0xff;
    }
  }

  #read(index) {
    const [, high, middle, low] = this.frame;
    const address = ((high << 16) | (middle << 8) | low) + index;
    return index < 0 ? 0xff : this.flash.bytes[address % this.flash.size];
  }
}
