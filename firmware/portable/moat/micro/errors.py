"""Every exception of the project.

    MoatError
    ├── LinkError             the way to the peer
    │   ├── LinkLost          it is gone: the process died, the port vanished, the line was cut
    │   ├── LinkReset         it was reset below: what was under way is lost, the link goes on
    │   ├── ProtocolError     the peer speaks something else, or another version
    │   └── AuthError         one side has not proved the key of the other one
    ├── MessageTooLongError   a message exceeds what the receiver takes; nothing was sent
    ├── InUseError            a second reader, or a layer entered twice
    ├── NoConsoleError        this stream carries no console beside its messages
    └── CallError             what a call can end with
        ├── NotFoundError     no such command; says which item is missing and what exists there
        ├── ArgumentError     the command does not take these arguments
        ├── NotPermittedError the link has no right to this; it was not run
        ├── NotReadyError     the app is not up; says why, and nothing was run
        ├── BusyError         the peer serves as many calls as it can; try again later
        ├── LostCallError     the session was lost while the call was under way, which
        │   ├── CallNotRunError   was not run
        │   ├── CallDoneError     was run to its end; the result is lost
        │   └── CallUnknownError  may have been run
        └── RemoteError       an exception of a type that only the far side knows

The end of a byte stream is the built-in EOFError. The errors of calls are defined in call_errors,
which a device loads when one of them is needed.
"""

from moat.micro.const import const

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

    # ruff: noqa: PLC0414 -- the form that tells type checkers what can be imported from here
    from moat.micro.call_errors import (
        ArgumentError as ArgumentError,
    )
    from moat.micro.call_errors import (
        AuthError as AuthError,
    )
    from moat.micro.call_errors import (
        BusyError as BusyError,
    )
    from moat.micro.call_errors import (
        CallDoneError as CallDoneError,
    )
    from moat.micro.call_errors import (
        CallError as CallError,
    )
    from moat.micro.call_errors import (
        CallNotRunError as CallNotRunError,
    )
    from moat.micro.call_errors import (
        CallUnknownError as CallUnknownError,
    )
    from moat.micro.call_errors import (
        LostCallError as LostCallError,
    )
    from moat.micro.call_errors import (
        NoConsoleError as NoConsoleError,
    )
    from moat.micro.call_errors import (
        NotFoundError as NotFoundError,
    )
    from moat.micro.call_errors import (
        NotPermittedError as NotPermittedError,
    )
    from moat.micro.call_errors import (
        NotReadyError as NotReadyError,
    )
    from moat.micro.call_errors import (
        RemoteError as RemoteError,
    )
    from moat.micro.call_errors import (
        register as register,
    )
    from moat.micro.call_errors import (
        registered as registered,
    )


class MoatError(Exception):
    """Base of all errors of the stack."""


class LinkError(MoatError):
    """The link to the peer does not work.

    When sending has failed, `fate` says what became of the message: "never sent" or "unknown".
    """

    fate = None


class LinkLost(LinkError):
    """The peer is gone; nothing more will arrive. Calls in flight may or may not have run."""


class LinkReset(LinkError):
    """The link or the peer started anew; calls in flight may or may not have run."""


class ProtocolError(LinkError):
    """The peer's messages do not follow the protocol, or its version is another one."""


class MessageTooLongError(MoatError):
    """The message is longer than the receiver's limit; nothing was sent."""


class InUseError(MoatError):
    """Somebody else reads here already, or the layer is entered already."""


def __getattr__(name: str) -> "Any":
    from moat.micro import call_errors

    return getattr(call_errors, name)
