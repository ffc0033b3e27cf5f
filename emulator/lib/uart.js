// SPDX-License-Identifier: Apache-2.0
// A PL011 UART (data sheet 4.2) whose bytes take the time that the baud rate says, in both
// directions: FIFOs with levels, receive time-out, overrun, RTS and CTS.
import { BasePeripheral, DREQChannel, IRQ } from './rp2040js.js';

const DR = 0x00;
const RSR = 0x04;
const FR = 0x18;
const IBRD = 0x24;
const FBRD = 0x28;
const LCR_H = 0x2c;
const CR = 0x30;
const IFLS = 0x34;
const IMSC = 0x38;
const RIS = 0x3c;
const MASKED = 0x40;
const ICR = 0x44;
const DMACR = 0x48;
const IDENTITY = { 0xfe0: 0x11, 0xfe4: 0x10, 0xfe8: 0x34, 0xfec: 0, 0xff0: 0x0d, 0xff4: 0xf0, 0xff8: 0x05, 0xffc: 0xb1 };

const FR_CTS = 1;
const FR_BUSY = 1 << 3;
const FR_RXFE = 1 << 4;
const FR_TXFF = 1 << 5;
const FR_RXFF = 1 << 6;
const FR_TXFE = 1 << 7;
const DR_OVERRUN = 1 << 11;
const RSR_OVERRUN = 1 << 3;
const LCR_FIFOS = 1 << 4;
const LCR_PARITY = 1 << 1;
const LCR_TWO_STOP = 1 << 3;
const CR_ENABLE = 1;
const CR_LOOPBACK = 1 << 7;
const CR_TX = 1 << 8;
const CR_RX = 1 << 9;
const CR_RTS_FLOW = 1 << 14;
const CR_CTS_FLOW = 1 << 15;
const INT_RX = 1 << 4;
const INT_TX = 1 << 5;
const INT_TIMEOUT = 1 << 6;
const INT_OVERRUN = 1 << 10;

const DEPTH = 32;
const LEVELS = [4, 8, 16, 24, 28];
const TIMEOUT_BITS = 32;
export const READ_AHEAD = 4096;

export class Uart extends BasePeripheral {
  constructor(chip, number) {
    super(chip, `UART${number}`);
    this.irq = number ? IRQ.UART1 : IRQ.UART0;
    this.dreq = number
      ? [DREQChannel.DREQ_UART1_TX, DREQChannel.DREQ_UART1_RX]
      : [DREQChannel.DREQ_UART0_TX, DREQChannel.DREQ_UART0_RX];
    this.registers = { [IBRD]: 0, [FBRD]: 0, [LCR_H]: 0, [CR]: CR_TX | CR_RX, [IFLS]: 0x12, [IMSC]: 0, [DMACR]: 0 };
    this.raw = 0;
    this.errors = 0;
    this.txFifo = [];
    this.shifting = null; // the byte on the line
    this.rxFifo = [];
    this.lost = false; // the next byte that gets in is marked with the overrun
    this.line = []; // what the other end has sent and the line has not carried yet
    this.clearToSend = true;
    this.sent = 0;
    this.received = 0;
    this.overruns = 0;
    this.onByte = () => {};
    this.onDrain = () => {};
    const alarm = (callback) => {
      const made = chip.clock.createAlarm(() => {
        made.scheduled = false;
        callback();
      });
      return made;
    };
    this.txAlarm = alarm(() => this.#shifted());
    this.rxAlarm = alarm(() => this.#arrived());
    this.timeoutAlarm = alarm(() => this.#timedOut());
  }

  get baud() {
    const divisor = this.registers[IBRD] + this.registers[FBRD] / 64;
    return divisor ? this.rp2040.clkPeri / (16 * divisor) : 0;
  }

  get bitsPerByte() {
    const line = this.registers[LCR_H];
    const word = 5 + ((line >> 5) & 3);
    return 1 + word + (line & LCR_PARITY ? 1 : 0) + (line & LCR_TWO_STOP ? 2 : 1);
  }

  get #bitNanos() {
    return 1e9 / (this.baud || 115200);
  }
  get #depth() {
    return this.registers[LCR_H] & LCR_FIFOS ? DEPTH : 1;
  }
  get #txLevel() {
    return this.#depth === 1 ? 0 : LEVELS[this.registers[IFLS] & 7] ?? DEPTH / 2;
  }
  get #rxLevel() {
    return this.#depth === 1 ? 1 : LEVELS[(this.registers[IFLS] >> 3) & 7] ?? DEPTH / 2;
  }
  #enabled(bits) {
    const needed = CR_ENABLE | bits;
    return (this.registers[CR] & needed) === needed;
  }

  /** The request-to-send line of the board: false while RTS flow control holds the other end off. */
  get requestToSend() {
    return !(this.registers[CR] & CR_RTS_FLOW) || this.rxFifo.length < this.#rxLevel;
  }

  // --- the firmware's side

  readUint32(offset) {
    switch (offset) {
      case DR:
        return this.#readData();
      case RSR:
        return this.errors;
      case FR:
        return this.#flags();
      case RIS:
        return this.raw;
      case MASKED:
        return this.raw & this.registers[IMSC];
      default:
        return this.registers[offset] ?? IDENTITY[offset] ?? 0;
    }
  }

  writeUint32(offset, value) {
    switch (offset) {
      case DR:
        this.#writeData(value & 0xff);
        break;
      case RSR:
        this.errors = 0;
        break;
      case ICR:
        this.raw &= ~this.rawWriteValue;
        break;
      case LCR_H:
        this.#setLine(value);
        break;
      default:
        if (offset in this.registers) {
          this.registers[offset] = value;
        }
        if (offset === CR) {
          this.#startShift();
          this.#listen();
        }
    }
    this.#update();
  }

  #setLine(value) {
    if ((this.registers[LCR_H] ^ value) & LCR_FIFOS) {
      this.txFifo = [];
      this.rxFifo = [];
    }
    this.registers[LCR_H] = value;
  }

  #flags() {
    return (
      (this.clearToSend ? FR_CTS : 0) |
      (this.shifting !== null || this.txFifo.length ? FR_BUSY : 0) |
      (this.rxFifo.length ? 0 : FR_RXFE) |
      (this.rxFifo.length >= this.#depth ? FR_RXFF : 0) |
      (this.txFifo.length ? 0 : FR_TXFE) |
      (this.txFifo.length >= this.#depth ? FR_TXFF : 0)
    );
  }

  #readData() {
    const value = this.rxFifo.shift() ?? 0;
    if (this.rxFifo.length < this.#rxLevel) {
      this.raw &= ~INT_RX;
    }
    if (!this.rxFifo.length) {
      this.raw &= ~INT_TIMEOUT;
      this.timeoutAlarm.cancel();
    }
    this.#listen();
    this.#update();
    return value;
  }

  #writeData(byte) {
    if (this.txFifo.length < this.#depth) {
      this.txFifo.push(byte);
    }
    if (this.txFifo.length > this.#txLevel) {
      this.raw &= ~INT_TX;
    }
    this.#startShift();
  }

  #update() {
    this.rp2040.setInterrupt(this.irq, (this.raw & this.registers[IMSC]) !== 0);
    const requests = [this.#enabled(CR_TX) && this.txFifo.length < this.#depth, this.rxFifo.length > 0];
    requests.forEach((wanted, index) => {
      this.rp2040.dma[wanted ? 'setDREQ' : 'clearDREQ'](this.dreq[index]);
    });
  }

  // --- the line out

  #startShift() {
    const allowed = this.clearToSend || !(this.registers[CR] & CR_CTS_FLOW);
    if (this.shifting !== null || !this.txFifo.length || !allowed || !this.#enabled(CR_TX)) {
      return;
    }
    const above = this.txFifo.length > this.#txLevel;
    this.shifting = this.txFifo.shift();
    if (above && this.txFifo.length <= this.#txLevel) {
      this.raw |= INT_TX;
    }
    this.txAlarm.schedule(this.bitsPerByte * this.#bitNanos);
  }

  #shifted() {
    const byte = this.shifting;
    this.shifting = null;
    this.sent += 1;
    if (this.registers[CR] & CR_LOOPBACK) {
      this.#receive(byte);
    } else {
      this.onByte(byte);
    }
    // The last byte may have made the FIFO empty before: with a level of 0 that is the event.
    this.#startShift();
    this.#update();
  }

  /** The other end's request to send: holds the board off when it uses CTS flow control. */
  setClearToSend(clear) {
    this.clearToSend = clear;
    this.#startShift();
    this.#update();
  }

  // --- the line in

  /** Bytes from the other end, sent at the board's baud rate; false when enough are waiting. */
  feed(bytes) {
    for (const byte of bytes) {
      this.line.push(byte);
    }
    this.#listen();
    return this.line.length < READ_AHEAD;
  }

  #listen() {
    if (this.line.length && !this.rxAlarm.scheduled && this.requestToSend) {
      this.rxAlarm.schedule(this.bitsPerByte * this.#bitNanos);
    }
  }

  #arrived() {
    if (!this.line.length) {
      return;
    }
    const full = this.line.length >= READ_AHEAD;
    this.#receive(this.line.shift());
    if (full && this.line.length < READ_AHEAD) {
      this.onDrain();
    }
    this.#listen();
    this.#update();
  }

  #receive(byte) {
    if (!this.#enabled(CR_RX)) {
      return;
    }
    if (this.rxFifo.length >= this.#depth) {
      this.lost = true;
      this.overruns += 1;
      this.errors |= RSR_OVERRUN;
      this.raw |= INT_OVERRUN;
      return;
    }
    this.rxFifo.push(byte | (this.lost ? DR_OVERRUN : 0));
    this.lost = false;
    this.received += 1;
    if (this.rxFifo.length >= this.#rxLevel) {
      this.raw |= INT_RX;
    }
    this.timeoutAlarm.schedule(TIMEOUT_BITS * this.#bitNanos);
  }

  #timedOut() {
    if (this.rxFifo.length) {
      this.raw |= INT_TIMEOUT;
      this.#update();
    }
  }
}
