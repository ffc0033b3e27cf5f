"""What a config says about apps.

    {
        "apps": {"room": "app.room:App", "lamps": "app.lamp:App", "garden": "dir"},
        "room": {"pin": 4, "restart": {"retries": None}},
        "lamps": [{"pin": 5}, {"pin": 6}],
        "garden": {"apps": {"pump": "app.pump:App"}, "pump": {"pin": 7}},
    }

`apps` names the class of each app, "module:Class"; the section with the app's name has its
settings. A list of sections is an array of such apps. "dir" is a directory: its section has
`apps` and sections of its own. Three keys of a section are not for the app:

    restart   False: when the app fails, it stays so. Or a map of
              base_ms, factor, max_ms, jitter, give_up_ms, retries: see Backoff. By default 1000,
              2, 30000, 50, None, 3; the app is as new when it has been up for `max_ms`.
              essential: False: the others go on when the app has failed for good
    lazy      True: the app is loaded when it is first used. It cannot have anything that runs.
    needs     dotted name of an app, or a list of such: this one is started when they are ready
"""

from moat.micro.const import const
from moat.micro.proto._reconnect import Backoff

_TYPING = const(0)  # true for type checkers only
if _TYPING:
    from typing import Any

SECRETS = ("key", "password", "secret")  # no names of apps; see _config

_RESTART = "base_ms essential factor give_up_ms jitter max_ms retries"


def parse(cfg: "Any", where: str = "", reserved: "tuple[str, ...]" = ()) -> "dict[Any, Any]":
    """Return name -> (class, settings, restart, lazy, needs), or a dict of such for a directory.

    `settings` is a dict, or None when there are none; `restart` a dict of options, or None;
    `needs` a tuple of names.

    Args:
        cfg: the config, or the section of a directory.
        where: the dotted path to it, for errors.
        reserved: names that apps cannot have.

    Raises:
        ValueError: it makes no sense; the message names the place.
    """
    _check(cfg, dict, where or "the config", "a map")
    apps = cfg.get("apps")
    place = "%s.apps" % where if where else "apps"
    _check({} if apps is None else apps, dict, place, "a map")
    entries = {}
    for name, spec in (apps or {}).items():
        if not isinstance(name, str) or not name or name in SECRETS + ("apps",) + reserved:
            raise ValueError("%s: %r cannot be the name of an app" % (place, name))
        _check(spec, str, "%s.%s" % (place, name), 'a text, "module:Class" or "dir"')
        entries[name] = _entry(spec, cfg.get(name), "%s.%s" % (where, name) if where else name)
    if not where:
        _check_needs(entries)
    return entries


def device_name(cfg: "dict[str, Any]") -> "str | None":
    """Return what the config calls the device: its `name`, where that is no app's section."""
    name = cfg.get("name")
    return name if isinstance(name, str) else None


def _entry(spec, section, where):
    if isinstance(section, list):
        return {i: _entry(spec, part, "%s.%d" % (where, i)) for i, part in enumerate(section)}
    settings = {} if section is None else section
    _check(settings, dict, where, "a map, or a list of maps")
    if spec == "dir":
        return parse(settings, where)
    module, _, name = spec.partition(":")
    if not module or not name or ":" in name:
        raise ValueError('%s: %r is no class; write "module:Class", or "dir"' % (where, spec))
    settings = dict(settings)
    restart = _restart(settings.pop("restart", True), where + ".restart")
    lazy = settings.pop("lazy", False)
    _check(lazy, bool, where + ".lazy", "true or false")
    needs = settings.pop("needs", None) or ()
    needs = (needs,) if isinstance(needs, str) else needs
    _check(needs, (list, tuple), where + ".needs", "the name of an app, or a list of such")
    for name in needs:
        _check(name, str, where + ".needs", "the name of an app")
    if lazy and needs:
        raise ValueError("%s.needs: it cannot be lazy" % where)
    return spec, settings or None, restart, lazy, tuple(needs)


def _check_needs(entries):
    """What is needed exists, and nothing waits for itself."""
    flat = {}
    _flatten(entries, "", flat)
    if any(flat.values()):
        done = set()
        for name in flat:
            _follow(name, flat, (), done)


def _flatten(entries, where, flat):
    for key, entry in entries.items():
        name = where + str(key)
        if isinstance(entry, dict):
            _flatten(entry, name + ".", flat)
        else:
            flat[name] = entry[4]


def _follow(name, flat, way, done):
    if name in way:
        raise ValueError("%s.needs: these wait for each other: %s" % (name, ", ".join(way)))
    if name in done:
        return
    for need in flat[name]:
        below = [n for n in flat if n == need or n.startswith(need + ".")]
        if not below:
            raise ValueError("%s.needs: there is no app '%s'" % (name, need))
        for n in below:
            _follow(n, flat, way + (name,), done)
    done.add(name)


def _restart(options, where):
    if options is False:
        return None
    if options is None or options is True:
        options = {}
    _check(options, dict, where, "a map, or false")
    known = _RESTART.split()
    for key in options:
        if key not in known:
            raise ValueError("%s: unknown key '%s'; allowed: %s" % (where, key, ", ".join(known)))
    try:
        backoff(options)
    except (TypeError, ValueError) as exc:
        raise ValueError("%s: %s" % (where, exc))
    return options


def backoff(options: "dict[str, Any]") -> Backoff:
    """Return what decides about restarts."""
    all_options = {"base_ms": 1000, "max_ms": 30000, "retries": 3}
    all_options.update(options)
    all_options.pop("essential", None)
    return Backoff(**all_options)


def _check(x, kind, where, what):
    if not isinstance(x, kind):
        # What is below it may be a secret.
        x = "a map" if isinstance(x, dict) else "a list" if isinstance(x, list) else repr(x)
        raise ValueError("%s: %s is not %s" % (where, x, what))
