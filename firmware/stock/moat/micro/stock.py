"""Start-up on stock MicroPython, where our main.py calls `boot`.

The user's program is in user_main.py there; it is what main.py is on our own images. Its folder
is the current one after power-on, "/flash" on some boards.
"""

import os

from moat.micro import startup


def boot():
    """Run the user's program, and the stack."""
    folder = os.getcwd().rstrip("/") + "/"
    run = startup.user_main
    startup.root = lambda: folder
    startup.user_main = lambda: run("user_main")
    startup.boot()
