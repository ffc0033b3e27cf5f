"""The apps for networks, with a simulated `network`."""

from _apps import call
from _clock import Clock
from _helpers import raises, settle, until
from _pins import app, refused

import moat.micro.sim.network as network
from moat.micro import rt
from moat.micro.cmd.apps import build
from moat.micro.errors import NotReadyError

WLAN, AP, LAN = "wlan:WlanCmd", "wlan:AccessPoint", "ethernet:EthernetCmd"
HOME = {"ssid": "home", "password": "hunter2hunter2"}
POINT = {"password": "hunter2hunter2", "channel": 6, "rssi": -40}


def fresh(port="rp2", **air):
    """Make it a new board, with these access points."""
    network.use(port)
    network.air.update(air)


async def state(clock, a, wanted):
    """Let time go by until the app is in this state."""
    await settle()
    while (await a.call("status"))["state"] != wanted:
        await clock.next()


async def test_a_station_connects_and_is_ready_then():
    for port in ("rp2", "esp32"):
        fresh(port, home=POINT)
        with Clock() as clock:
            async with app(WLAN, **HOME) as a, rt.TaskGroup() as tasks:
                log = []

                async def wait(a=a, log=log):
                    log.append(await call(a.root, ["a", "rdy_"], True))

                assert await a.call("rdy_") == {"state": "starting"}
                tasks.start_soon(wait)
                await settle()
                assert log == []
                await state(clock, a, "up")
                await settle()
                assert log == [{"state": "ready"}]
                status = await a.call("status")
                assert (status["ssid"], status["rssi"]) == ("home", -40)
                assert status["ip"][0] == "192.168.4.16"
                if port == "esp32":  # it would try again by itself
                    assert network.WLAN(0).options["reconnects"] == 0
        assert not network.WLAN(0).active()


async def test_states_as_a_stream():
    for port in ("rp2", "esp32"):
        fresh(port)
        with Clock() as clock:
            async with app(WLAN, **HOME) as a, a.stream("watch") as st, rt.TaskGroup() as tasks:

                async def tick(clock=clock):
                    while True:
                        await settle()
                        await clock.next()

                task = tasks.start_soon(tick)
                seen = []
                while len(seen) < 8:
                    status = await st.recv()
                    seen.append((status["state"], status.get("why")))
                    if len(seen) == 3:
                        network.air["home"] = {"password": "another one", "channel": 1, "rssi": -9}
                    if len(seen) == 5:
                        network.air["home"] = POINT
                    if status["state"] == "up":
                        del network.air["home"]
                task.cancel()
        none, wrong = "there is no such access point", "the password is wrong"
        lost = "the connection is lost" if port == "rp2" else "the access point is gone"
        at = [x for x in seen if x[0] != "down"]
        at = at[at.index(("connecting", None)) :]
        assert at[1:3] == [("waiting", none), ("connecting", none)]
        assert ("waiting", wrong) in at
        assert ("up", None) in at
        assert at[-1] in (("up", None), ("waiting", lost), ("connecting", lost))


async def test_it_comes_back_after_the_access_point_was_gone():
    for port in ("rp2", "esp32"):
        fresh(port, home=POINT)
        with Clock() as clock:
            async with app(WLAN, **HOME) as a:
                await state(clock, a, "up")
                del network.air["home"]
                await state(clock, a, "waiting")
                await state(clock, a, "connecting")
                await state(clock, a, "waiting")
                status = await call(a.root, ["a", "rdy_"])
                assert status["error"] == "there is no such access point"
                network.air["home"] = POINT
                await state(clock, a, "up")


async def test_an_open_network_and_what_the_settings_say():
    fresh(cafe={"password": "", "channel": 1, "rssi": -60})
    four = ["10.0.0.5", "255.255.255.0", "10.0.0.1", "10.0.0.1"]
    options = {"country": "DE", "hostname": "room", "static": four, "power_save": False}
    with Clock() as clock:
        async with app(WLAN, ssid="cafe", **options) as a:
            await state(clock, a, "up")
            assert (await a.call("status"))["ip"] == four
            assert network.settings == {"country": "DE", "hostname": "room"}
            assert network.WLAN(0).config("pm") == network.WLAN.PM_NONE


async def test_scan():
    fresh(home=POINT, cafe={"password": "", "channel": 1, "rssi": -60})
    async with app(WLAN, **HOME) as a:
        assert sorted(await a.call("scan")) == [["cafe", 1, -60, 0], ["home", 6, -40, 3]]


async def test_an_error_of_the_driver_is_told_and_tried_again():
    fresh("esp32", home=POINT)
    with Clock() as clock:
        async with app(WLAN, **HOME) as a:
            network.WLAN(0).active(False)
            while (await a.call("status")).get("why") != "OSError: Wifi Not Started":
                await clock.next()
            network.WLAN(0).active(True)
            await state(clock, a, "up")


async def test_stopping_ends_a_stream_and_those_who_wait():
    fresh()
    async with app(WLAN, **HOME) as a, rt.TaskGroup() as tasks:
        log = []

        async def wait():
            try:
                await call(a.root, ["a", "rdy_"], True)
            except NotReadyError:
                log.append("not ready")

        tasks.start_soon(wait)
        async with a.stream("watch") as st:
            await st.recv()
            await call(a.root, ["a", "stp_"])
            with raises(NotReadyError):
                while True:
                    await st.recv()
        await until(lambda: log)
        assert not network.WLAN(0).active()


async def test_an_access_point():
    fresh()
    async with app(AP, channel=11, **HOME) as a:
        await call(a.root, ["a", "rdy_"], True)
        nic = network.WLAN(1)
        assert nic.options["security"] == network.WLAN.SEC_WPA_WPA2
        assert (nic.options["ssid"], nic.options["channel"]) == ("home", 11)
        nic.options["clients"] = [("a",), ("b",)]
        status = await a.call("status")
        assert (status["state"], status["clients"], status["ssid"]) == ("up", 2, "home")
    assert not network.WLAN(1).active()
    async with app(AP, ssid="all", open=True) as a:
        await call(a.root, ["a", "rdy_"], True)
        assert network.WLAN(1).options["security"] == network.WLAN.SEC_OPEN


async def test_ethernet():
    fresh()
    network.cable["plugged"] = False
    with Clock() as clock:
        async with app(LAN, phy_type="LAN8720", phy_addr=1, mdc=23, id=0) as a:
            await state(clock, a, "waiting")
            assert (await a.call("rdy_"))["error"] == "there is no link"
            network.cable["plugged"] = True
            await state(clock, a, "up")
            network.cable["plugged"] = False
            await state(clock, a, "waiting")
            assert network.LAN.nic.options["phy_addr"] == 1


async def test_who_needs_the_network_is_started_when_it_is_up():
    fresh()
    apps = {"wifi": "moat.micro.app." + WLAN, "b": "_apps:Plain"}
    cfg = {"apps": apps, "wifi": HOME, "b": {"needs": "wifi"}}
    with Clock() as clock:
        async with build(cfg) as root:
            for _ in range(5):
                await settle()
                await clock.next()
            assert (await call(root, ["b", "rdy_"]))["waits_for"] == "wifi"
            network.air["home"] = POINT
            while (await call(root, ["b", "rdy_"]))["state"] != "ready":
                await settle()
                await clock.next()


async def test_settings_that_make_no_sense():
    fresh()
    secret = "xyzzy"
    for spec, settings, text in (
        (WLAN, {}, "ValueError: the key 'ssid' is missing"),
        (WLAN, {"ssid": "a" * 33}, "ValueError: ssid: this is no text of 1 to 32 bytes"),
        (WLAN, {"ssid": "a", "password": secret}, "ValueError: password: this is no text of 8 to"),
        (WLAN, {"ssid": "a", "retry": {"x": 1}}, "ValueError: retry: unknown key 'x'; allowed: "),
        (WLAN, {"ssid": "a", "retry": {"base_ms": 0}}, "ValueError: retry: "),
        (WLAN, {"ssid": "a", "static": ["1.2.3.4"]}, "ValueError: static: ['1.2.3.4'] is not"),
        (WLAN, {"ssid": "a", "static": ["1.2.3.4"] * 3 + ["1.2.3"]}, "ValueError: static: "),
        (AP, {"ssid": "a"}, "ValueError: an access point needs a `password`"),
        (
            AP,
            {"ssid": "a", "password": "a" * 8, "open": True},
            "ValueError: an access point needs",
        ),
        (LAN, {"phy_type": "X"}, "ValueError: phy_type: this board has no 'X'"),
        (LAN, {"kind": "wiznet5k"}, "NotImplementedError: this board has no network.WIZNET5K"),
    ):
        error = await refused(spec, **settings)
        assert error.startswith(text), error
        assert secret not in error
