// SPDX-License-Identifier: Apache-2.0
// The control port: JSON lines over TCP. A request is {"id": …, "do": name, …}, its reply
// {"id": …, "ok": true, "result": …} or {"id": …, "ok": false, "error": text}. Events have no id:
// {"event": "state", "state": …}, {"event": "reset", "reason": …}, {"event": "usb", "up": …}, and
// after gpio-watch {"event": "gpio", "pin": …, "level": …, "nanos": …}.
import fs from 'node:fs';
import { listen } from './ports.js';

const MAX_LINE = 65536;

const COMMANDS = {
  state: (board, _request, context) => ({ state: board.state, fault: board.fault, usb: board.usbUp, ...context.info() }),
  statistics: (board) => board.statistics(),
  reset: (board) => board.reset(),
  power: (board, { on }) => (on ? board.powerOn() : board.powerOff()),
  bootloader: (board) => board.enterBootloader(),
  flash: (board, { file }) => ({ blocks: board.burn(fs.readFileSync(file)) }),
  'gpio-set': (board, { pin, level }) => board.setPin(pin, level),
  'gpio-get': (board, { pin }) => board.getPin(pin),
  'gpio-watch': (board, { pins = [] }, context) => context.watch(pins),
  'adc-set': (board, { channel, value }) => board.setAnalog(channel, value),
  // Whoever is connected reads no more, or again; a TCP connection alone would take megabytes.
  'usb-hold': (board, { held }) => board.usbHold(Boolean(held)),
  'uart-hold': (board, { uart, held }) => board.uartClearToSend(uart, !held),
  'usb-baud': (board, { baud }) => board.usbBaud(baud),
};

/** Carry out one request; returns the reply. */
export function answer(board, request, context) {
  const { id = null } = request;
  try {
    const command = Object.hasOwn(COMMANDS, request.do) ? COMMANDS[request.do] : null;
    if (!command) {
      throw new Error(`unknown command ${JSON.stringify(request.do)}; there are: ${Object.keys(COMMANDS).join(', ')}`);
    }
    return { id, ok: true, result: command(board, request, context) ?? null };
  } catch (error) {
    return { id, ok: false, error: error.message };
  }
}

function parse(line) {
  const request = JSON.parse(line);
  if (request === null || typeof request !== 'object' || Array.isArray(request)) {
    throw new SyntaxError('a request is an object');
  }
  return request;
}

class Client {
  constructor(board, socket, info, onWatch) {
    this.board = board;
    this.socket = socket;
    this.watched = new Set();
    this.rest = '';
    this.context = {
      info,
      watch: (pins) => {
        this.watched = new Set(pins);
        onWatch();
      },
    };
    socket.setEncoding('utf8');
    socket.on('data', (text) => this.#received(text));
  }

  #received(text) {
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop();
    for (const line of lines.filter((each) => each.trim())) {
      this.#line(line);
    }
    if (this.rest.length > MAX_LINE) {
      this.socket.destroy();
    }
  }

  #line(line) {
    let reply;
    try {
      reply = answer(this.board, parse(line), this.context);
    } catch (error) {
      reply = { id: null, ok: false, error: `not a request: ${error.message}` };
    }
    this.send(reply);
  }

  send(message) {
    this.socket.write(`${JSON.stringify(message)}\n`);
  }
}

/** Serve the control port; resolves to the TCP server. `info()` is added to the state. */
export async function serveControl(board, port, info) {
  const clients = new Set();
  const all = (message) => clients.forEach((client) => client.send(message));
  const watch = () => {
    board.watching = [...clients].some((client) => client.watched.size);
  };
  board.on('state', (state) => all({ event: 'state', state }));
  board.on('reset', (reason) => all({ event: 'reset', reason }));
  board.on('usb', (up) => all({ event: 'usb', up }));
  board.on('pin', ({ pin, level, nanos }) => {
    clients.forEach((client) => client.watched.has(pin) && client.send({ event: 'gpio', pin, level, nanos }));
  });
  return listen(port, (socket) => {
    const client = new Client(board, socket, info, watch);
    clients.add(client);
    socket.on('error', () => {});
    socket.on('close', () => {
      clients.delete(client);
      watch();
    });
  });
}
