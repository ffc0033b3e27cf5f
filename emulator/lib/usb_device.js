// SPDX-License-Identifier: Apache-2.0
// The USB controller in device mode (data sheet 4.1), seen from both sides: the registers and the
// dual-port RAM for the firmware, and for the host model packets that are taken and given.
//
// A packet stays where it is until the host takes or gives it: so a host that does not read holds
// the device back, as on a real bus.
import { BasePeripheral, IRQ } from './rp2040js.js';

const ADDR_ENDP = 0x00;
const MAIN_CTRL = 0x40;
const SOF_RD = 0x48;
const SIE_CTRL = 0x4c;
const SIE_STATUS = 0x50;
const BUFF_STATUS = 0x58;
const EP_ABORT = 0x60;
const EP_ABORT_DONE = 0x64;
const EP_STALL_ARM = 0x68;
const USB_MUXING = 0x74;
const INTR = 0x8c;
const INTE = 0x90;
const INTF = 0x94;
const INTS = 0x98;
const KEPT = [ADDR_ENDP, MAIN_CTRL, SIE_CTRL, EP_ABORT, EP_STALL_ARM, USB_MUXING, 0x6c, 0x78, 0x7c, 0x80, INTE, INTF];

const PULLUP = 1 << 16;
const STATUS_BUS_RESET = 1 << 19;
const STATUS_SETUP = 1 << 17;
const STATUS_CONNECTED = 1 << 16;
const STATUS_CLEARABLE = 0xff0e0810;
const STATUS_FULL_SPEED_J = 1 << 2;

const INT_SOF = 1 << 17;
const INT_SETUP = 1 << 16;
const INT_BUS_RESET = 1 << 12;
const INT_BUFF_STATUS = 1 << 4;

const BUFFER_CONTROL = 0x80;
const BUFFER_CONTROL_END = 0x100;
const EP0_DATA = 0x100;
const DOUBLE_BUFFERED = 1 << 30;
const FULL = 1 << 15;
const STALL = 1 << 11;
const AVAILABLE = 1 << 10;
const LENGTH = 0x3ff;
const SECOND = 64;

const FRAME_NANOS = 1e6;

/** Packets: a Uint8Array; STALLED when the endpoint refuses; null when it has nothing (NAK). */
export const STALLED = Symbol('stalled');

export class UsbDevice extends BasePeripheral {
  constructor(chip) {
    super(chip, 'USB');
    this.values = new Map(KEPT.map((offset) => [offset, 0]));
    this.status = 0;
    this.bufferStatus = 0;
    this.abortDone = 0;
    this.sofPending = false;
    this.attached = false;
    this.onAttach = () => {};
    this.onDetach = () => {};
    this.onResetSeen = () => {};
    this.onBuffer = () => {};
    this.frameAlarm = chip.clock.createAlarm(() => this.#frame());
    this.framesFrom = null;
  }

  // --- the firmware's side

  readUint32(offset) {
    switch (offset) {
      case SOF_RD:
        this.sofPending = false;
        this.#interrupt();
        return this.#frameNumber();
      case SIE_STATUS:
        return (this.status | 1) >>> 0; // VBUS is there
      case BUFF_STATUS:
        return this.bufferStatus >>> 0;
      case EP_ABORT_DONE:
        return this.abortDone >>> 0;
      case INTR:
        return this.#raw();
      case INTS:
        return ((this.#raw() & this.values.get(INTE)) | this.values.get(INTF)) >>> 0;
      default:
        return (this.values.get(offset) ?? 0) >>> 0;
    }
  }

  writeUint32(offset, value) {
    switch (offset) {
      case SIE_STATUS:
        this.#clearStatus(this.rawWriteValue);
        break;
      case BUFF_STATUS:
        this.bufferStatus &= ~this.rawWriteValue;
        break;
      case EP_ABORT_DONE:
        this.abortDone &= ~this.rawWriteValue;
        break;
      default:
        if (this.values.has(offset)) {
          this.values.set(offset, value);
          this.#written(offset, value);
        }
    }
    this.#interrupt();
  }

  #written(offset, value) {
    if (offset === EP_ABORT) {
      this.abortDone |= value;
    } else if (offset === INTE && value & INT_SOF && this.framesFrom !== null) {
      this.#scheduleFrame();
    } else if (offset === SIE_CTRL || offset === MAIN_CTRL) {
      const attached = Boolean(this.values.get(SIE_CTRL) & PULLUP && this.values.get(MAIN_CTRL) & 1);
      if (attached !== this.attached) {
        this.attached = attached;
        (attached ? this.onAttach : this.onDetach)();
      }
    }
  }

  #clearStatus(bits) {
    const before = this.status;
    this.status &= ~(bits & STATUS_CLEARABLE);
    if (before & STATUS_BUS_RESET && !(this.status & STATUS_BUS_RESET)) {
      this.status |= STATUS_CONNECTED | STATUS_FULL_SPEED_J;
      this.onResetSeen();
    }
    if (before & STATUS_SETUP && !(this.status & STATUS_SETUP)) {
      this.onBuffer(); // now the buffers are those of the new transfer
    }
  }

  /** rp2040js calls this for each write to the dual-port RAM. */
  DPRAMUpdated(offset, value) {
    if (offset >= BUFFER_CONTROL && offset < BUFFER_CONTROL_END && value & (AVAILABLE | STALL)) {
      this.onBuffer();
    }
  }

  #raw() {
    return (
      (this.status & STATUS_SETUP ? INT_SETUP : 0) |
      (this.status & STATUS_BUS_RESET ? INT_BUS_RESET : 0) |
      (this.bufferStatus ? INT_BUFF_STATUS : 0) |
      (this.sofPending ? INT_SOF : 0)
    );
  }

  #interrupt() {
    const active = (this.#raw() & this.values.get(INTE)) | this.values.get(INTF);
    this.rp2040.setInterrupt(IRQ.USBCTRL, active !== 0);
  }

  // --- frames: the interrupt of a start of frame is only made when it is enabled

  #frameNumber() {
    const since = this.rp2040.clock.nanos - (this.framesFrom ?? this.rp2040.clock.nanos);
    return Math.floor(since / FRAME_NANOS) & 0x7ff;
  }

  #scheduleFrame() {
    if (!this.frameAlarm.scheduled) {
      // The clock has fractions, and is rounded: what is almost the next frame is that frame.
      // Otherwise the alarm is set to a time that is not later than now, for ever.
      const since = this.rp2040.clock.nanos - this.framesFrom;
      const next = Math.floor((since + 1) / FRAME_NANOS) + 1;
      this.frameAlarm.schedule(next * FRAME_NANOS - since);
    }
  }

  #frame() {
    this.frameAlarm.scheduled = false;
    if (this.values.get(INTE) & INT_SOF) {
      this.sofPending = true;
      this.#interrupt();
      this.#scheduleFrame();
    }
  }

  // --- the host's side

  /** Reset the bus; frames are sent from now on. */
  busReset() {
    this.framesFrom = this.rp2040.clock.nanos;
    this.status |= STATUS_BUS_RESET;
    this.#interrupt();
  }

  setup(packet) {
    this.rp2040.usbDPRAM.set(packet, 0);
    this.status |= STATUS_SETUP;
    this.#interrupt();
  }

  /** True while the firmware has not looked at the last set-up packet. */
  get setupPending() {
    return Boolean(this.status & STATUS_SETUP);
  }

  #control(endpoint, out) {
    return endpoint === 0 ? 0 : this.rp2040.usbDPRAMView.getUint32(8 * endpoint + (out ? 4 : 0), true);
  }

  #buffer(endpoint, out) {
    return endpoint === 0 ? EP0_DATA : this.#control(endpoint, out) & 0xffc0;
  }

  #state(endpoint, out) {
    return this.rp2040.usbDPRAMView.getUint32(BUFFER_CONTROL + 8 * endpoint + (out ? 4 : 0), true);
  }

  #setState(endpoint, out, state) {
    this.rp2040.usbDPRAMView.setUint32(BUFFER_CONTROL + 8 * endpoint + (out ? 4 : 0), state, true);
  }

  #done(endpoint, out) {
    this.bufferStatus |= 1 << (2 * endpoint + (out ? 1 : 0));
    this.#interrupt();
  }

  /** Whether an IN token would get data. */
  hasPacket(endpoint) {
    return Boolean(this.#state(endpoint, false) & (AVAILABLE | (AVAILABLE << 16)));
  }

  /** One IN transaction. */
  takePacket(endpoint) {
    const state = this.#state(endpoint, false);
    if (state & STALL) {
      return STALLED;
    }
    const pair = Boolean(this.#control(endpoint, false) & DOUBLE_BUFFERED);
    const second = pair && !(state & AVAILABLE);
    const shift = second ? 16 : 0;
    if (!((state >>> shift) & AVAILABLE)) {
      return null;
    }
    const start = this.#buffer(endpoint, false) + (second ? SECOND : 0);
    const packet = this.rp2040.usbDPRAM.slice(start, start + ((state >>> shift) & LENGTH));
    const left = state & ~((AVAILABLE | FULL) << shift);
    this.#setState(endpoint, false, left);
    // With two buffers the interrupt is for the pair.
    if (!(pair && left & (AVAILABLE << 16))) {
      this.#done(endpoint, false);
    }
    return packet;
  }

  /** One OUT transaction; false when the device cannot take it now, STALLED when it refuses. */
  givePacket(endpoint, packet) {
    const state = this.#state(endpoint, true);
    if (state & STALL) {
      return STALLED;
    }
    if (!(state & AVAILABLE)) {
      return false;
    }
    this.rp2040.usbDPRAM.set(packet, this.#buffer(endpoint, true));
    this.#setState(endpoint, true, (state & ~(AVAILABLE | LENGTH)) | FULL | packet.length);
    this.#done(endpoint, true);
    return true;
  }
}
