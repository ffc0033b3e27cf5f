"""Dotted paths."""

from _helpers import raises

from moat.micro.cmd.path import P, dotted, missing

GOOD = (
    ("sys", ["sys"]),
    ("sys.ping", ["sys", "ping"]),
    ("adc.0.read", ["adc", 0, "read"]),
    ("a.-12.x", ["a", -12, "x"]),
    ("a.007.-", ["a", "007", "-"]),
    ('"x.y"', ["x.y"]),
    ('a."7"."".b', ["a", "7", "", "b"]),
    ('"q\\"u\\\\o".x', ['q"u\\o', "x"]),
    ("größe.µ", ["größe", "µ"]),
)


def test_a_dotted_path_is_a_list_of_items():
    for text, items in GOOD:
        assert P(text).items == items, text


def test_the_items_give_the_same_path_again():
    for text, items in GOOD:
        assert P(dotted(items)).items == items, text
        assert P(str(P(text))) == P(text)


def test_what_is_no_path_is_refused():
    for text in ("", ".", "a.", ".a", "a..b", '"a', '"a\\', '"a"b', 'a"b"'):
        with raises(ValueError):
            P(text)


def test_near_matches_come_first():
    exc = missing("pnig", "sys", ["info", "ping", "reset", "gc"])
    assert str(exc) == "no 'pnig' in 'sys'; there is: ping, gc, info, reset"
    assert str(missing(3, "", [])) == "no '3'; there is: nothing"


def test_a_long_name_is_cut_and_takes_no_time():
    exc = missing("n" * 4000, "", ["name"] * 500)
    assert str(exc).startswith("no '%s...'; there is: name, " % ("n" * 60))
