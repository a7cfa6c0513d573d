"""Typed records: every value arrives in the type of its field, or is refused by its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from glpn.errors import ConfigError, MissingInput
from glpn.records import decode, read_json, read_toml, typed


@dataclass(frozen=True)
class Inner:
    rate: float = 1.0


@dataclass(frozen=True)
class Outer:
    count: int = 1
    name: str | None = None
    size: tuple[int, int] | None = None
    scales: tuple[float, ...] = ()
    either: str | tuple[float, ...] = ""
    ratio: int | float = 4
    flag: bool = False
    inner: Inner = field(default_factory=Inner)
    weights: Mapping[str, float] = field(default_factory=dict)


def test_values_arrive_in_the_types_of_their_fields() -> None:
    record = decode(
        Outer,
        {
            "count": 3.0,
            "name": "none",
            "size": [4, 5],
            "scales": [1, 2.5],
            "either": [1, 2],
            "ratio": 10,
            "flag": True,
            "inner": {"rate": 2},
            "weights": {"a": 1},
        },
    )
    assert record == Outer(
        3, None, (4, 5), (1.0, 2.5), (1.0, 2.0), 10, True, Inner(2.0), {"a": 1.0}
    )
    assert type(record.count) is int
    assert type(record.inner.rate) is float
    assert (type(record.ratio), type(typed("ratio", 10.0, int | float))) == (int, float)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 3}, "unknown key 'cuont': did you mean 'count'"),
        ({"inner": {"raet": 3}}, "unknown key 'inner.raet': did you mean 'inner.rate'"),
        ({"count": 3.5}, "count: expected a whole number, got 3.5"),
        ({"count": True}, "count: expected a whole number, got True"),
        ({"count": "3"}, "count: expected a whole number, got '3'"),
        ({"inner": {"rate": float("nan")}}, "inner.rate: expected a finite number"),
        ({"inner": {"rate": 10**400}}, "inner.rate: expected a finite number"),
        ({"inner": 3}, "inner: expected a table, got 3"),
        ({"weights": {"a": "b"}}, "weights.a: expected a finite number"),
        ({"size": [1]}, "size: expected 2 values"),
        ({"size": 3}, "size: expected a list"),
        ({"flag": 1}, "flag: expected true or false"),
        ({"name": 7}, "name: expected a string"),
        ([], "expected a table"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_key(
    values: dict[str, Any] | list[Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        decode(Outer, values)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 200  # a long value is not echoed in full


def test_bad_toml_is_refused_by_file(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"absent\.toml"):
        read_toml(tmp_path / "absent.toml")
    for text in (b"a = ", b"\xff", b"a = " + b"[" * 100_000):
        (tmp_path / "bad.toml").write_bytes(text)
        with pytest.raises(ConfigError, match=r"bad\.toml"):
            read_toml(tmp_path / "bad.toml")


HUGE = "9" * 400


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' + HUGE + "}",
        '{"a": ' + "9" * 5000 + "}",
        '{"a": 1e' + HUGE + "}",
        '{"a": 1e400}',
        '{"a": 0.' + HUGE + "}",
        "[" * 100_000,
        '{"a": ' * 100_000,
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        "\ufeff{",
        "",
    ],
)
def test_hostile_json_is_refused_with_the_name_of_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"odd\.json: ") as raised:
        read_json(path)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "text",
    [
        "a = " + HUGE,
        "a = " + "9" * 5000,
        "a = [[{b = " + HUGE + "}]]",
        "a = 0." + HUGE,
        "a = " + "[" * 100_000,
        "a = " + "{a=" * 100_000,
        "a" + ".a" * 100_000 + " = 1",
        "a = 1\na = 2",
        "a = ",
    ],
)
def test_hostile_toml_is_refused_with_the_name_of_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=r"odd\.toml: ") as raised:
        read_toml(path)
    assert len(str(raised.value)) < 500


def test_a_file_that_is_no_utf8_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "odd.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(ConfigError, match=r"odd\.json"):
        read_json(path)
