// SPDX-License-Identifier: Apache-2.0
// The boot loader's drive as a folder: it is there while the board is in its boot loader, and a
// UF2 file that is copied into it is checked and flashed, like on the RPI-RP2 drive.
import fs from 'node:fs';
import path from 'node:path';

const INFO = 'INFO_UF2.TXT';
const INFO_TEXT = 'UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n';
const REFUSED = 'REFUSED.TXT';
const SETTLE_MS = 50;
const BLOCK = 512;

/** Whether all blocks that a UF2 file announces are there. */
export function isComplete(file) {
  if (file.length < BLOCK) {
    return false;
  }
  return file.length >= file.readUInt32LE(24) * BLOCK;
}

export class Drive {
  constructor(board, folder) {
    this.board = board;
    this.folder = folder;
    this.sizes = new Map();
    this.timer = null;
    if (fs.existsSync(folder) && fs.readdirSync(folder).length && !fs.existsSync(path.join(folder, INFO))) {
      throw new Error(`${folder} is not empty, and no drive of a boot loader`);
    }
    board.on('state', (state) => this.#update(state));
    this.#update(board.state);
  }

  #update(state) {
    clearInterval(this.timer);
    fs.rmSync(this.folder, { recursive: true, force: true });
    if (state === 'bootloader') {
      this.sizes.clear();
      fs.mkdirSync(this.folder, { recursive: true });
      fs.writeFileSync(path.join(this.folder, INFO), INFO_TEXT);
      this.timer = setInterval(() => this.#look(), SETTLE_MS);
    }
  }

  #look() {
    for (const name of fs.readdirSync(this.folder)) {
      if (/\.uf2$/i.test(name) && this.board.state === 'bootloader') {
        this.#take(path.join(this.folder, name));
      }
    }
  }

  // The board takes a file when its last block has come. One that stays incomplete is left: on
  // the real drive, too, nothing happens then.
  #take(file) {
    const { size } = fs.statSync(file);
    const before = this.sizes.get(file);
    this.sizes.set(file, size);
    if (size === before) {
      return;
    }
    const data = fs.readFileSync(file);
    if (!isComplete(data)) {
      return;
    }
    try {
      this.board.burn(data);
    } catch (error) {
      fs.writeFileSync(path.join(this.folder, REFUSED), `${path.basename(file)}: ${error.message}\n`);
    }
  }
}
