"""Every exception of the project.

    MoatError
    ├── LinkError             the way to the peer
    │   ├── LinkLost          it is gone: the process died, the port vanished, the line was cut
    │   ├── LinkReset         it was reset below: what was under way is lost, the link goes on
    │   └── ProtocolError     the peer speaks something else, or another version
    ├── MessageTooLongError   a message exceeds what the receiver takes; nothing was sent
    ├── InUseError            a second reader, or a layer entered twice
    ├── NoConsoleError        this stream carries no console beside its messages
    └── CallError             what a call can end with
        ├── NotFoundError     no such command; says which item is missing and what exists there
        ├── ArgumentError     the command does not take these arguments
        ├── NotPermittedError the link has no right to this; it was not run
        ├── BusyError         the peer serves as many calls as it can; try again later
        ├── LostCallError     the session was lost while the call was under way, which
        │   ├── CallNotRunError   was not run
        │   ├── CallDoneError     was run to its end; the result is lost
        │   └── CallUnknownError  may have been run
        └── RemoteError       an exception of a type that only the far side knows

The end of a byte stream is the built-in EOFError.
"""


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


class NoConsoleError(MoatError):
    """This stream carries no console beside its messages."""


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
