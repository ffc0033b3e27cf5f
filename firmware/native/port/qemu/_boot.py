"""Mount the RAM disk at /; format it when it is blank."""

import sys

import vfs
from _qemu import disk

try:
    _fs = vfs.VfsLfs2(disk)
except OSError:
    vfs.VfsLfs2.mkfs(disk)
    _fs = vfs.VfsLfs2(disk)
vfs.mount(_fs, "/")
sys.path.append("/lib")
del sys, vfs, disk, _fs
