"""The config by path, what is hidden in it, and what is refused."""

from _helpers import raises

from moat.micro.cmd._config import HIDDEN, LIMIT, Config
from moat.micro.cmd._entries import parse

CFG = {
    "apps": {"wifi": "app.wifi:App"},
    "wifi": {"ssid": "home", "password": "hunter2", "channels": [1, 6, 11]},
    "links": [{"port": 1, "key": b"k1"}, {"port": 2, "key": {"old": "k2"}}],
}


def config():
    c = Config()
    c.set([], CFG)
    return c


def missing(fn, *args):
    """Return index and choices of the item that does not exist."""
    with raises(LookupError) as info:
        fn(*args)
    i, exists = info.exc.args
    return i, sorted(exists)


def test_get_by_path():
    c = config()
    assert c.get(["wifi", "ssid"]) == "home"
    assert c.get(["wifi", "channels"]) == [1, 6, 11]
    assert c.get(["wifi", "channels", 1]) == 6
    assert c.get(["apps"]) == {"wifi": "app.wifi:App"}


def test_what_get_returns_is_a_copy():
    c = config()
    c.get(["wifi"])["ssid"] = "other"
    c.get(["wifi", "channels"]).append(3)
    c.get()["apps"] = None
    assert c.data == CFG


def test_secrets_are_hidden_however_deep():
    c = config()
    assert c.get(["wifi", "password"]) == HIDDEN
    assert c.get(["wifi"])["password"] == HIDDEN
    assert c.get(["links", 1]) == {"port": 2, "key": HIDDEN}
    assert c.get(["links", 1, "key", "old"]) == HIDDEN
    assert c.get(["links", 1, "key", "no", "such"]) == HIDDEN
    text = repr(c.get())
    for secret in ("hunter2", "k1", "k2", "old"):
        assert secret not in text


def test_no_error_tells_what_is_below_a_secret():
    c = config()
    for change in (c.delete, lambda path: c.set(path, 1)):
        with raises(ValueError) as info:
            change(["links", 1, "key", "older"])
        assert "old'" not in str(info.exc)
    assert c.data == CFG


def test_what_was_hidden_is_kept_when_it_is_written_back():
    c = config()
    c.set([], c.get())
    assert c.data == CFG
    wifi = c.get(["wifi"])
    wifi["ssid"] = "work"
    c.set(["wifi"], wifi)
    c.set(["links", 0, "key"], HIDDEN)
    assert c.data["wifi"] == {"ssid": "work", "password": "hunter2", "channels": [1, 6, 11]}
    assert c.data["links"] == CFG["links"]


def test_secrets_can_be_changed_and_removed():
    c = config()
    c.set(["wifi", "password"], "new")
    c.delete(["links", 0, "key"])
    c.set(["links", 1, "key"], None)
    assert c.data["wifi"]["password"] == "new"
    assert c.data["links"] == [{"port": 1}, {"port": 2, "key": None}]
    assert c.get(["links", 1, "key"]) is None


def test_no_secret_moves_to_another_section():
    c = config()
    for path, value in (
        (["links"], [{"port": 2, "key": HIDDEN}]),
        (["more"], {"key": HIDDEN}),
        (["key"], HIDDEN),
    ):
        with raises(ValueError):
            c.set(path, value)
    assert c.data == CFG


def test_set_makes_what_is_missing_on_the_way():
    c = Config()
    c.set(["a", "b", "c"], 1)
    c.set(["a", "list"], [])
    c.set(["a", "list", 0], {"x": 1})
    c.set(["a", "list", 1], 2)
    c.set(["a", "list", 0, "x"], 3)
    assert c.data == {"a": {"b": {"c": 1}, "list": [{"x": 3}, 2]}}


def test_delete_removes():
    c = config()
    c.delete(["wifi", "channels", 0])
    c.delete(["links"])
    assert c.data["wifi"]["channels"] == [6, 11]
    assert sorted(c.data) == ["apps", "wifi"]


def test_what_does_not_exist_is_named_by_its_index():
    c = config()
    assert missing(c.get, ["wifi", "ssd"]) == (1, sorted(CFG["wifi"]))
    assert missing(c.get, ["wifi", "channels", 3, 4]) == (2, [0, 1, 2])
    assert missing(c.get, ["wifi", "ssid", 0]) == (2, [])
    assert missing(c.get, ["links", -1]) == (1, [0, 1])
    assert missing(c.get, ["links", True]) == (1, [0, 1])
    assert missing(c.delete, ["nothing"]) == (0, sorted(CFG))
    assert missing(c.set, ["wifi", "channels", 4], 1) == (2, [0, 1, 2])
    assert missing(c.set, ["wifi", "ssid", "x"], 1) == (2, [])
    assert missing(c.set, [7], 1) == (0, sorted(CFG))
    assert c.data == CFG


def test_what_no_config_can_hold_is_refused():
    c = config()
    deep = []
    for _ in range(20):
        deep = [deep]
    for value in (object(), {1: 2}, {"": 1}, {None: 1}, 1 << 64, deep, {"a": [{"b": object()}]}):
        with raises(ValueError):
            c.set(["x"], value)
    for value in (None, 5, [], "text"):
        with raises(ValueError):
            c.set([], value)
    with raises(ValueError):
        c.set(["x", ""], 1)
    with raises(ValueError):
        c.delete([])
    assert c.data == CFG


def test_its_depth_is_bounded_whatever_the_path():
    for n in range(1, 13):
        config().set(["x"] * n, 1)
        with raises(ValueError):
            config().set(["x"] * n, deeper(13 - n))
        config().set(["x"] * n, deeper(12 - n))
    for n in (13, 40, 1000):
        with raises(ValueError):
            config().set(["x"] * n, 1)


def deeper(n):
    """Return lists of so many levels, or a scalar."""
    value = 1
    for _ in range(n):
        value = [value]
    return value


def test_its_size_is_bounded():
    c = config()
    with raises(ValueError) as info:
        c.set(["x"], bytes(LIMIT))
    assert "at most %d" % LIMIT in str(info.exc)
    assert c.data == CFG
    c.set(["x"], bytes(LIMIT - 200))


# ---- apps


def refused(cfg, *reserved):
    """Return why a config is refused."""
    with raises(ValueError) as info:
        parse(cfg, "", reserved)
    return str(info.exc)


def app(**section):
    return {"apps": {"a": "m:A"}, "a": section}


def test_entries():
    assert parse({}) == parse({"apps": None, "other": 1}) == {}
    assert parse({"apps": {"a": "m:A"}}) == {"a": ("m:A", None, {}, False, ())}
    assert parse(app(pin=1, restart=False, lazy=True)) == {
        "a": ("m:A", {"pin": 1}, None, True, ())
    }
    assert parse(app(restart=True)) == {"a": ("m:A", None, {}, False, ())}
    entries = parse({"apps": {"d": "dir", "l": "m:A"}, "d": app(x=1), "l": [None, {"y": 2}]})
    assert entries["d"] == {"a": ("m:A", {"x": 1}, {}, False, ())}
    assert entries["l"] == {0: ("m:A", None, {}, False, ()), 1: ("m:A", {"y": 2}, {}, False, ())}


def test_entries_tell_what_is_needed():
    apps = {"a": "m:A", "b": "m:B", "d": "dir"}
    below = {"apps": {"c": "m:C"}, "c": {"needs": ["a", "b"]}}
    entries = parse({"apps": apps, "a": {"needs": "b"}, "b": [{}], "d": below})
    assert entries["a"] == ("m:A", None, {}, False, ("b",))
    assert entries["d"]["c"] == ("m:C", None, {}, False, ("a", "b"))


def test_needs_that_make_no_sense():
    assert refused(app(needs=7)).startswith("a.needs: 7 is not the name of an app")
    assert refused(app(needs=[7])).startswith("a.needs: 7 is not the name of an app")
    assert refused(app(needs="b")) == "a.needs: there is no app 'b'"
    assert refused(app(needs="a")) == "a.needs: these wait for each other: a"
    assert refused(app(needs="b", lazy=True)) == "a.needs: it cannot be lazy"
    cfg = {"apps": {"a": "m:A", "b": "m:A", "c": "m:A"}, "b": [{"needs": "a"}]}
    cfg["a"] = {"needs": "b"}
    assert "wait for each other" in refused(cfg)
    cfg["a"] = {"needs": "b.1"}
    assert refused(cfg) == "a.needs: there is no app 'b.1'"


def test_entries_leave_the_config_as_it_is():
    cfg = app(pin=1, restart={"retries": 1}, lazy=False)
    parse(cfg)
    assert cfg == app(pin=1, restart={"retries": 1}, lazy=False)


def test_what_is_said_about_entries_shows_no_secret():
    for wrong in ({"key": "xyzzy"}, [{"key": "xyzzy"}]):
        for cfg in (
            {"apps": wrong},
            {"apps": {"a": wrong}},
            {"apps": {"d": "dir"}, "d": {"apps": wrong}},
            app(lazy=wrong),
            app(restart=wrong),
        ):
            assert "xyzzy" not in refused(cfg)


def test_entries_that_make_no_sense_name_the_place():
    assert refused(5).startswith("the config: 5 is not a map")
    assert refused({"apps": []}).startswith("apps: a list is not a map")
    assert refused({"apps": {"a": 5}}).startswith("apps.a: 5 is not a text")
    for spec in ("", "m", "m:", ":A", "m:A:B", "Dir"):
        assert refused({"apps": {"a": spec}}).startswith("a: %r is no class" % spec)
    for name in ("", "apps", "sys", "password", 7):
        assert refused({"apps": {name: "m:A"}}, "sys").startswith("apps: %r cannot be" % (name,))
    assert refused({"apps": {"a": "m:A"}, "a": 5}).startswith("a: 5 is not a map")
    assert refused({"apps": {"a": "m:A"}, "a": [1]}).startswith("a.0: 1 is not a map")
    assert refused({"apps": {"d": "dir"}, "d": {"apps": {"x": 1}}}).startswith("d.apps.x: 1")
    assert refused(app(lazy=1)).startswith("a.lazy: 1 is not true")
    assert refused(app(restart=7)).startswith("a.restart: 7 is not a map")
    assert refused(app(restart={"retry": 1})).startswith("a.restart: unknown key 'retry'")
    assert refused(app(restart={"base_ms": 0})).startswith("a.restart: ")
    assert refused(app(restart={"base_ms": "x"})).startswith("a.restart: ")
