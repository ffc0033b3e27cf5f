"""The contract of BaseMsg, with every class that has it; see _suite.py."""

from _suite import suite_of

tests, HOST_ONLY, DEVICE_ONLY = suite_of("Msg")
globals().update(tests)
