"""Properties of the config core, on configs of any shape."""

import copy
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from msgpack import packb

from moat.micro.cmd._config import HIDDEN, LIMIT, SECRETS, Config

MARK = "classified"
scalars = st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5)
names = st.sampled_from(["a", "b", "c", *SECRETS])


def mark(value: object) -> object:
    """Put MARK into every secret below `value`."""
    if isinstance(value, dict):
        return {k: secret(v) if k in SECRETS else mark(v) for k, v in value.items()}
    return [mark(v) for v in value] if isinstance(value, list) else value


def secret(value: object) -> object:
    return {"x": {MARK: value}} if isinstance(value, dict) else [MARK] if value == [] else MARK


values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=3) | st.dictionaries(names, v, max_size=3),
    max_leaves=8,
).map(mark)
configs = st.dictionaries(names, values, max_size=4).map(mark)
paths = st.lists(names | st.integers(-1, 3), max_size=4)


def outcome(fn: Callable[..., object], *args: object) -> object:
    """Return the result, or the error."""
    try:
        return fn(*args)
    except (LookupError, ValueError) as exc:
        return exc


@given(configs, paths)
def test_no_secret_is_ever_read(cfg: dict, path: list) -> None:
    config = Config(cfg)
    assert MARK not in repr(config.get())
    assert MARK not in repr(outcome(config.get, path))


@given(configs, paths, values)
def test_no_error_tells_a_secret(cfg: dict, path: list, value: object) -> None:
    assert MARK not in repr(outcome(Config(cfg).set, path, value))
    assert MARK not in repr(outcome(Config(cfg).delete, path))


@given(configs)
def test_what_was_read_can_be_written_back(cfg: dict) -> None:
    config = Config(copy.deepcopy(cfg))
    config.set([], config.get())
    assert config.data == cfg


@given(configs, paths, values)
def test_a_change_is_made_as_a_whole_or_not_at_all(cfg: dict, path: list, value: object) -> None:
    before = copy.deepcopy(cfg)
    config = Config(cfg)
    try:
        config.set(path, value)
    except (LookupError, ValueError):
        assert config.data == before
    else:
        if not set(path) & set(SECRETS):
            other = Config({"v": value}).get(["v"])
            assert config.get(path) == other
        assert len(packb(config.data)) <= LIMIT
    assert cfg == before  # whoever has the old one keeps it


@given(configs, paths)
def test_what_was_deleted_is_gone(cfg: dict, path: list) -> None:
    before = copy.deepcopy(cfg)
    config = Config(cfg)
    try:
        config.delete(path)
    except (LookupError, ValueError):
        assert config.data == before
    else:
        node = before
        for item in path[:-1]:
            node = node[item]
        del node[path[-1]]
        assert config.data == before


@given(configs, configs)
def test_no_secret_comes_from_elsewhere(cfg: dict, other: dict) -> None:
    """What is HIDDEN in a new config is what was at the same place, or is refused."""
    config = Config(copy.deepcopy(cfg))
    wish = Config(other).get()
    try:
        config.set([], wish)
    except ValueError:
        return
    assert same_secrets(wish, config.data, cfg)


def same_secrets(wish: object, now: object, old: object) -> bool:
    if wish == HIDDEN:
        return now in (old, HIDDEN)
    if isinstance(wish, dict) and isinstance(now, dict):
        was = old if isinstance(old, dict) else {}
        return all(same_secrets(v, now[k], was.get(k)) for k, v in wish.items())
    if isinstance(wish, list) and isinstance(now, list):
        was = old if isinstance(old, list) and len(old) == len(now) else [None] * len(now)
        return all(map(same_secrets, wish, now, was))
    return wish == now
