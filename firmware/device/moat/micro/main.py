"""What the image runs after power-on; see moat.micro.startup."""

from moat.micro.startup import boot

boot()
