"""The errors of calls, and such that hardly ever occur: use them from moat.micro.errors."""

from moat.micro.const import const
from moat.micro.errors import LinkError, MoatError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

registered: "list[Any]" = []


class NoConsoleError(MoatError):
    """This stream carries no console beside its messages."""


class AuthError(LinkError):
    """One side wants the other one to prove a key, and that has not, or has another key."""


class CallError(MoatError):
    """A call did not succeed.

    Errors of calls, of these and all other types, have more attributes where the type allows it
    (MicroPython's own ones do not): `path`, the dotted path of the command; `at`, that of the
    device where it arose, empty for the peer; `remote_traceback`, if it was asked for.
    """

    path = at = remote_traceback = None


class NotFoundError(CallError):
    """There is no such command or stream; args: the message."""


class ArgumentError(CallError):
    """The command does not take these arguments; it was not run."""


class NotPermittedError(CallError):
    """The link on which the call has come has no right to this; it was not run."""


class NotReadyError(CallError):
    """The app is not up: it is being started, is stopped, or has failed. Nothing was run."""


class BusyError(CallError):
    """The peer serves as many calls as it can; the command was not run."""


class LostCallError(CallError):
    """The session with the peer was lost while the call was under way."""


class CallNotRunError(LostCallError):
    """The command was not run: call again."""


class CallDoneError(LostCallError):
    """The command was run to its end, or to its error; what it said is lost."""


class CallUnknownError(LostCallError):
    """The command may have been run, or a part of it."""


class RemoteError(CallError):
    """The command raised an exception whose type is not known here; args: type name, its args."""

    def __str__(self):
        if len(self.args) < 2:
            return ", ".join(str(a) for a in self.args)
        return "{}: {}".format(self.args[0], ", ".join(str(a) for a in self.args[1]))


def register(*types: "Any") -> "Any":
    """Let errors of these types arrive as such; both sides have to register them.

    Returns the first one, so it decorates a class as well.

    TypeError: one of them is no exception. ValueError: another one has that name.
    """
    from moat.micro.cmd._errors import named

    for cls in types:
        if not issubclass(cls, Exception):
            raise TypeError("%r is no type of exceptions" % cls)
        other = named(cls.__name__)
        if other is None:
            registered.append(cls)
        elif other is not cls:
            raise ValueError("another error is called %s" % cls.__name__)
    return types[0]
