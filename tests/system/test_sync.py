"""The synchronous facade, on the unix image."""

from __future__ import annotations

import inspect
import pydoc
import threading
from pathlib import Path

import pytest

from moat.micro.errors import LinkLost, NotFoundError
from moat.micro.sync import connect_sync, stream, using
from moat.micro.target import link_to
from tests.system.support import probe, write_files


@pytest.fixture
def folder(tmp_path: Path) -> str:
    write_files(tmp_path, probe())
    return str(tmp_path)


def test_calls_as_in_the_readme(folder: str) -> None:
    text: list[str] = []
    with connect_sync(link_to("emu:unix", cwd=folder), console=text.append) as dev:
        assert dev.sys.ping(m=7) == 7
        assert dev.call(["probe", "lamps", 1, "number"]) == 1
        assert dev.probe.lamps[0].number() == 0
        dev.probe.say("hello")
        with pytest.raises(ValueError, match="bad"):
            dev.probe.fail("ValueError", "bad")
        with pytest.raises(NotFoundError):
            dev.nothing.at.all()
        assert dev.sys.ping(1) == 1
    assert "hello" in "".join(text)


def test_help_and_signatures(folder: str) -> None:
    with connect_sync(link_to("emu:unix", cwd=folder)) as dev:
        assert dev.sys.ping.__doc__ == "Return `m`."
        assert str(inspect.signature(dev.sys.ping)) == "(m=None)"
        assert "Return `m`." in pydoc.plain(pydoc.render_doc(dev.sys.ping))
        assert repr(dev.sys.ping) == "<command sys.ping(m=None)>"
        assert repr(dev) == "<device>"
        with pytest.raises(AttributeError):
            _ = dev._repr_html_


def test_more_can_be_asked_for(folder: str) -> None:
    with connect_sync(link_to("emu:unix", cwd=folder)) as dev:
        with pytest.raises(ValueError, match="bad") as info:
            using(dev.probe.fail, traceback=True)("ValueError", "bad")
        assert "cmd_fail" in str(getattr(info.value, "remote_traceback", None))
        with stream(using(dev.probe.count, keep=1), 1000) as values:
            found = list(values)
            assert values.dropped == 1000 - len(found) > 0


def test_streams(folder: str) -> None:
    with connect_sync(link_to("emu:unix", cwd=folder)) as dev:
        with stream(dev.probe.count, 5) as values:
            assert list(values) == [0, 1, 2, 3, 4]
            assert values.result == "counted"
        with stream(dev.probe.on, "x") as values:
            assert [values.recv() for _ in range(3)] == [0, 1, 2]
        with stream(dev.probe.sum) as values:
            values.send(40)
            values.send(2)
            values.finish()
            assert list(values) == [40, 42]
        assert dev.sys.ping(1) == 1


def test_a_limit_ends_the_call_on_the_device_too(folder: str) -> None:
    text: list[str] = []
    with connect_sync(link_to("emu:unix", cwd=folder), limit=0.2, console=text.append) as dev:
        with pytest.raises(TimeoutError):
            dev.probe.wait("late")
        assert dev.probe.running() == 0
    assert "<late ends>" in "".join(text)


def test_threads_may_share_a_device(folder: str) -> None:
    found: list[int] = []
    with connect_sync(link_to("emu:unix", cwd=folder)) as dev:

        def call(n: int) -> None:
            found.extend(dev.sys.ping(n * 100 + i) for i in range(20))

        threads = [threading.Thread(target=call, args=(n,)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == sorted(n * 100 + i for n in range(5) for i in range(20))


def test_a_device_that_is_not_there_says_so() -> None:
    with pytest.raises(LinkLost), connect_sync("process:true"):
        raise AssertionError


def test_after_leaving_calls_fail(folder: str) -> None:
    with connect_sync(link_to("emu:unix", cwd=folder)) as dev:
        ping = dev.sys.ping
    with pytest.raises(LinkLost, match="its `with` block has ended"):
        ping()
