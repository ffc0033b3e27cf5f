"""The simulated board from outside: sets what its inputs see, tells what is driven.

For tests, and to try programs without hardware: an app of the unix image, or of a host.
"""

import moat.micro.sim.board as board
import moat.micro.sim.network as network
import moat.micro.sim.uart as uart
from moat.micro import rt
from moat.micro.cmd.tree import BaseCmd
from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_KEPT = const(64)  # changes that may wait for their reader


class SimCmd(BaseCmd):
    """Pins, ADC channels, buses, networks; a pin is a number, or a name as "GP4"."""

    async def cmd_set(self, pin: "int | str", level: "int | None") -> None:
        """Drive the pin from outside; None: let it go.

        Raises what an interrupt handler raises, which is not called again then.
        """
        wire = board.wire(pin)
        wire.outside = None if level is None else int(bool(level))
        wire.changed()

    async def cmd_get(self, pin: "int | str") -> "dict[str, Any]":
        """Return the `level`, `mode`, `pull`, `pwm` (frequency and duty), `irq` of a pin."""
        return board.wire(pin).facts()

    async def stream_watch(self, st: "Any", pin: "int | str") -> None:
        """Send what `get` returns, now and whenever it has changed.

        When it changes faster than that is read, the oldest changes are left out.
        """
        wire = board.wire(pin)
        changes = [wire.facts()]
        changed = rt.Event()

        def note(other):
            if other is wire and (not changes or changes[-1] != wire.facts()):
                if len(changes) == _KEPT:
                    del changes[0]
                changes.append(wire.facts())
                changed.set()

        board.watchers.append(note)
        try:
            last = None
            while True:
                while changes:
                    facts = changes.pop(0)
                    if facts != last:
                        await st.send(facts)
                    last = facts
                changed.clear()
                await changed.wait()
        finally:
            board.watchers.remove(note)

    async def cmd_adc(self, channel: int, value: int) -> None:
        """Set what an ADC measures, 0 to 65535. Channels 0 to 3 are the pins 26 to 29."""
        board.analog[channel] = max(0, min(value, 65535))

    async def cmd_i2c(self, bus: int, addr: int, data: "bytes | None") -> None:
        """Put a device with these registers on a bus; None: take it away."""
        if data is None:
            board.i2c[bus].pop(addr, None)
        else:
            board.i2c[bus][addr] = board.Memory(data)

    async def cmd_i2c_get(self, bus: int, addr: int) -> bytes:
        """Return the registers of a device."""
        return bytes(board.i2c[bus][addr].data)

    async def cmd_spi(self, bus: int, answer: bytes) -> None:
        """Set the bytes that the next transfers read; then come zeros."""
        board.bus(bus).answer = bytes(answer)

    async def cmd_spi_get(self, bus: int) -> bytes:
        """Return the bytes that were written in the last transfer."""
        return board.bus(bus).sent

    async def cmd_pixels(self, pin: "int | str") -> "bytes | None":
        """Return the bytes that were last sent to a chain of LEDs."""
        return board.wire(pin).pixels

    async def stream_uart(self, st: "Any", n: int) -> None:
        """Be at the other end of a UART: send what it sends, let it receive what is sent here."""
        line = uart.lines[n]
        sent = rt.Event()
        async with rt.TaskGroup() as tasks:
            tasks.start_soon(_receive, st, line)
            line.on_sent = sent.set
            try:
                while True:
                    data, line.out = bytes(line.out), bytearray()
                    if data:
                        await st.send(data)
                    else:
                        sent.clear()
                        await sent.wait()
            finally:
                line.on_sent = None

    async def cmd_air(
        self, ssid: str, password: str = "", channel: int = 1, rssi: "int | None" = -50
    ) -> None:
        """Put an access point into the air; without password it is open. `rssi` None: none."""
        if rssi is None:
            network.air.pop(ssid, None)
        else:
            network.air[ssid] = {"password": password, "channel": channel, "rssi": rssi}

    async def cmd_cable(self, plugged: bool) -> None:
        """Plug an Ethernet cable in, or unplug it."""
        network.cable["plugged"] = plugged

    async def cmd_network(self, port: str) -> None:
        """Let `network` be that of another port, "rp2" or "esp32", after a reset."""
        network.use(port)

    async def cmd_reset(self) -> None:
        """Make it a new board."""
        board.reset()
        network.reset()
        uart.reset()


async def _receive(st, line):
    async for data in st:
        line.receive(data)
