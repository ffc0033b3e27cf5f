"""The runtime that portable code sees, on MicroPython's asyncio.

The host's rt.py has the same names, and says what both promise. Cancellation is raised once here.
"""

import asyncio
from asyncio import core, sleep_ms
from time import ticks_add, ticks_diff, ticks_ms

__all__ = (
    "IMAGE", "CancelScope", "Event", "ExceptionGroup", "Lock", "Queue", "TaskGroup",
    "TimeoutError", "asynccontextmanager", "get_local", "grace_ms", "is_coroutine",
    "random_bits", "run", "set_local", "sleep_ms", "ticks_add", "ticks_diff", "ticks_ms",
    "ticks_us", "timeout_ms",
)  # fmt: skip

TimeoutError = asyncio.TimeoutError  # not an OSError, as it is on the host
CancelledError = core.CancelledError
_Task = core.Task

_open = {}  # task -> the innermost scope that it has entered


def __getattr__(name):
    """Make what a running stack does not need when it is first asked for."""
    global IMAGE, CancelScope, ExceptionGroup, Lock, Queue, grace_ms, ticks_us
    if name == "Lock":
        Lock = asyncio.Lock
    elif name == "Queue":
        from moat.micro._queue import BaseQueue

        Queue = type("Queue", (BaseQueue,), {"Event": Event})
    elif name == "ticks_us":
        from time import ticks_us
    elif name == "IMAGE":  # the hash of what is frozen
        from _port import image as IMAGE  # noqa: N812
    elif name in ("CancelScope", "ExceptionGroup", "grace_ms"):
        from moat.micro._scope import CancelScope, ExceptionGroup, grace_ms
    else:
        raise AttributeError(name)
    return globals()[name]


class Event:
    """What tasks wait for. As asyncio's, whose module has another, larger class."""

    def __init__(self):
        self._set = False
        self._waiting = core.TaskQueue()

    def is_set(self):
        """True after `set`, until `clear`."""
        return self._set

    def set(self):
        """Wake all waiters."""
        waiting = self._waiting
        while waiting.peek():
            core._task_queue.push(waiting.pop())
        self._set = True

    def clear(self):
        """Let later waiters wait again."""
        self._set = False

    async def wait(self):
        """Return True when the event is set; also when it was cleared again meanwhile."""
        if not self._set:
            task = core.cur_task
            self._waiting.push(task)
            task.data = self._waiting  # a cancellation takes it out of there
            yield
        return True


class _Cancelled(CancelledError):
    """The cancellation by one scope, which alone swallows it."""


class _Canceller:
    """Raises `exc` in `task` where that waits.

    A task that runs cannot be interrupted: then a helper task does it as soon as it waits. The
    object stands for the helper's coroutine itself, of which the loop calls send() only.

    The helper is used again: asyncio's queue may keep a task that has left it in memory.
    """

    task = None
    exc = CancelledError
    _helper = None
    _queued = False

    def _fire(self):
        if not self._queued and not self._strike():
            self._queue(ticks_ms())

    def _queue(self, due):
        if self._helper is None:
            self._helper = _Task(self)
        self._helper.state = self._queued = True
        core._task_queue.push(self._helper, due)

    def send(self, _):
        """Take a step of the helper task."""
        if self._strike():
            self._queued = False
            raise StopIteration
        core._task_queue.push(core.cur_task)

    def _strike(self):
        """Do it; False when it has to be tried again."""
        task = self.task
        if task is None or task.done() or task.data is CancelledError:
            return True  # too late, or somebody else cancels the whole task
        if self._held_back():
            return True
        while isinstance(task.data, _Task):  # asyncio cancels the one that it waits for
            task = task.data
        if task is core.cur_task or task.data is CancelledError:
            return False
        if self.exc is None:
            self.exc = _Cancelled()
        # cancel() takes it out of the queue that it waits in; its exception can be replaced,
        # here as by a later cancel() from outside, which so is not lost.
        task.cancel()
        task.data = self.exc
        return True

    def _held_back(self):
        """True when a scope inside this one waits out its grace; else the inner ones end."""
        inner = _open.get(self.task)
        scope = inner
        while scope is not None and scope is not self:
            if scope.held is not None:
                scope.held.append(self)
                return True
            scope = scope.outer
        while inner is not None and inner is not self:
            inner.task = None  # it must not replace this cancellation by its own
            inner = inner.outer
        return False


class _Scope(_Canceller):
    """A part of the task that entered it; `outer` is the next scope around it."""

    exc = None
    held = None  # the cancellers that wait for the end of a grace

    def _enter(self):
        self.exc = None
        self.task = core.cur_task
        self.outer = _open.get(self.task)
        _open[self.task] = self

    def _leave(self):
        if self.outer is None:
            del _open[core.cur_task]
        else:
            _open[core.cur_task] = self.outer
        self.task = None
        if self._queued:
            core._task_queue.remove(self._helper)
            self._queued = False


class timeout_ms(_Scope):
    """Async context manager: TimeoutError when its body takes more than `ms` milliseconds.

    The body is cancelled then, at its next wait with 0. One that ends without having waited is
    in time, however long it took. A cancellation from outside wins, whichever came first.

    asyncio's wait_for is no substitute: it can lose a cancellation, and deliver one twice.
    """

    def __init__(self, ms):
        self.ms = ms

    async def __aenter__(self):
        due = ticks_add(ticks_ms(), self.ms)
        self._enter()
        self._queue(due)

    async def __aexit__(self, et, exc, tb):
        self._leave()
        if exc is not None and exc is self.exc:
            raise TimeoutError("not done within {} ms".format(self.ms))
        return False


class _Child(_Canceller):
    """A task of a group; it is the callback that asyncio calls when the task has ended.

    Such a callback (Task.state) also sees the end of a task that never took its first step.
    """

    _cancelled = False

    def __init__(self, group, task):
        self._group = group
        self.task = task
        task.state = self

    def __call__(self, task, exc):
        self._group._done(self, exc)

    def cancel(self):
        """Cancel the task, once; nothing when it has ended. Its finally clauses run."""
        if not self._cancelled:
            self._cancelled = True
            self._fire()


class TaskGroup(_Scope):
    """Async context manager that waits for the tasks started in it.

    The first error, of a task or of the body, cancels the others. Leaving raises that error, or
    an ExceptionGroup when there were several. A cancellation from outside cancels all
    tasks, is raised when they have ended, and gives way to an error of theirs.

    KeyboardInterrupt and SystemExit leave the event loop at once.
    """

    _active = _cancelled = False  # entered and not left
    _empty = None  # the event for which the end of the body waits

    def __init__(self):
        self._tasks = []
        self._errors = []

    async def __aenter__(self):
        self._enter()
        self._active = True
        return self

    def start_soon(self, fn, *args):
        """Run ``await fn(*args)`` as a task of the group; returns it, it has a cancel().

        Raises:
            RuntimeError: the group is not entered yet or left already.
            TypeError: `fn` is not an async function, or does not take `args`.
        """
        if not self._active:
            raise RuntimeError("the task group is not open")
        child = _Child(self, core.create_task(fn(*args)))
        self._tasks.append(child)
        if self._cancelled:
            child.cancel()
        return child

    def cancel(self):
        """Cancel all tasks, and the body if it still runs; leaving raises nothing for it."""
        if self._active and not self._cancelled:
            self._cancelled = True
            for child in self._tasks:
                child.cancel()
            self._fire()

    def _done(self, child, exc):
        self._tasks.remove(child)
        if not isinstance(exc, (StopIteration, CancelledError)):
            self._errors.append(exc)
            self.cancel()
        if not self._tasks and self._empty is not None:
            self._empty.set()

    async def __aexit__(self, et, exc, tb):
        self._leave()
        outer = None
        if exc is not None:
            self.cancel()
            if isinstance(exc, Exception):
                self._errors.append(exc)
            elif not isinstance(exc, CancelledError):
                self._active = False
                return False
            elif exc is not self.exc:
                outer = exc
        if self._tasks:
            outer = await self._join(outer)
        self._active = False
        if len(self._errors) > 1:
            from moat.micro._scope import ExceptionGroup

            raise ExceptionGroup("several tasks failed", self._errors)
        for error in self._errors:
            raise error
        if outer is not None:
            raise outer
        return True

    async def _join(self, outer):
        self._empty = Event()
        while self._tasks:
            try:
                await self._empty.wait()
            except CancelledError as exc:
                if type(outer) is not CancelledError:  # not replaced by that of a scope
                    outer = exc
                self._cancelled = True
                for child in self._tasks:
                    child._fire()  # each cancellation from outside is theirs, too
        return outer


def set_local(x):
    """Let `get_local` return `x` in this task, one of a TaskGroup."""
    core.cur_task.state.local = x


def get_local():
    """Return what `set_local` has set in this task, or None."""
    return getattr(core.cur_task.state, "local", None)


class _Context:
    """Drives one generator as an async context manager.

    The scheduler's own yields are all None: pass them on; another value is that of its `yield`.
    """

    def __init__(self, gen):
        self._gen = gen

    def __aenter__(self):
        return self._drive(None, True)

    def __aexit__(self, et, exc, tb):
        return self._drive(exc, False)

    def _drive(self, exc, entering):
        swallow = exc is not None
        while True:
            try:
                val = self._gen.send(None) if exc is None else self._gen.throw(exc)
            except StopIteration:
                if entering:
                    raise RuntimeError("the context manager did not yield")
                return swallow
            if val is not None:
                break
            exc = None
            try:
                yield
            except BaseException as err:
                exc = err
        if entering:
            return val
        self._gen.close()
        raise RuntimeError("the context manager yielded twice")


def asynccontextmanager(fn):
    """Decorator: an ``async def`` with one ``yield value`` (not None) as context manager."""

    def wrap(*args, **kw):
        return _Context(fn(*args, **kw))

    return wrap


def is_coroutine(x):
    """True when `x`, the result of calling an async function, has to be awaited."""
    return hasattr(x, "send")


def random_bits():
    """Return 32 bits that differ from boot to boot as far as the hardware allows."""
    try:
        from os import urandom

        return int.from_bytes(urandom(4), "big")
    except (ImportError, AttributeError):
        from time import ticks_cpu

        return (ticks_cpu() * 2654435761) & 0xFFFFFFFF


def run(fn, *args):
    """Run ``await fn(*args)`` in a fresh event loop and return its result.

    A KeyboardInterrupt leaves at once, without running the tasks' finally clauses. RuntimeError:
    nothing can ever wake a task (MicroPython 1.25; later ones wait on).
    """
    res = []

    async def main():
        res.append(await fn(*args))

    asyncio.new_event_loop()
    _open.clear()
    try:
        asyncio.run(main())
    finally:
        asyncio.new_event_loop()
        core.cur_task = None  # left behind by an interrupt
    if not res:
        raise RuntimeError("deadlock: every task waits for another one")
    return res[0]
