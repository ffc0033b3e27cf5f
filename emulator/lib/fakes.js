// SPDX-License-Identifier: Apache-2.0
// For the tests of the models: as much of a chip as a model needs: a clock, interrupts, DMA requests, the USB's RAM.
import { SimulationClock } from './rp2040js.js';

export function fakeChip() {
  const usbDPRAM = new Uint8Array(4096);
  const chip = {
    clock: new SimulationClock(),
    clkPeri: 125e6,
    interrupts: new Map(),
    setInterrupt: (irq, active) => chip.interrupts.set(irq, active),
    dma: { setDREQ() {}, clearDREQ() {} },
    usbDPRAM,
    usbDPRAMView: new DataView(usbDPRAM.buffer),
  };
  return chip;
}
