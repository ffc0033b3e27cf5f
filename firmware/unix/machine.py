"""`machine` of the unix image: what the port has, and the pins and buses of a simulated board."""

from umachine import *  # noqa: F403 -- the port's own, by the name that always means it

from moat.micro.sim.machine import ADC, I2C, PWM, SPI, UART, Pin, bitstream

__all__ = ("ADC", "I2C", "PWM", "SPI", "UART", "Pin", "bitstream")
