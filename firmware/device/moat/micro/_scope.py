"""What rt imports when it is first used: a running stack does without it."""

from moat.micro.rt import _Scope, timeout_ms


class ExceptionGroup(Exception):
    """Several tasks of a group failed; args: message, list of exceptions."""

    @property
    def exceptions(self):
        """The errors, oldest first."""
        return self.args[1]


class CancelScope(_Scope):
    """Context manager, used once: `cancel` ends its body at its next wait.

    Leaving raises nothing for it. A cancellation from outside wins, whichever came first; with
    `shield` it takes effect when the body has ended.
    """

    def __init__(self, shield=False):
        self._shield = shield

    def __enter__(self):
        self._enter()
        if self._shield:
            self.held = []
        return self

    def __exit__(self, et, exc, tb):
        self._leave()
        for outer in self.held or ():
            outer._fire()
        return exc is not None and exc is self.exc

    def cancel(self):
        """Cancel the body; nothing when it has been left."""
        self._fire()


class grace_ms(timeout_ms):
    """Async context manager: its body may take `ms` milliseconds although we are cancelled.

    For the last words in a finally clause. What is not done in time is given up, silently.
    A cancellation that arrives meanwhile takes effect afterwards.
    """

    async def __aenter__(self):
        await super().__aenter__()
        self.held = []

    async def __aexit__(self, et, exc, tb):
        self._leave()
        for outer in self.held:
            outer._fire()
        return exc is not None and exc is self.exc
