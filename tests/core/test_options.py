"""Options: types and bounds in annotations, checked with the option's path."""

import math
from typing import Annotated, Literal

import pytest
from ml_collections import ConfigDict

from jaxembed import encoders
from jaxembed.core import options
from jaxembed.core.bounds import Bound, Fraction, Positive, PositiveFloat, SomeWidths
from jaxembed.core.errors import InputError


def make(
    *,
    count: Positive,
    share: Fraction,
    kind: Literal["a", "b"],
    depth: Literal[18, 34],
    widths: SomeWidths,
    scale: Annotated[float, Bound("in (0, 2]", lambda number: 0 < number <= 2)],
    flag: bool,
    plain: int = 0,
    real: float = 0.0,
    positive: PositiveFloat = 1.0,
):
    return count, share, kind, depth, widths, scale, flag


GOOD = {"count": 1, "share": 0, "kind": "b", "depth": 34, "widths": (3, 4), "scale": 2.0, "flag": True}


@pytest.mark.parametrize("section", [GOOD, ConfigDict(GOOD)])
def test_valid_options_are_passed_and_whole_numbers_become_floats_where_needed(section):
    made = options.call(make, section, what="config.x")
    assert made == (1, 0.0, "b", 34, (3, 4), 2.0, True)
    assert isinstance(made[1], float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "config.x.count must be > 0, got 0"),
        ({"count": 1.0}, "config.x.count must be a whole number, got 1.0"),
        ({"count": True}, "config.x.count must be a whole number, got True"),
        ({"share": 1}, "config.x.share must be in [0, 1), got 1"),
        ({"share": -0.1}, "config.x.share must be in [0, 1), got -0.1"),
        ({"share": math.nan}, "config.x.share must be a finite number, got nan"),
        ({"kind": "bb"}, "config.x.kind must be one of a, b; got 'bb' (did you mean 'b'?)"),
        ({"depth": 18.0}, "config.x.depth must be one of 18, 34; got 18.0"),
        ({"kind": []}, "config.x.kind must be one of a, b; got []"),
        ({"widths": ()}, "config.x.widths must not be empty"),
        ({"widths": (3, 0)}, "config.x.widths must be > 0, got (3, 0)"),
        ({"widths": [3]}, "config.x.widths must be a tuple of whole numbers, got [3]"),
        ({"scale": 0}, "config.x.scale must be in (0, 2], got 0"),
        ({"scale": 2.1}, "config.x.scale must be in (0, 2], got 2.1"),
        ({"flag": 1}, "config.x.flag must be True or False, got 1"),
        ({"count": 10**400}, "config.x.count must be <= 2147483647, got about 1e400"),
        ({"count": -(10**5000)}, "config.x.count must be > 0, got about -1e5000"),
        ({"widths": (3, 2**63)}, "config.x.widths must be <= 65536, got (3, 9223372036854775808)"),
        ({"widths": (3,) * 65}, "config.x.widths must be at most 64 long, got 65 numbers"),
        ({"plain": 2**31}, "config.x.plain must be in [-2147483648, 2147483647], got 2147483648"),
        ({"real": 10**400}, "config.x.real must be in [-3.4e+38, 3.4e+38], got about 1e400"),
        ({"real": 1e308}, "config.x.real must be in [-3.4e+38, 3.4e+38], got 1e+308"),
        ({"positive": 1e308}, "config.x.positive must be in [1e-12, 1e9], got 1e+308"),
        ({"positive": 5e-324}, "config.x.positive must be in [1e-12, 1e9], got 5e-324"),
        ({"kind": 10**5000}, "config.x.kind must be one of a, b; got about 1e5000"),
        ({"flag": ConfigDict({"a": {"b": 1}})}, "config.x.flag must be True or False, got {'a': {'b': 1}}"),
        ({"flag": "x" * 9999}, "config.x.flag must be True or False, got 'xxx"),
        ({10**5000: 1}, "config.x has no option about 1e5000; it takes: count, share, kind"),
        ({"cuont": 1}, "config.x has no option 'cuont' (did you mean 'count'?); it takes: count, share, kind"),
    ],
)
def test_invalid_options_are_named_with_their_path(change, message):
    with pytest.raises(InputError) as error:
        options.call(make, GOOD | change, what="config.x")
    assert str(error.value).startswith(message)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 500


def test_missing_options_and_values_instead_of_sections_are_named():
    with pytest.raises(InputError, match=r"config\.x lacks flag; got count, share"):
        options.call(make, {name: value for name, value in GOOD.items() if name != "flag"}, what="config.x")
    with pytest.raises(InputError, match=r"config\.x must be a section with count, share, .*; got 3"):
        options.call(make, 3, what="config.x")


def test_name_must_be_text():
    assert options.named({"name": "a", "b": 1}, what="config.x") == ("a", {"b": 1})
    with pytest.raises(InputError, match=r"config\.x\.name must be text, got 3"):
        options.named({"name": 3}, what="config.x")
    with pytest.raises(InputError, match=r"config\.x lacks a name; got b"):
        options.named({"b": 1}, what="config.x")


def test_functions_that_share_a_section_each_get_their_options():
    def first(*, a: int):
        """Take a."""

    def second(*, a: int, b: int):
        """Take a and b."""

    assert options.divide({"a": 1, "b": 2}, first, second, what="x") == [{"a": 1}, {"a": 1, "b": 2}]


def test_a_package_inside_a_registry_is_not_a_name(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").touch()
    (tmp_path / "one.py").touch()
    monkeypatch.setattr(encoders, "__path__", [str(tmp_path)])
    assert options.names(encoders) == ("one",)
