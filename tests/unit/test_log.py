"""Where the Log layers write to on the host: Python's logging."""

from __future__ import annotations

import logging

import pytest

from moat.micro.proto.log import LogBuf
from tests.both._memory import pair


async def test_lines_go_to_the_logger_of_that_name(caplog: pytest.LogCaptureFixture) -> None:
    a, _ = pair()
    with caplog.at_level(logging.DEBUG, "moat.micro.log.usb"):
        async with LogBuf(a, "usb") as s:
            await s.wr(b"100 %s")
    assert [record.name for record in caplog.records] == ["moat.micro.log.usb"] * 3
    assert caplog.messages[1].endswith(" > wr 6: 31 30 30 20 25 73 |100 %s|")
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}


async def test_what_is_not_logged_is_not_made_into_text(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(bytes):
        def __getitem__(self, key: object) -> bytes:  # pyright: ignore[reportIncompatibleMethodOverride]
            raise AssertionError

    a, _ = pair()
    with caplog.at_level(logging.INFO, "moat.micro.log"):
        async with LogBuf(a) as s:
            await s.wr(Odd(b"x"))
            assert s.failed is None
    assert caplog.records == []
