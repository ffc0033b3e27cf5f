"""When a WLAN station connects: the core, with the numbers of two ports."""

from moat.micro.app._attempts import Attempts, Failures
from moat.micro.proto._reconnect import Backoff


class Rp2:
    STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 0, 1, 3
    STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD, STAT_CONNECT_FAIL = -2, -3, -1


class Esp32:
    STAT_IDLE, STAT_CONNECTING, STAT_GOT_IP = 1000, 1001, 1010
    STAT_NO_AP_FOUND, STAT_WRONG_PASSWORD, STAT_CONNECT_FAIL = 201, 202, 203
    STAT_BEACON_TIMEOUT, STAT_HANDSHAKE_TIMEOUT = 200, 204


def attempts(network=Rp2, limit_ms=5000):
    backoff = Backoff(base_ms=1000, max_ms=4000, jitter=0)
    return Attempts(Failures(network), backoff, lambda a, b: a - b, limit_ms)


def test_the_numbers_mean_the_same_on_both_ports():
    one, two = Failures(Rp2), Failures(Esp32)
    for name in ("NO_AP_FOUND", "WRONG_PASSWORD", "CONNECT_FAIL"):
        text = one.why(getattr(Rp2, "STAT_" + name))
        assert text
        assert text == two.why(getattr(Esp32, "STAT_" + name))
    for name in ("IDLE", "CONNECTING", "GOT_IP"):
        assert one.why(getattr(Rp2, "STAT_" + name)) is None
        assert two.why(getattr(Esp32, "STAT_" + name)) is None
    assert one.why(2) is None  # connected, no address yet
    assert two.why(2) == "error 2"
    assert two.why(200) == "the access point is gone"


def test_it_connects_at_once_and_is_up():
    a = attempts()
    assert a.state == "waiting"
    assert a.step(0, 0, False, 0) == "connect"
    assert a.state == "connecting"
    assert a.step(200, 1, False, 0) is None
    assert a.step(400, 3, True, 0) is None
    assert (a.state, a.why) == ("up", None)


def test_after_a_failure_it_waits_longer_and_longer():
    a = attempts()
    now = 0
    for delay in (1000, 2000, 4000, 4000):
        assert a.step(now, 0, False, 0) == "connect"
        now += 300
        assert a.step(now, -3, False, 0) == "disconnect"
        assert (a.state, a.why) == ("waiting", "the password is wrong")
        assert a.step(now + delay - 1, 0, False, 0) is None
        now += delay


def test_an_attempt_does_not_take_for_ever():
    a = attempts()
    a.step(0, 0, False, 0)
    assert a.step(4999, 1, False, 0) is None
    assert a.step(5000, 1, False, 0) == "disconnect"
    assert a.why == "no connection within 5000 ms"


def test_the_error_of_the_attempt_before_is_not_taken_for_a_new_one():
    a = attempts(Esp32)
    a.step(0, 1000, False, 0)
    assert a.step(10, 201, False, 0) == "disconnect"
    assert a.step(1010, 201, False, 0) == "connect"
    assert a.step(1200, 201, False, 0) is None
    assert a.step(2509, 201, False, 0) is None
    assert a.step(2510, 201, False, 0) == "disconnect"  # it is a new one after all
    assert a.step(4510, 201, False, 0) == "connect"
    assert a.step(4600, 202, False, 0) == "disconnect"
    assert a.why == "the password is wrong"


def test_a_lost_connection_is_tried_again_after_the_first_delay():
    a = attempts()
    a.step(0, 0, False, 0)
    a.step(1, -2, False, 0)
    a.step(1001, 0, False, 0)
    a.step(1002, 3, True, 0)
    assert a.step(9000, 0, False, 0) == "disconnect"
    assert a.why == "the connection is lost"
    assert a.step(9999, 0, False, 0) is None
    assert a.step(10000, 0, False, 0) == "connect"


def test_a_connection_that_does_not_last_is_no_success():
    a = attempts()
    now = 0
    for delay in (1000, 2000, 4000):
        assert a.step(now, 0, False, 0) == "connect"
        a.step(now, 3, True, 0)
        assert a.step(now + 100, 0, False, 0) == "disconnect"
        now += 100 + delay


def test_it_could_not_even_begin():
    a = attempts()
    a.step(0, 0, False, 0)
    a.failed(0, "OSError: busy", 0)
    assert (a.state, a.why) == ("waiting", "OSError: busy")
    assert a.step(999, 0, False, 0) is None
    assert a.step(1000, 0, False, 0) == "connect"
