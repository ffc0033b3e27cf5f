// SPDX-License-Identifier: Apache-2.0
// For the tests of the models: as much of a chip as a model needs (a clock, interrupts, DMA
// requests, the USB's RAM), and UF2 files.
import { SimulationClock } from './rp2040js.js';
import { RP2040_FAMILY } from './uf2.js';

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

/** A UF2 file of [address, bytes] pieces, right or wrong. */
export function makeUf2(pieces, { family = RP2040_FAMILY, count = pieces.length } = {}) {
  return Buffer.concat(
    pieces.map(([address, bytes], number) => {
      const block = Buffer.alloc(512);
      const words = [0x0a324655, 0x9e5d5157, 0x2000, address, bytes.length, number, count, family];
      words.forEach((word, index) => block.writeUInt32LE(word, 4 * index));
      Buffer.from(bytes).copy(block, 32);
      block.writeUInt32LE(0x0ab16f30, 508);
      return block;
    }),
  );
}
