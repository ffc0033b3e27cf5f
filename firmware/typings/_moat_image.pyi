"""Written by tools/package.py."""

IMAGE: str
