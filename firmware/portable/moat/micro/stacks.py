"""`build_stack`: a stream of messages from a small config.

    {
        "link": {"kind": "tcp", "host": "room.local", "port": 4321},
        "reconnect": {"max_ms": 2000},
        "framing": {"kind": "serialpacker", "crc": 16},
        "reliable": {"window": 16},
        "limit": 1024,
        "log": {"msg": "room"},
    }

Every key may be missing. The layers are, from the bottom; their options are those of the classes:

    link        {"kind": K, …}, or K alone: a link of this side, see net/kinds.py; or a byte
                stream. Left out where the link is given otherwise.
    reconnect   True or options: ReconnectBuf
    framing     {"kind": "msgpack", …}, the default: MsgpackMsgBuf
                {"kind": "serialpacker", …}: SerialPackerBlkBuf and MsgpackMsgBlk
                Or a kind alone.
    reliable    True or options: ReliableMsg

and beside them

    carries     what the whole is: "messages" (the default); or one without the layers above:
                "blocks", of the framing serialpacker (then the default), or "bytes"
    limit       bytes of the longest message, 4096 by default. The layers below get what they
                need for their own. With "serialpacker" it goes for both directions.
    log         {"buf": NAME, "blk": NAME, "msg": NAME}, any of them: a LogBuf below the framing,
                a LogBlk in it, a LogMsg at the top

The two ends need the same framing, with the same `max_packet`, `frame_start`, `mark` and `crc`
(or `prefix`), and both a ReliableMsg or none. None and False are the same as leaving a key out.
What is not used is not imported.
"""

from moat.micro.const import const
from moat.micro.errors import MoatError

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

_STACK = const("carries framing limit link log reconnect reliable")
_LOG = const("blk buf msg")
_RECONNECT = const("base_ms eof factor give_up_ms jitter keep_trying max_ms on_state retries")
_RELIABLE = const("down_ms keepalive_ms linger_ms persistent queue silence_ms window")
_FRAMING = {
    "msgpack": "chunk console ctrl_c gap_ms prefix",
    "serialpacker": "chunk console crc ctrl_c frame_start mark max_idle max_packet",
}

_LIMIT = const(4096)


class ConfigError(MoatError):
    """The config of a stack makes no sense; the message names the key, and what is allowed."""


def build_stack(cfg: "dict[str, Any]", link: "Any" = None, **defaults: "Any") -> "Any":
    """Return the stack, by default a stream of messages, that is not open yet.

    Args:
        cfg: the config, see above; it is not changed.
        link: the byte stream at the bottom, instead of the config's.
        defaults: options for those layers that the config has, where it says nothing about them;
            what applies to none of them is ignored.

    Raises:
        ConfigError: a key is unknown, missing, or of the wrong kind.
        ValueError: a layer does not take the value of an option.
    """
    _check(cfg, "stack", _STACK)
    if cfg.get("carries", "messages") != "messages":
        from moat.micro.carries import check

        check(cfg)
    limit = cfg.get("limit")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ConfigError("limit: %r is no number of bytes" % (limit,))
    log = _options(cfg, "log", _LOG, {}) or {}
    reliable = _options(cfg, "reliable", _RELIABLE, defaults)
    reconnect = _options(cfg, "reconnect", _RECONNECT, defaults)
    stream = _link(cfg.get("link"), link)
    if reconnect is not None:
        from moat.micro.proto.reconnect import ReconnectBuf

        stream = ReconnectBuf(stream, **reconnect)
    stream = _logged(stream, log, "buf")
    if cfg.get("carries") == "bytes":
        return stream
    if reliable is None:
        stream = _framed(stream, cfg, log, 0, defaults)
    else:
        from moat.micro.proto.reliable import OVERHEAD, ReliableMsg

        stream = ReliableMsg(_framed(stream, cfg, log, OVERHEAD, defaults), **reliable)
    return _logged(stream, log, "msg")


def _framed(stream, cfg, log, more, defaults):
    """Return the codec, for messages that get `more` bytes longer on their way to it."""
    blocks = cfg.get("carries") == "blocks"
    default = "serialpacker" if blocks else "msgpack"
    kind, section = _kind(cfg.get("framing") or default, "framing", _FRAMING)
    options = _merged(section, "framing", "kind " + _FRAMING[kind], defaults)
    limit = cfg.get("limit")
    if kind == "msgpack":
        if "blk" in log or blocks:
            what = "framing" if blocks else "log"
            raise ConfigError("%s: 'msgpack' has no blocks, 'serialpacker' has" % what)
        from moat.micro.proto.msgpack import MsgpackMsgBuf

        return MsgpackMsgBuf(stream, (limit or defaults.get("limit", _LIMIT)) + more, **options)
    from moat.micro.proto.serialpacker import SerialPackerBlkBuf

    # Not from the defaults: it is the same at both ends if nobody has said anything.
    limit = (limit or _LIMIT) + more
    options.setdefault("max_packet", limit)
    stream = _logged(SerialPackerBlkBuf(stream, **options), log, "blk")
    if blocks:
        return stream
    from moat.micro.proto.msgpack_blk import MsgpackMsgBlk

    return MsgpackMsgBlk(stream, limit)


def _link(spec, link):
    if link is not None:
        if spec is not None:
            raise ConfigError("link: it is given already, leave this key out")
        return link
    if hasattr(spec, "rd"):
        return spec
    from moat.micro.net.kinds import LINKS

    return make(spec, LINKS)


def make(spec: "Any", kinds: "dict[str, Any]", *args: "Any") -> "Any":
    """Return what the section `link` of a config stands for; errors are those of build_stack.

    Args:
        spec: the section.
        kinds: kind -> ("module:Class", options that it needs, other options).
        args: further arguments, the first ones.
    """
    kind, section = _kind(spec, "link", kinds)
    where, needed, others = kinds[kind]
    options = _merged(section, "link", "kind %s %s" % (needed, others), {})
    for key in needed.split():
        if key not in options:
            raise ConfigError("link: the kind '%s' needs the key '%s'" % (kind, key))
    module, name = where.split(":")
    return getattr(__import__(module, None, None, (name,)), name)(*args, **options)


def _logged(stream, log, layer):
    if layer not in log:
        return stream
    from moat.micro.proto import log as layers

    cls = {"buf": layers.LogBuf, "blk": layers.LogBlk, "msg": layers.LogMsg}[layer]
    return cls(stream, log[layer])


def _kind(spec, where, kinds):
    """Return a section and its kind; a kind may stand alone."""
    section = {"kind": spec} if isinstance(spec, str) else spec
    kind = section.get("kind") if isinstance(section, dict) else None
    if kind in kinds:
        return kind, section
    if spec is None:
        wrong = "this key is missing"
    elif kind is None:  # its values may be secrets
        wrong = "%r has no key 'kind'" % (sorted(spec) if isinstance(spec, dict) else spec,)
    else:
        wrong = "unknown kind '%s'" % (kind,)
    raise ConfigError("%s: %s; the kinds here are: %s" % (where, wrong, ", ".join(sorted(kinds))))


def _options(cfg, key, allowed, defaults):
    """Return the options of a layer; None when there is to be none."""
    section = cfg.get(key)
    if section is None or section is False:
        return None
    return _merged({} if section is True else section, key, allowed, defaults)


def _merged(section, where, allowed, defaults):
    """Return the options of a section and the defaults that apply, without the kind."""
    _check(section, where, allowed)
    known = allowed.split()
    options = {key: defaults[key] for key in defaults if key in known}
    options.update(section)
    options.pop("kind", None)
    return options


def _check(section, where, allowed):
    if not isinstance(section, dict):
        raise ConfigError("%s: %r is no dict" % (where, section))
    known = allowed.split()
    for key in section:
        if key not in known:
            raise ConfigError(
                "%s: unknown key '%s'; allowed: %s" % (where, key, ", ".join(sorted(known)))
            )
