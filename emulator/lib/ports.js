// SPDX-License-Identifier: Apache-2.0
// The board's serial ports as TCP ports on the loopback interface, or named sockets, one client at
// a time.
import fs from 'node:fs';
import net from 'node:net';

const LEAVING_MS = 300;

/** Listen on a port (0: any free one), or on a path: a named socket; resolves to the server. */
export function listen(port, onClient) {
  return new Promise((resolve, reject) => {
    const server = net.createServer({ noDelay: true }, onClient);
    server.once('error', reject);
    const ready = () => resolve(server);
    if (String(Number(port)) === String(port)) {
      server.listen(Number(port), '127.0.0.1', ready);
      return;
    }
    const remove = () => fs.rmSync(port, { force: true });
    remove(); // of one that was killed
    process.on('exit', remove);
    server.listen(port, ready);
  });
}

/**
 * One serial port. `ends` is the board's side: open(), close(), write(bytes) -> more?,
 * hold(held), present() -> whether a client may connect, listens() -> whether its bytes get there.
 */
export class SerialPort {
  constructor(name, ends) {
    this.name = name;
    this.ends = ends;
    this.client = null;
  }

  async listen(port = 0) {
    this.server = await listen(port, (client) => this.connect(client));
    const address = this.server.address();
    this.port = address.port ?? address;
  }

  /** A client comes, a Duplex. A port that is not there or in use refuses: it ends. */
  connect(client) {
    client.on('error', () => {});
    if (!this.ends.present()) {
      client.destroy();
      return;
    }
    if (this.client) {
      this.#queue(client);
      return;
    }
    this.client = client;
    client.on('data', (bytes) => {
      if (!this.ends.write(bytes)) {
        client.pause();
      }
    });
    client.on('drain', () => this.ends.hold(false));
    client.on('close', () => {
      if (this.client === client) {
        this.client = null;
        this.ends.close();
      }
    });
    this.ends.open();
    if (!this.ends.listens()) {
      client.pause();
    }
  }

  // The one before may have left, and we not have noticed.
  #queue(client) {
    client.pause();
    const timer = setTimeout(() => client.destroy(), LEAVING_MS);
    this.client.once('close', () => {
      clearTimeout(timer);
      if (!client.destroyed) {
        this.connect(client);
        this.drained();
      }
    });
  }

  /** Bytes from the board. They are lost when nobody is there, as on a wire. */
  send(bytes) {
    // A client that is about to go would never drain.
    if (this.client?.writable && !this.client.write(bytes)) {
      this.ends.hold(true);
    }
  }

  /** The board takes bytes again. */
  drained() {
    if (this.ends.listens()) {
      this.client?.resume();
    }
  }

  /** The board is away: what the client has for it waits. */
  wait() {
    this.client?.pause();
  }

  /** The port goes away: so does the client. */
  disconnect() {
    const { client } = this;
    this.client = null;
    client?.destroy();
  }

  close() {
    this.disconnect();
    this.server?.close();
  }
}

/** The three serial ports of a board. With `keep` the USB one stays connected over a reset. */
export function serialPorts(board, { keep = false } = {}) {
  const usb = new SerialPort('usb', {
    present: () => keep || board.usbUp,
    listens: () => board.usbUp,
    open: () => board.usbOpen(),
    close: () => board.usbClose(),
    write: (bytes) => board.usbWrite(bytes),
    hold: (held) => board.usbHold(held),
  });
  const uarts = [0, 1].map(
    (number) =>
      new SerialPort(`uart${number}`, {
        present: () => true,
        listens: () => true,
        open: () => board.uartClearToSend(number, true),
        close: () => board.uartClearToSend(number, true),
        write: (bytes) => board.uartWrite(number, bytes),
        hold: (held) => board.uartClearToSend(number, !held),
      }),
  );
  board.on('usb-data', (bytes) => usb.send(bytes));
  board.on('usb-drain', () => usb.drained());
  board.on('usb', (up) => {
    if (!up) {
      keep ? usb.wait() : usb.disconnect();
    } else if (usb.client) {
      board.usbOpen();
      usb.drained();
    }
  });
  board.on('uart-data', (number, bytes) => uarts[number].send(bytes));
  board.on('uart-drain', (number) => uarts[number].drained());
  board.on('reset', () => uarts.forEach((port) => port.drained()));
  return [usb, ...uarts];
}
