"""ESP-IDF: what MicroPython's esp32 port is built with. It is in no package."""

from __future__ import annotations

import os
import shutil

from moat.micro.boards import Board

__all__ = ("missing",)


def missing(board: Board) -> str:
    """What to do where a board needs ESP-IDF, and it is not active; else an empty string."""
    if board.port != "esp32":
        return ""
    tools = ["idf.py", *(need.tool for need in board.needs)]
    if os.environ.get("IDF_PATH") and all(map(shutil.which, tools)):
        return ""
    return (
        "it needs ESP-IDF (5.2 or newer): install it as Espressif's documentation says, run its "
        "export.sh, and give a full checkout of MicroPython, MPY_DIR=…; or have MicroPython's own "
        "image on the board, and type: make BOARD=stock install PORT=…"
    )
