"""Collects every test function of this folder three times: asyncio, trio, MicroPython.

The test modules hold plain functions, sync or async, that only assert; they import nothing
that MicroPython lacks, pytest least of all. A module may have the lists DEVICE_ONLY and
HOST_ONLY, of names of tests that make sense on one side.

On MicroPython the unix image runs them, with the stack as it was frozen in; one process per
module, started anew after a crash or a hang. MOAT_BUILD names the build folder (default: build),
MOAT_TEST_LIMIT the seconds that one test may take (default: 10).
"""

import inspect
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_BUILD = Path(os.environ.get("MOAT_BUILD") or _ROOT / "build").resolve()
_IMAGE = _BUILD / "unix" / "micropython"
_FROZEN = [_ROOT / "firmware" / name for name in ("portable", "device", "sim", "unix")]
_LIMIT_S = float(os.environ.get("MOAT_TEST_LIMIT") or 10)
_GRACE_S = 1.0  # from the interrupt to the kill
_RUNS = pytest.StashKey[dict]()

sys.path.append(str(_HERE))  # so that _helpers can be imported as on MicroPython


class HostTest(pytest.Function):
    """A test on CPython, with anyio."""

    backend = "asyncio"

    def runtest(self):
        """Run it; an async one has a time limit."""
        res = self.obj()
        if inspect.iscoroutine(res):
            anyio.run(self._limited, res, backend=self.backend)

    async def _limited(self, coro):
        with anyio.fail_after(_LIMIT_S):
            await coro


class TrioTest(HostTest):
    """A test on CPython, with anyio on trio."""

    backend = "trio"


class DeviceTest(pytest.Function):
    """A test on the unix image."""

    def runtest(self):
        """Show the result; the first test of a module starts the process for all of them."""
        if not _IMAGE.exists():
            pytest.fail("run: make BOARD=unix build", pytrace=False)
        runs = self.session.stash.setdefault(_RUNS, {})
        if self.path not in runs:
            runs[self.path] = DeviceRun(self.path, self._selected())
            self.config.add_cleanup(runs[self.path].close)
        text, output = runs[self.path].result(self.obj.__name__)
        print(output, end="")
        if text:
            pytest.fail(_with_source(text), pytrace=False)

    def _selected(self):
        items = self.session.items
        return [i.obj.__name__ for i in items if isinstance(i, DeviceTest) and i.path == self.path]


class DeviceRun:
    """The results of one module's tests on MicroPython, read when they are asked for."""

    def __init__(self, path, tests):
        self._steps = self._run(path, list(tests))
        self._results = {}

    def result(self, test):
        """Wait for `test`; return the text of its failure, or "", and what it printed."""
        while test not in self._results:
            name, text, output = next(self._steps)
            self._results[name] = text, output
        return self._results[test]

    def close(self):
        """End the process if it is still running."""
        self._steps.close()

    def _run(self, path, todo):
        try:
            while todo:
                for result in _run_process(path, todo):
                    todo.remove(result[0])
                    yield result
        except OSError as exc:  # the image cannot be started, it is just being built, …
            for test in todo:
                yield test, str(exc), ""


def _run_process(path, tests):
    """Run `tests` in a process until it ends; yield (test, text, output) of at least one."""
    current, output, ended = None, "", 0
    with _Process(path, tests) as proc:
        for kind, test, text in proc.reports():
            if kind == "print":
                output += text
            elif kind == "start":
                current, output = test, ""
            else:
                yield test, text and proc.why() + text, output
                current, output, ended = None, "", ended + 1
        if current is not None:
            yield current, proc.why() + proc.status(), output
        elif not ended:  # the module does not even import
            for test in tests[:]:
                yield test, proc.why() + proc.status() + "\n" + output, ""


class _Process:
    """A MicroPython process whose reports are read, with a limit to the time between them."""

    def __init__(self, path, tests):
        cmd = [_IMAGE, _HERE / "_runner.py", path.stem, *tests]
        # The tests, the frozen modules, the part of the test kit that MicroPython understands.
        folders = [path.parent, _HERE, ".frozen", _ROOT / "host" / "moat" / "micro" / "testing"]
        env = {**os.environ, "MICROPYPATH": ":".join(map(str, folders))}
        self._out, out = os.pipe()
        null = subprocess.DEVNULL
        self._proc = subprocess.Popen(
            cmd, cwd=path.parent, env=env, stdin=null, stdout=out, stderr=out
        )
        os.close(out)
        self._deadline = time.monotonic() + _LIMIT_S
        self._late = False

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self._proc.kill()
        self._proc.wait()
        os.close(self._out)

    def reports(self):
        """Yield (kind, test, text); what was printed is of the kind "print"."""
        rest = b""
        while chunk := self._read():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                printed, mark, report = line.decode("utf-8", "replace").partition("\x1e")
                yield "print", "", printed + "\n" * (not mark)
                if mark:
                    self._deadline = time.monotonic() + _LIMIT_S
                    yield json.loads(report)
        yield "print", "", rest.decode("utf-8", "replace")

    def _read(self):
        """Return the next bytes, none at the end; interrupt, then kill, what takes too long."""
        while not select.select([self._out], [], [], max(0, self._deadline - time.monotonic()))[0]:
            if self._proc.poll() is not None:  # a process of its own holds the pipe open
                return b""
            self._proc.send_signal(signal.SIGKILL if self._late else signal.SIGINT)
            self._deadline = time.monotonic() + _GRACE_S
            self._late = True
        return os.read(self._out, 65536)

    def why(self):
        """Say that the time limit was exceeded, if it was."""
        return f"not done within {_LIMIT_S:g} s\n" if self._late else ""

    def status(self):
        """Say how the process ended; waits for it."""
        code = self._proc.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        return f"the process ended with {how}"


def _with_source(text):
    """Add the source lines to a traceback of MicroPython."""

    def add(match):
        for root in [_HERE, *_FROZEN]:  # an absolute path stays what it is
            file = root / match["file"]
            if file.is_file():
                lines = file.read_text(encoding="utf-8").splitlines()
                return match[0] + "\n    " + "".join(lines[int(match["line"]) - 1 :][:1]).strip()
        return match[0]

    return re.sub(r'File "(?P<file>[^"]+)", line (?P<line>\d+).*', add, text)


@pytest.hookimpl(tryfirst=True)  # before anyio's, which would make two of an async test
def pytest_pycollect_makeitem(collector, name, obj):
    """Make three tests of every function."""
    if not inspect.isfunction(obj) or not collector.istestfunction(obj, name):
        return None
    sides = {"asyncio": HostTest, "trio": TrioTest, "micropython": DeviceTest}
    if name in getattr(collector.obj, "DEVICE_ONLY", ()):
        sides = {"micropython": DeviceTest}
    if name in getattr(collector.obj, "HOST_ONLY", ()):
        del sides["micropython"]
    return [
        cls.from_parent(collector, name=f"{name}[{side}]", callobj=obj)
        for side, cls in sides.items()
    ]


def pytest_report_header():
    """Say it when the image is older than what is frozen into it."""
    if _IMAGE.exists():
        built = _IMAGE.stat().st_mtime
        for root in _FROZEN:
            for file in root.rglob("*.py"):
                if file.stat().st_mtime > built:
                    return f"{_IMAGE} is older than {file.name}; run: make BOARD=unix build"
    return None
