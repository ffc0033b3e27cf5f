"""The contract of BaseBlk, with every class that has it; see _suite.py."""

from _suite import suite_of

tests, HOST_ONLY, DEVICE_ONLY = suite_of("Blk")
globals().update(tests)
