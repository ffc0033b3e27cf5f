"""What the Makefile runs: sources, packages, images. Standard library only, but for the table."""
