"""`machine` of the unix image: what the port has, and the pins and buses of a simulated board.

That board is loaded when the first of them is used.
"""

from umachine import *  # noqa: F403 -- the port's own, by the name that always means it

_SIMULATED = ("ADC", "I2C", "PWM", "SPI", "UART", "Pin", "bitstream")


def __getattr__(name):
    if name not in _SIMULATED:
        raise AttributeError(name)
    return getattr(__import__("moat.micro.sim.machine", None, None, (name,)), name)
