// SPDX-License-Identifier: Apache-2.0
// An emulated RP2040 board.
//
//   node emulator/main.js --bootrom FILE [--flash FILE] [--uf2 FILE] [--port-usb N] [--port-uart0 N]
//       [--port-uart1 N] [--port-control N] [--pty FOLDER] [--drive FOLDER] [--keep-usb] [--free]
//       [--unique-id HEX] [--off]
//
// When it is ready it prints one line of JSON: the TCP ports (0 or none given: any free one), the
// ptys, the drive. It ends with SIGTERM, SIGINT, or when its standard input closes (--stdin).
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Board } from './lib/board.js';
import { serveControl } from './lib/control.js';
import { Drive } from './lib/drive.js';
import { Flash } from './lib/flash.js';
import { FreeRunning, RealTime } from './lib/pace.js';
import { serialPorts } from './lib/ports.js';
import { parseUf2 } from './lib/uf2.js';

const PTY = fileURLToPath(new URL('./pty.py', import.meta.url));
const DEFAULT_ID = 'e660583883724a2f';

const text = { type: 'string' };
const flag = { type: 'boolean', default: false };
const { values } = parseArgs({
  options: {
    bootrom: text, flash: text, uf2: text, pty: text, drive: text,
    'port-usb': text, 'port-uart0': text, 'port-uart1': text, 'port-control': text,
    'unique-id': { type: 'string', default: DEFAULT_ID },
    'keep-usb': flag, free: flag, off: flag, stdin: flag,
  },
});

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
  return Object.fromEntries(links.map(([name, link]) => [name, link]));
}

function fail(message) {
  process.stderr.write(`error: ${message}\n`);
  process.exit(1);
}

async function main() {
  const flash = new Flash({ file: values.flash });
  const board = new Board({
    bootrom: fs.readFileSync(values.bootrom),
    flash,
    uniqueId: Buffer.from(values['unique-id'], 'hex'),
    pace: values.free ? new FreeRunning() : new RealTime(),
  });
  if (values.uf2) {
    flash.burn(parseUf2(fs.readFileSync(values.uf2), flash.size));
  }
  const ports = serialPorts(board, { keep: values['keep-usb'] });
  for (const port of ports) {
    await port.listen(Number(values[`port-${port.name}`] ?? 0));
  }
  const info = { pid: process.pid, ports: Object.fromEntries(ports.map(({ name, port }) => [name, port])) };
  const control = await serveControl(board, Number(values['port-control'] ?? 0), () => info);
  info.ports.control = control.address().port;
  if (values.pty) {
    info.ptys = startPtys(values.pty, board, ports);
  }
  if (values.drive) {
    info.drive = values.drive;
    new Drive(board, values.drive);
  }
  if (!values.off) {
    board.powerOn();
  }
  process.stdout.write(`${JSON.stringify(info)}\n`);
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => process.exit(0));
}
if (values.stdin) {
  process.stdin.on('end', () => process.exit(0)).resume();
}
if (!values.bootrom) {
  fail('--bootrom is missing');
}
main().catch((error) => fail(error.message));
