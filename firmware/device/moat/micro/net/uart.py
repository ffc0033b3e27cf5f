"""UartLink: a byte stream to a UART, or on the unix image to a serial port of the machine."""

import machine
from micropython import const

from moat.micro import rt
from moat.micro.errors import LinkLost
from moat.micro.proto.file import FileBuf

_PIECE = const(64)  # any driver has room for so many when it says that it has room


class UartLink(FileBuf):
    """Opens a UART when it is entered; closes it when it is left.

    Entering raises LinkLost with the reason.

    Args:
        port: number of the UART, or on the unix image the path of a device.
        baudrate: bits per second.
        options: further ones of the board's machine.UART, say `tx`, `rx`, `rxbuf`.
    """

    def __init__(self, port, baudrate=115200, **options):
        self.port = port
        self.name = str(port)
        self._baudrate = baudrate
        self._options = options

    @rt.asynccontextmanager
    async def _ctx(self):
        try:
            self.s = self._open()
        except (AttributeError, ImportError, OSError, TypeError, ValueError) as exc:
            raise LinkLost("%s: %s" % (self.name, exc))
        try:
            yield self
        finally:
            s, self.s = self.s, None
            (s.close if isinstance(self.port, str) else s.deinit)()

    def _open(self):
        if isinstance(self.port, str):
            from moat.micro.net.tty import raw

            self._piece, self._bytewise = _PIECE, True
            return raw(self.port, self._baudrate)
        return machine.UART(self.port, self._baudrate, **self._options)
