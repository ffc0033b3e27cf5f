"""The user's program runs beside the stack: main.py in all its forms, apps, `moat-sat run`."""

from __future__ import annotations

import anyio
import pytest

from moat.micro.errors import MoatError
from moat.micro.program import run_program
from moat.micro.testing.console import Console
from tests.system.conftest import Start

TICKS = """
import asyncio
async def main():
    n = 0
    while True:
        print("tick", n)
        n += 1
        await asyncio.sleep_ms(20)
"""

RETURNS = """
print("set up")
"""

STARTS = """
import moat.micro
from moat.micro.cmd.tree import BaseCmd

class Lamp(BaseCmd):
    async def cmd_state(self):
        return "on"

moat.micro.start(apps={"lamp": Lamp()})
"""

RAISES = """
print("before")
1 / 0
"""

RAISES_LATER = """
from app.trigger import event
async def main():
    await event.wait()
    [][1]
"""

TRIGGER = """
from asyncio import Event
from moat.micro.cmd.tree import BaseCmd

event = Event()

class App(BaseCmd):
    async def cmd_pull(self):
        event.set()
"""

APP = """
print("imported")
from moat.micro.cmd.tree import BaseCmd

class App(BaseCmd):
    async def cmd_color(self):
        return "red"
"""


async def test_an_async_main_runs_beside_the_stack(start: Start, console: Console):
    async with start({"main.py": TICKS}) as dev:
        for n in range(5):
            await console.expect("tick")
            assert await dev.sys.ping(n) == n
            console.text = ""


async def test_the_stack_starts_when_a_synchronous_main_returns(start: Start, console: Console):
    async with start({"main.py": RETURNS}) as dev:
        assert await dev.sys.ping(1) == 1
        await console.expect("set up\n")


async def test_main_may_start_the_stack_itself(start: Start):
    async with start({"main.py": STARTS}) as dev:
        assert await dev.lamp.state() == "on"


async def test_the_stack_starts_when_main_raises(start: Start, console: Console):
    async with start({"main.py": RAISES}) as dev:
        assert await dev.sys.ping(1) == 1
        await console.search(r'before\n(.*\n)*  File "/?main.py", line 3, in <module>\n'
                             r"ZeroDivisionError: ")  # fmt: skip


async def test_the_stack_goes_on_when_main_raises_later(start: Start, console: Console):
    async with start({"main.py": RAISES_LATER, "app/trigger.py": TRIGGER}) as dev:
        await dev.trigger.pull()
        await console.search(r'File "/?main.py", line 5, in main\nIndexError: ')
        assert await dev.sys.ping(1) == 1


async def test_an_app_is_imported_when_it_is_first_used(start: Start, console: Console):
    async with start({"app/paint.py": APP}) as dev:
        assert "paint" in (await dev.dir_())["d"]
        assert "imported" not in console.text
        assert await dev.paint.color() == "red"
        await console.expect("imported")


async def test_a_changed_app_gives_another_answer(start: Start):
    async with start({"app/paint.py": APP.replace("red", "blue")}) as dev:
        assert await dev.paint.color() == "blue"


@pytest.mark.parametrize(
    "source", ["import nowhere", "class Other: pass", "class App:\n    pass", "def ("]
)
async def test_an_app_that_does_not_load_is_an_error_of_its_own(start: Start, source: str):
    async with start({"app/bad.py": source, "app/paint.py": APP}) as dev:
        for _ in range(2):
            with pytest.raises(Exception, match="bad") as error:
                await dev.bad.color()
            assert not isinstance(error.value, TimeoutError)
        assert await dev.paint.color() == "red"


async def test_a_program_is_run(start: Start, console: Console):
    async with start({}) as dev:
        await run_program(dev, "print('top')\nasync def main():\n    print('in main')\n", "p.py")
        await console.expect("top\nin main\n")


async def test_an_error_of_a_program_arrives_with_its_traceback(start: Start, console: Console):
    async with start({}) as dev:
        with pytest.raises(ZeroDivisionError):
            await run_program(dev, "def f():\n    1 / 0\nf()\n", "p.py")
        await console.expect('File "p.py", line 2, in f')


async def test_a_program_of_many_pieces_is_run(start: Start, console: Console):
    text = "".join(f"x{i} = {i}\n" for i in range(800))
    async with start({}) as dev:
        await run_program(dev, text + "print('sum', x7 + x799)\n", "p.py")
        await console.expect("sum 806")


async def test_a_cancelled_program_cleans_up(start: Start, console: Console):
    source = """
import asyncio
async def main():
    try:
        print("waiting")
        await asyncio.sleep(1000)
    finally:
        print("cleaned up")
"""
    async with start({}) as dev:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_program, dev, source, "p.py")
            await console.expect("waiting")
            tasks.cancel_scope.cancel()
        await console.expect("cleaned up")
        assert await dev.sys.ping(1) == 1


async def test_a_syntax_error_names_the_program(start: Start):
    async with start({}) as dev:
        with pytest.raises((SyntaxError, MoatError)):
            await run_program(dev, "def (", "p.py")
