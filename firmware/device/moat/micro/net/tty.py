"""Serial ports of the machine that the unix image runs on."""

import termios


def raw(path, baudrate):
    """Open a serial port for bytes as they are; returns a file. OSError, ValueError: why not."""
    speed = getattr(termios, "B%d" % baudrate, None)
    if speed is None:
        raise ValueError("no such baudrate: %d" % baudrate)
    file = open(path, "r+b", buffering=0)  # noqa: SIM115 -- the caller closes it
    try:
        termios.setraw(file.fileno())
        attrs = termios.tcgetattr(file.fileno())
        attrs[4] = attrs[5] = speed
        termios.tcsetattr(file.fileno(), termios.TCSANOW, attrs)
    except OSError as exc:
        file.close()
        raise ValueError("this is no serial port: %s" % exc)
    return file
