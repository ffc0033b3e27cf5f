"""`network` of the unix image, which is simulated; sockets are those of the operating system."""

import moat.micro.sim.network as sim


def __getattr__(name):  # its numbers change with the port that it stands for
    return getattr(sim, name)
