"""The links that a config can name on a device; the host has others."""

__all__ = ("LINKS",)

# kind: (what makes it, options that it needs, other options)
LINKS = {
    "serial": (
        "moat.micro.net.uart:UartLink",
        "port",
        "baudrate bits cts flow invert parity rts rx rxbuf stop tx txbuf",
    ),
    "stdio": ("moat.micro.proto.file:StdioBuf", "", ""),
    "tcp": ("moat.micro.net.net:NetLink", "host port", "timeout_ms"),
    "unix": ("moat.micro.net.unix:UnixLink", "path", "timeout_ms"),
}
