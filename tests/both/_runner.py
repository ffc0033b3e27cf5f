"""Runs test functions of one module on MicroPython and reports each as it goes.

Usage: micropython _runner.py MODULE TEST…

A report is a line of its own: the byte 0x1E, then the JSON of [kind, test, text]; kind is
"start", "pass" or "fail", text the traceback. What is printed between two reports belongs to
the test that started last. conftest.py starts this and reads the reports.
"""

import asyncio
import gc
import io
import json
import os
import sys


def _report(kind, test, text=""):
    sys.stdout.write("\x1e" + json.dumps([kind, test, text]) + "\n")


def _traceback(exc):
    buf = io.StringIO()
    sys.print_exception(exc, buf)
    return buf.getvalue()


class _Background:
    """Collects what asyncio would only print: errors of tasks that nobody waits for."""

    def __init__(self):
        self.errors = []
        asyncio.get_event_loop().set_exception_handler(self._note)

    def _note(self, _loop, context):
        self.errors.append(context["exception"])

    def take(self):
        """Return the traceback of the first error since the last call, or an empty string."""
        errors, self.errors = self.errors, []
        return "in a task of its own:\n" + _traceback(errors[0]) if errors else ""


def _call(rt, fn):
    """Call `fn`, a test function; return the traceback of its failure, or an empty string."""
    try:
        res = fn()
        if rt.is_coroutine(res):
            rt.run(lambda: res)
    except Exception as exc:
        return _traceback(exc)
    return ""


def _main(module, tests):
    # Only the frozen modules, the tests and their helpers: never the source tree.
    sys.path[:] = os.getenv("MICROPYPATH").split(":")
    from moat.micro import rt

    background = _Background()
    mod = __import__(module)
    for name in tests:
        gc.collect()
        _report("start", name)
        try:
            text = _call(rt, getattr(mod, name)) or background.take()
        except BaseException as exc:  # conftest interrupts a test that takes too long
            _report("fail", name, _traceback(exc))
            sys.exit(1)
        _report("fail" if text else "pass", name, text)
        background.take()


_main(sys.argv[1], sys.argv[2:])
