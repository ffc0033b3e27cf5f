// SPDX-License-Identifier: Apache-2.0
// An emulated RP2040 board.
//
//   node emulator/main.js [--bootrom FILE] [--flash FILE] [--uf2 FILE] [--port-usb N|PATH]
//       [--port-uart0 N|PATH] [--port-uart1 N|PATH] [--port-control N] [--pty FOLDER]
//       [--drive FOLDER] [--keep-usb] [--stdio] [--info FILE] [--register NAME] [--free]
//       [--unique-id HEX] [--off] [--stdin]
//
// When it is ready it prints one line of JSON: the TCP ports (0 or none given: any free one) or
// the paths of named sockets, the ptys, the drive. With --info it is written to that file instead.
// With --register other programs find the board, under this name, until it ends.
//
// With --stdio the USB serial port is on standard input and output, also over a reset of the board
// (--keep-usb is implied), and nothing is printed. It ends with SIGTERM, SIGINT, or when its
// standard input closes (--stdin, --stdio).
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Board } from './lib/board.js';
import { serveControl } from './lib/control.js';
import { Drive } from './lib/drive.js';
import { Flash } from './lib/flash.js';
import { FreeRunning, RealTime } from './lib/pace.js';
import { serialPorts } from './lib/ports.js';
import { register } from './lib/register.js';
import { parseUf2 } from './lib/uf2.js';

const PTY = fileURLToPath(new URL('./pty.py', import.meta.url));
const BOOTROM = fileURLToPath(new URL('../build/emulator/bootrom.bin', import.meta.url));
const DEFAULT_ID = 'e660583883724a2f';

const text = { type: 'string' };
const flag = { type: 'boolean', default: false };
const values = options({
  bootrom: { type: 'string', default: BOOTROM },
  flash: text, uf2: text, pty: text, drive: text, info: text, register: text,
  'port-usb': text, 'port-uart0': text, 'port-uart1': text, 'port-control': text,
  'unique-id': { type: 'string', default: DEFAULT_ID },
  'keep-usb': flag, free: flag, off: flag, stdin: flag, stdio: flag,
});

function options(known) {
  try {
    return parseArgs({ options: known }).values;
  } catch (error) {
    return fail(error.message);
  }
}

let leave = () => process.exit(0);

function startPtys(folder, board, ports) {
  fs.mkdirSync(folder, { recursive: true });
  const links = ports.map(({ name, port }) => [name, `${folder}/${name}`, port]);
  const args = links.map(([, link, port]) => `${link}=${port}`);
  const child = spawn('python3', [PTY, ...args], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.on('error', () => {});
  const shown = new Set();
  const show = (number, there) => {
    if (there !== shown.has(number)) {
      shown[there ? 'add' : 'delete'](number);
      child.stdin.write(`${there ? '+' : '-'}${number}\n`);
    }
  };
  ports.forEach((port, number) => {
    show(number, port.ends.present());
    board.on('usb', () => show(number, port.ends.present()));
  });
  child.on('exit', (status) => status && fail(`the ptys have ended with status ${status}`));
  leave = () => {
    child.on('exit', () => process.exit(0)); // it is not left behind
    child.stdin.end();
  };
  return Object.fromEntries(links.map(([name, link]) => [name, link]));
}

function fail(message) {
  process.stderr.write(`error: ${message}\n`);
  process.exit(1);
}

function makeBoard() {
  const flash = new Flash({ file: values.flash });
  if (values.uf2) {
    flash.burn(parseUf2(fs.readFileSync(values.uf2), flash.size));
  }
  return new Board({
    bootrom: fs.readFileSync(values.bootrom),
    flash,
    uniqueId: Buffer.from(values['unique-id'], 'hex'),
    pace: values.free ? new FreeRunning() : new RealTime(),
  });
}

/** Tell who wants to know: the one who has started us, and who looks for boards. */
function announce(info) {
  const line = `${JSON.stringify(info)}\n`;
  if (values.register) {
    process.on('exit', register({ ...info, board: values.register }));
  }
  if (values.info) {
    fs.writeFileSync(values.info, line);
  } else if (!values.stdio) {
    process.stdout.write(line);
  }
}

async function main() {
  const board = makeBoard();
  const ports = serialPorts(board, { keep: values['keep-usb'] || values.stdio });
  for (const port of ports) {
    await port.listen(values[`port-${port.name}`]);
  }
  const info = {
    pid: process.pid,
    unique_id: values['unique-id'],
    ports: Object.fromEntries(ports.map(({ name, port }) => [name, port])),
  };
  const control = await serveControl(board, values['port-control'] ?? 0, () => info);
  info.ports.control = control.address().port;
  if (values.pty) {
    info.ptys = startPtys(path.resolve(values.pty), board, ports);
  }
  if (values.drive) {
    info.drive = path.resolve(values.drive);
    new Drive(board, info.drive);
  }
  if (values.stdio) {
    ports[0].connect(Duplex.from({ readable: process.stdin, writable: process.stdout }));
  }
  if (!values.off) {
    board.powerOn();
  }
  announce(info);
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(signal, () => leave());
}
if (values.stdin || values.stdio) {
  process.stdin.on('end', () => leave()).on('error', () => leave());
}
if (values.stdin) {
  process.stdin.resume();
}
process.stdout.on('error', () => leave()); // nobody reads any more
main().catch((error) => fail(error.message));
