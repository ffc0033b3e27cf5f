"""The runtime's CancelScope; rt imports it when it is first used."""

from moat.micro.rt import _Scope


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
