"""The links that a config can name on the host; a device has others."""

from __future__ import annotations

__all__ = ["LINKS"]

# kind: (what makes it, options that it needs, other options)
LINKS = {
    "process": ("moat.micro.net.process:ProcessLink", "argv", "cwd env exit_s"),
    "serial": (
        "moat.micro.net.serial:SerialLink", "port", "baudrate dtr reset rts rtscts xonxoff",
    ),
    "target": ("moat.micro.target:link_to", "target", "cwd"),
    "tcp": ("moat.micro.net.net:NetLink", "host port", "timeout_ms"),
    "unix": ("moat.micro.net.unix:UnixLink", "path", "timeout_ms"),
}  # fmt: skip
