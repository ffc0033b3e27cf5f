"""The version of the project: of the wheel and of what the images freeze."""

VERSION = "0.1.0"
