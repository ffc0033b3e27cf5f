"""build_stack: what it builds, and what it says to a wrong config."""

from _flaky import FarEnd, Flaky
from _helpers import ON_DEVICE, raises
from _memory import pair

from moat.micro import rt
from moat.micro.cmd.msg import CmdMsg
from moat.micro.cmd.tree import BaseCmd, Dispatch
from moat.micro.errors import MessageTooLongError
from moat.micro.net.kinds import LINKS
from moat.micro.net.net import NetLink
from moat.micro.net.unix import UnixLink
from moat.micro.proto.msgpack import MsgpackMsgBlk, MsgpackMsgBuf
from moat.micro.stacks import ConfigError, build_stack

LOSSY = {"framing": "serialpacker", "reliable": True}


def layers(msg):
    """The names of the classes, from the top."""
    names = []
    while msg is not None:
        names.append(type(msg).__name__)
        msg = msg.parent
    return names


def refused(cfg, *words, link=None):
    """The config is refused, and all of `words` are in the reason."""
    with raises(ConfigError) as error:
        build_stack(cfg, link)
    for word in words:
        assert word in str(error.exc), (word, error.exc)


class App(BaseCmd):
    async def cmd_same(self, x):
        return x


async def works(cfg, peer=None, **options):
    """Calls go both ways over two such stacks."""
    a, b = pair(**options)
    root = Dispatch({"app": App()})
    near, far = CmdMsg(build_stack(cfg, a), root), CmdMsg(build_stack(peer or cfg, b), root)
    async with near, far:
        await near.ready()
        await far.ready()
        for cmd in (near, far):
            for value in (1, b"\xc1\xfa\x03" * 100, "x"):
                assert await cmd.call(["app", "same"], value) == value


def test_the_default_is_messagepack_on_the_link():
    link = pair()[0]
    msg = build_stack({}, link)
    assert isinstance(msg, MsgpackMsgBuf)
    assert msg.parent is link
    assert layers(build_stack({"link": link})) == layers(msg)


def test_all_layers_stand_in_their_order():
    cfg = {
        "link": {"kind": "unix", "path": "x"},
        "reconnect": True,
        "log": {"buf": "b", "blk": "k", "msg": "m"},
        "framing": {"kind": "serialpacker", "crc": 16},
        "reliable": {"window": 4},
    }
    found = layers(build_stack(cfg))
    assert found == [
        "LogMsg", "ReliableMsg", "MsgpackMsgBlk", "LogBlk", "SerialPackerBlkBuf", "LogBuf",
        "ReconnectBuf", "UnixLink",
    ]  # fmt: skip


def test_what_is_false_is_not_built():
    cfg = {"reconnect": False, "reliable": None, "log": False, "framing": None, "limit": None}
    assert layers(build_stack(cfg, pair()[0]))[:-1] == ["MsgpackMsgBuf"]


def test_a_limit_is_a_number_of_bytes():
    for limit in (0, -1, "64", 1.5, [1]):
        refused({"limit": limit}, "limit: %r is no number of bytes" % (limit,))


def test_the_config_stays_as_it_is():
    cfg = {"framing": {"kind": "serialpacker"}, "reliable": {"window": 4}}
    for _ in range(2):
        build_stack(cfg, pair()[0], persistent=True, chunk=9)
    assert cfg == {"framing": {"kind": "serialpacker"}, "reliable": {"window": 4}}


def test_links_get_their_options():
    link = build_stack({"link": {"kind": "unix", "path": "a", "timeout_ms": 5}}).parent
    assert isinstance(link, UnixLink)
    assert (link.path, link.timeout_ms) == ("a", 5)
    link = build_stack({"link": {"kind": "tcp", "host": "h", "port": 7}}).parent
    assert isinstance(link, NetLink)
    assert (link.host, link.port) == ("h", 7)


def test_a_kind_may_stand_alone():
    kind = "stdio" if ON_DEVICE else "unix"
    if ON_DEVICE:
        assert layers(build_stack({"link": kind})) == ["MsgpackMsgBuf", "StdioBuf"]
    else:
        refused({"link": kind}, "link: the kind 'unix' needs the key 'path'")


def test_options_come_before_defaults():
    cfg = {"reliable": {"window": 4}}
    msg = build_stack(cfg, pair()[0], window=9, persistent=True, gap_ms=77, crc=16)
    assert msg._options.window == 4
    assert msg._options.persistent
    assert msg.parent._gap_ms == 77


def test_the_limit_is_what_a_message_may_have():
    for cfg in ({}, {"reliable": True}, {"framing": "serialpacker"}, LOSSY):
        for limit in (100, 300, 4096):
            msg = build_stack(dict(cfg, limit=limit), pair()[0])
            assert msg.limit == limit
        assert build_stack(cfg, pair()[0]).limit == 4096
    assert build_stack({}, pair()[0], limit=1 << 20).limit == 1 << 20


def test_the_limit_of_blocks_does_not_depend_on_who_builds_them():
    assert build_stack(LOSSY, pair()[0], limit=1 << 20).limit == 4096


def test_a_small_packet_makes_a_small_limit():
    cfg = {"framing": {"kind": "serialpacker", "max_packet": 100}}
    msg = build_stack(cfg, pair()[0])
    assert isinstance(msg, MsgpackMsgBlk)
    assert msg.limit == msg.send_limit == 100


async def test_calls_work_over_every_stack():
    for framing in ("msgpack", "serialpacker", {"kind": "serialpacker", "crc": 16, "mark": 0}):
        for reliable in (False, True, {"window": 1}):
            await works({"framing": framing, "reliable": reliable})


async def test_calls_work_with_other_limits_at_both_ends():
    await works(dict(LOSSY, limit=400), dict(LOSSY, limit=900))


async def test_what_is_too_long_for_either_end_is_refused_and_the_rest_goes_on():
    root = Dispatch({"app": App()})
    for one, two in ((400, 900), (900, 400)):
        a, b = pair()
        near = CmdMsg(build_stack(dict(LOSSY, limit=one), a))
        async with near, CmdMsg(build_stack(dict(LOSSY, limit=two), b), root):
            await near.ready()
            with raises(MessageTooLongError):
                await near.call(["app", "same"], bytes(500))
            assert await near.call(["app", "same"], bytes(300)) == bytes(300)


async def test_a_cut_link_is_opened_again_and_no_call_fails():
    cable = Flaky()
    cfg = dict(LOSSY, reconnect={"base_ms": 1, "max_ms": 5, "keep_trying": True})
    near = CmdMsg(build_stack(cfg, cable))
    far = CmdMsg(build_stack(cfg, FarEnd(cable)), Dispatch({"app": App()}))
    async with near, far:
        await near.ready()
        for n in range(12):
            if n % 4 == 3:
                cable.cut()
            assert await near.call(["app", "same"], n) == n
        assert cable.log == ["enter", "leave"] * 3 + ["enter"]


def test_an_unknown_key_is_named_with_those_that_are_allowed():
    refused({"linkk": 1}, "stack: unknown key 'linkk'", "framing, limit, link, log")
    refused({"framing": {"kind": "msgpack", "crc": 16}}, "'crc'", "chunk", link=1)
    refused({"framing": {"kind": "serialpacker", "x": 1}}, "framing:", "crc", link=1)
    refused({"reliable": {"windows": 3}}, "reliable: unknown key 'windows'", "window", link=1)
    refused({"reconnect": {"max": 3}}, "reconnect: unknown key 'max'", "max_ms", link=1)
    refused({"log": {"frame": ""}}, "log: unknown key 'frame'", "blk, buf, msg", link=1)
    refused({"link": {"kind": "unix", "host": ""}}, "link: unknown key 'host'", "path")


def test_a_kind_that_does_not_exist_here_is_named_with_those_that_do():
    refused({"link": {"kind": "pigeon"}}, "link: unknown kind 'pigeon'", "tcp, unix")
    refused({"link": {"path": "x"}}, "link:", "no key 'kind'", "tcp, unix")
    refused({"link": "process" if ON_DEVICE else "stdio"}, "unknown kind")
    refused({"link": 5}, "link: 5")
    refused({"framing": "cobs"}, "framing: unknown kind 'cobs'", "msgpack, serialpacker", link=1)


def test_a_link_that_lacks_something_says_what():
    refused({}, "link: this key is missing", "unix")
    refused({"link": {"kind": "tcp", "host": "h"}}, "'tcp' needs the key 'port'")


def test_two_links_are_one_too_many():
    refused({"link": "unix"}, "link: it is given already", link=1)


def test_what_is_no_dict_is_refused():
    refused("msgpack", "stack: 'msgpack' is no dict")
    refused({"reliable": 5}, "reliable: 5 is no dict", link=1)
    refused({"log": True, "framing": 7}, "framing: 7", link=1)


def test_blocks_that_are_not_there_cannot_be_logged():
    refused({"log": {"blk": "x"}}, "log:", "no blocks", link=1)


def test_a_bad_value_is_the_layer_s_to_name():
    with raises(ValueError) as error:
        build_stack({"framing": {"kind": "serialpacker", "crc": 8}}, 1)
    assert "CRC" in str(error.exc)
    with raises(ValueError):
        build_stack(dict(LOSSY, limit=40000), 1)


def test_both_sides_have_the_links_of_the_network():
    assert {"tcp", "unix"} <= set(LINKS)
    assert ("stdio" in LINKS) == ON_DEVICE
    assert ("process" in LINKS) != ON_DEVICE


async def test_a_stack_can_be_opened_again():
    a, b = pair(hangs_up=False)
    near, far = build_stack(LOSSY, a), build_stack(LOSSY, b)
    for n in range(2):
        async with near, far:
            await near.send(n)
            assert await far.recv() == n
            await rt.sleep_ms(0)
