"""What goes through a stream, as lines of text of bounded length.

An event is (ticks, op, data, exc):

    ticks   milliseconds, when it happened
    op      "rd", "wr", "rcv", "snd", "recv", "send", "crd", "cwr": data were read, or are being
            written; "enter", "leave"
    data    bytes, or the message of "recv" and "send"; valid during the call only. None: no data
    exc     the operation has failed with this error; "leave": the error that ends the context

Data are shown as hexadecimal and ASCII, messages decoded, much as Python shows them:

    1234 usb < rd 3: 68 69 0a |hi.|
    1240 usb > send: [1, 7, 'ping', b'data']
    1300 usb < rd failed: LinkLost: the port is gone
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from collections.abc import Callable
    from typing import Any

_READS = ("rd", "rcv", "recv", "crd")
_MESSAGES = ("recv", "send")
_DEEP = const(6)  # levels of a message that are shown
_LEAST = const(4)  # characters that an element is given at least


def dump(data: "Any", width: int) -> str:
    """Return bytes as hexadecimal and ASCII, cut to at most `width` characters."""
    n = len(data)
    room = max(0, (width - 6) // 4)
    cut = " .." if n > room else ""
    shown = bytes(data[: min(n, room)])
    text = "".join([chr(b) if 32 <= b < 127 else "." for b in shown])
    return "%s%s |%s|" % (" ".join(["%02x" % b for b in shown]), cut, text)


def brief(obj: "Any", width: int) -> str:
    """Return an object much as repr does, but at most `width` characters, and no more work.

    Long strings, deep and long containers end with "..".
    """
    text = _brief(obj, width, _DEEP)
    return text if len(text) <= width else text[: max(0, width - 2)] + ".."


def _brief(obj, room, deep):
    if isinstance(obj, (bytes, bytearray, memoryview)):
        return repr(bytes(obj[: max(0, room)]))
    if isinstance(obj, str):
        return repr(obj[: max(0, room)])
    if isinstance(obj, (list, tuple)):
        return "[" + _joined([(x,) for x in obj[: max(0, room)]], room - 2, deep) + "]"
    if isinstance(obj, dict):
        return "{" + _joined(obj.items(), room - 2, deep) + "}"
    return repr(obj)


def _joined(items, room, deep):
    """Elements, or pairs of key and value, as many as there is room for."""
    parts = []
    for item in items:
        if room < _LEAST or not deep:
            parts.append("..")
            break
        text = ""
        for part in item:
            text += (": " if text else "") + _brief(part, room - len(text), deep - 1)
        parts.append(text)
        room -= len(text) + 2
    return ", ".join(parts)


class Lines:
    """Takes events, and calls `write` with a line of text for each.

    Args:
        write: gets a str without a newline.
        name: of the stream, at the start of each line.
        width: characters that data may take in a line.
    """

    def __init__(self, write: "Callable[[str], object]", name: str = "", width: int = 120) -> None:
        self._write = write
        self._name = name + " " if name else ""
        self._width = width

    def __call__(self, ticks: int, op: str, data: "Any", exc: "BaseException | None") -> None:
        """Take one event."""
        head = "%d %s" % (ticks, self._name)
        if op in ("enter", "leave"):
            text = op
        else:
            text = ("< " if op in _READS else "> ") + op
        if exc is not None:
            why = "%s: %s" % (type(exc).__name__, str(exc).replace("\n", " "))
            text += (": " if op == "leave" else " failed: ") + why[: self._width]
        elif op in _MESSAGES:
            text += ": " + brief(data, self._width)
        elif data is not None:
            text += " %d: %s" % (len(data), dump(data, self._width))
        self._write(head + text)
