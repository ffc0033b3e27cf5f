"""A NetLink tries one address of its host after the other, and gives each its time."""

import errno

from _helpers import forever, raises

from moat.micro.errors import LinkLost
from moat.micro.net import net
from moat.micro.net.net import NetLink

REFUSED = OSError(errno.ECONNREFUSED, "refused")


class Network:
    """Stands in for the functions below NetLink: a host of these addresses."""

    def __init__(self, *addrs):
        self.addrs = addrs
        self.tried = []

    def __enter__(self):
        self._real = net.addresses, net.connect
        net.addresses, net.connect = self._addresses, self._connect
        return self

    def __exit__(self, et, exc, tb):
        net.addresses, net.connect = self._real

    async def _addresses(self, host, port):
        return list(self.addrs)

    async def _connect(self, addr):
        self.tried.append(addr)
        if addr == "silent":
            await forever()
        if isinstance(addr, Exception):
            raise addr
        return addr


class Link(NetLink):
    """Keeps the address that has answered."""

    def use(self, s):
        self.address = s

    async def aclose(self):
        pass


async def test_the_first_that_answers_is_taken():
    with Network("one", "two") as network:
        async with Link("x", 1) as link:
            assert link.address == "one"
    assert network.tried == ["one"]


async def test_one_that_refuses_is_passed_over():
    with Network(REFUSED, REFUSED, "good", "more") as network:
        async with Link("x", 1) as link:
            assert link.address == "good"
    assert network.tried == [REFUSED, REFUSED, "good"]


async def test_one_that_is_silent_has_its_share_of_the_time_only():
    with Network("silent", REFUSED, "good") as network:
        async with Link("x", 1, timeout_ms=300) as link:
            assert link.address == "good"
    assert network.tried == ["silent", REFUSED, "good"]


async def test_when_all_fail_the_last_reason_is_told():
    with Network("silent", REFUSED), raises(LinkLost) as info:
        async with Link("x", 1, timeout_ms=200):
            raise AssertionError
    assert str(info.exc) == "x:1: nobody listens there: does the server run?"
    with Network(REFUSED, "silent"), raises(LinkLost) as info:
        async with Link("::2", 1, timeout_ms=200):
            raise AssertionError
    assert str(info.exc) == "[::2]:1: no answer: is it on, and connected?"


async def test_an_error_without_words_of_its_own_is_told_as_it_is():
    with Network(OSError(9999, "very odd")), raises(LinkLost) as info:
        async with Link("x", 1):
            raise AssertionError
    assert str(info.exc).startswith("x:1: ")
    assert "very odd" in str(info.exc)


async def test_looking_up_the_name_is_part_of_the_time():
    class Slow(Network):
        async def _addresses(self, host, port):
            await forever()

    with Slow(), raises(LinkLost) as info:
        async with Link("x", 1, timeout_ms=10):
            raise AssertionError
    assert "no answer" in str(info.exc)
