"""The file of the config: whole at any time, whatever happens while it is written."""

import errno
import os

from _helpers import raises
from msgpack import packb

from moat.micro.cmd import config
from moat.micro.cmd.config import ConfigFile

OLD = {"apps": {"a": "m:A"}, "a": {"pin": 1}}
NEW = {"apps": {"a": "m:A"}, "a": {"pin": 2, "password": "hunter2"}}


class CutError(Exception):
    """The power has failed."""


class Disk:
    """A file system in memory, whose power fails after `steps` steps.

    What was written reaches the disk when it is synchronised, and else perhaps in part.

    Args:
        fat: renaming to an existing name removes that first.
    """

    def __init__(self, fat=False):
        self.files = {}
        self.fat = fat
        self.steps = None
        self.unsure = set()

    def __enter__(self):
        self._real = config.os
        config.os = self
        config.open = self._open
        return self

    def __exit__(self, *exc):
        config.os = self._real
        del config.open

    def step(self):
        if self.steps == 0:
            for name in self.unsure:
                data = self.files[name]
                self.files[name] = data[: len(data) // 2]
            self.unsure.clear()
            self.steps = None
            raise CutError
        if self.steps is not None:
            self.steps -= 1

    def rename(self, old, new):
        self.step()
        if self.fat and new in self.files:
            del self.files[new]
            self.step()
        self.files[new] = self.files.pop(old)
        if old in self.unsure:
            self.unsure.remove(old)
            self.unsure.add(new)

    def sync(self):
        self.step()
        self.unsure.clear()

    def _open(self, name, mode):
        if mode == "rb":
            if name not in self.files:
                raise OSError(errno.ENOENT, "no such file")
        else:
            self.step()
            self.files[name] = b""
            self.unsure.add(name)
        return File(self, name)


class File:
    """An open one."""

    def __init__(self, disk, name):
        self.disk = disk
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def read(self):
        return bytes(self.disk.files[self.name])

    def write(self, data):
        for i in range(len(data)):
            self.disk.step()
            self.disk.files[self.name] += data[i : i + 1]
        return len(data)

    def flush(self):
        pass


def cut_everywhere(fat, before, after):
    """Cut the power at each step of a save; return what was there afterwards, in turn."""
    found = []
    n = 0
    while True:
        with Disk(fat) as disk:
            file = ConfigFile("cfg")
            if before:
                file.save(before)
            disk.steps = n
            try:
                file.save(after)
                return found
            except CutError:
                pass
            found.append(ConfigFile("cfg").load())
            # And it can be written after that, and once more lose its power before it begins.
            disk.steps = None
            file.save({"other": 1})
            assert file.load() == {"other": 1}
        n += 1


def test_whenever_the_power_fails_the_old_or_the_new_config_is_there():
    for fat in (False, True):
        found = cut_everywhere(fat, OLD, NEW)
        assert len(found) > len(packb(NEW)) + 2
        first_new = found.index(NEW) if NEW in found else len(found)
        assert found[:first_new] == [OLD] * first_new
        assert found[first_new:] == [NEW] * (len(found) - first_new)
        assert (NEW in found) == fat  # elsewhere the last step is the one that counts


def test_whenever_the_power_fails_there_is_the_first_config_or_none():
    found = cut_everywhere(False, None, NEW)
    assert found[0] == {}
    assert all([cfg in ({}, NEW) for cfg in found])  # noqa: C419


def test_a_new_file_that_is_the_only_one_is_taken_and_safe():
    with Disk() as disk:
        disk.files["cfg.new"] = packb(NEW)
        file = ConfigFile("cfg")
        assert file.load() == NEW
        assert list(disk.files) == ["cfg"]


def test_the_same_config_is_not_written_again():
    with Disk() as disk:
        file = ConfigFile("cfg")
        file.save(OLD)
        disk.steps = 0
        file.save(OLD)


def test_a_damaged_file_is_an_error_and_is_kept():
    for data in (packb(OLD)[:-1], b"", packb([1]), packb(OLD) + b"\0", b"\xc1"):
        with Disk() as disk:
            disk.files["cfg"] = data
            file = ConfigFile("cfg")
            for _ in range(2):
                with raises(ValueError) as info:
                    file.load()
                assert "the config file is damaged" in str(info.exc)
                assert disk.files == {"cfg": data}
            file.save(NEW)
            assert disk.files["cfg.bad"] == data
            assert file.load() == NEW


def test_a_full_disk_is_an_error_and_the_old_config_stays():
    def short(self, data):
        return len(data) - 1

    real = File.write
    with Disk() as disk:
        file = ConfigFile("cfg")
        file.save(OLD)
        File.write = short
        try:
            with raises(OSError) as info:
                file.save(NEW)
        finally:
            File.write = real
        assert info.exc.errno == 28
        assert disk.files["cfg"] == packb(OLD)


def test_a_real_file():
    name = "test-%s.cfg" % id(OLD)
    file = ConfigFile(name)
    try:
        assert file.load() == {}
        file.save(OLD)
        file.save(NEW)
        assert file.load() == NEW
    finally:
        os.remove(name)
    with raises(OSError):
        os.stat(name + ".new")


def test_a_file_that_cannot_be_read_is_no_missing_file():
    with raises(OSError):
        ConfigFile(".").load()
