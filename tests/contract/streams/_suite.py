"""Makes the test functions: each check with each class that has to keep it."""

from _checks import checks_for
from _more import more_for
from _pair import MAKERS, ON_DEVICE


def _load(name, side):
    """Import a file of makers, and note the side on which they run."""
    first = len(MAKERS)
    __import__(name)
    for maker in MAKERS[first:]:
        maker.side = side


_load("_pairs", "both")
_load("_pairs_device", "device")
if not ON_DEVICE:
    _load("_pairs_host", "host")


def suite_of(kind):
    """Return name -> function, and the names that run on the host and on the device only."""
    tests, only = {}, {"both": [], "host": [], "device": []}
    for maker in MAKERS:
        if maker.kind == kind:
            for check in checks_for(maker) + more_for(maker):
                name = "test_%s_%s" % (maker.name, check.__name__)
                if name in tests:  # it has a twin, and both sides need not have the same
                    name += "_"
                tests[name] = _test(name, maker, check)
                only[maker.side].append(name)
    return tests, only["host"], only["device"]


def _test(name, maker, check):
    def test():
        return check(maker)

    if not ON_DEVICE:  # conftest tells MicroPython by this name what to run
        test.__name__ = name
    return test
