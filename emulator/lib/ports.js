// SPDX-License-Identifier: Apache-2.0
// The board's serial ports as TCP ports on the loopback interface, one client at a time.
import net from 'node:net';

/** Listen on a port (0: any free one); resolves to the server. */
export function listen(port, onClient) {
  return new Promise((resolve, reject) => {
    const server = net.createServer({ noDelay: true }, onClient);
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/**
 * One serial port. `ends` is the board's side: open(), close(), write(bytes) -> more?,
 * hold(held), present() -> whether a client may connect.
 */
export class SerialPort {
  constructor(name, ends) {
    this.name = name;
    this.ends = ends;
    this.client = null;
  }

  async listen(port = 0) {
    this.server = await listen(port, (client) => this.#connected(client));
    this.port = this.server.address().port;
  }

  // A port that is not there or in use refuses: the connection ends at once.
  #connected(client) {
    client.on('error', () => {});
    if (this.client || !this.ends.present()) {
      client.destroy();
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
    this.client?.resume();
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
    open: () => board.usbOpen(),
    close: () => board.usbClose(),
    write: (bytes) => board.usbWrite(bytes),
    hold: (held) => board.usbHold(held),
  });
  const uarts = [0, 1].map(
    (number) =>
      new SerialPort(`uart${number}`, {
        present: () => true,
        open: () => board.uartClearToSend(number, true),
        close: () => board.uartClearToSend(number, true),
        write: (bytes) => board.uartWrite(number, bytes),
        hold: (held) => board.uartClearToSend(number, !held),
      }),
  );
  board.on('usb-data', (bytes) => usb.send(bytes));
  board.on('usb-drain', () => usb.drained());
  board.on('usb', (up) => {
    usb.drained();
    if (!up && !keep) {
      usb.disconnect();
    } else if (up && usb.client) {
      board.usbOpen();
    }
  });
  board.on('uart-data', (number, bytes) => uarts[number].send(bytes));
  board.on('uart-drain', (number) => uarts[number].drained());
  board.on('reset', () => uarts.forEach((port) => port.drained()));
  return [usb, ...uarts];
}
