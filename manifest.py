# SPDX-License-Identifier: Apache-2.0
# What every image freezes: the portable and the device tree, and asyncio. A board's
# manifest includes this and adds its own. It may leave parts out, to save flash:
#
# include("../../manifest.py", links=False, …), by these options:
#
# config     apps from a config file; without it those in /app, and no other settings
# hardware   apps for pins, buses and networks; they need `config`
# links      links to other devices, rights and keys; they need `config`
# lossy      frames with a checksum, and the session that repairs a bad line
#
# Optimisation level 1 drops asserts (docstrings and annotations never cost anything).
# Level 3 (opt=3) would drop line numbers, too: they cost 7 % of the frozen code, and an
# error that was raised on a device is worth reading.
import re
from pathlib import Path

options.defaults(config=True, hardware=True, links=True, lossy=True, opt=1)

# Part -> what belongs to it, below moat/micro; the first that fits counts.
_PARTS = {
    "hardware": r"hw|app/(_attempts|_edges|_settings|adc|ethernet|i2c|neopixel|network|"
    r"pin|pwm|spi|wlan)",
    "config": r"launch|ports|report|watchdog|app/cfg|proto/_reconnect|"
    r"cmd/(_config|_entries|apps|cfg|config|keeper)",
    "links": r"app/(link|peer|port|server)|cmd/(_auth|auth|relay|rights)|net/.*|"
    r"proto/(_log|log|reconnect|sink|stream)",
    "lossy": r"proto/(_crc16.*|_handshake|_past|_patience|_reliable|_serialpacker.*|"
    r"_window|reliable|serialpacker)",
}
_SHARED = {"carries": ("links", "lossy"), "stacks": ("links", "lossy")}


def _is_wanted(file):
    name = file.with_suffix("").as_posix().removeprefix("moat/micro/")
    parts = _SHARED.get(name)
    if parts is None:
        parts = [next((part for part, names in _PARTS.items() if re.fullmatch(names, name)), None)]
    return any(part is None or getattr(options, part) for part in parts)


def _wanted(tree):
    files = (file.relative_to(tree) for file in Path(tree).rglob("*.py"))
    return tuple(sorted(file.as_posix() for file in files if _is_wanted(file)))


include("$(MPY_DIR)/extmod/asyncio")
for _tree in ("firmware/portable", "firmware/device"):
    freeze(_tree, _wanted(_tree), opt=options.opt)
