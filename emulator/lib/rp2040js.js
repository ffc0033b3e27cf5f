// SPDX-License-Identifier: Apache-2.0
// What is used of rp2040js, which `npm ci` puts below build/emulator.
const at = '../../build/emulator/node_modules/rp2040js/dist/esm/';
const [chip, irq, dma, peripheral, clock] = await Promise.all(
  ['rp2040', 'irq', 'peripherals/dma', 'peripherals/peripheral', 'clock/simulation-clock'].map(
    (name) => import(`${at}${name}.js`),
  ),
);
export const { RP2040 } = chip;
export const { IRQ } = irq;
export const { DREQChannel } = dma;
export const { BasePeripheral } = peripheral;
export const { SimulationClock } = clock;
