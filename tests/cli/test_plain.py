"""Plain calls of `glpn predict`: read as typer reads them, or left to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from glpn.cli import plain
from glpn.cli.app import app
from glpn.cli.predicting import Wishes
from glpn.cli.verbs import predict

COMMAND = get_command(app)
NUMBERS = ["0", "1", "67", "0.5", "1000.25"]
WORDS = ["a", "b c", "ü", "1,2", "photos/room.jpg"]
OPTIONS = st.one_of(
    st.sampled_from(["--overwrite", "--recursive", "-r", "--json", "--quiet", "-q"]).map(
        lambda f: [f]
    ),
    st.tuples(
        st.sampled_from(["-o", "--output", "-m", "--model", "--format", "--at", "--between"]),
        st.sampled_from(WORDS),
    ).map(list),
    st.tuples(
        st.sampled_from(["--scale", "--focal", "--fov", "--max-depth"]), st.sampled_from(NUMBERS)
    ).map(list),
    st.tuples(st.just("--threads"), st.sampled_from(["1", "16"])).map(list),
    st.sampled_from([*WORDS, "-"]).map(lambda photo: [photo]),
)


def typers_reading(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> Wishes:
    """What typer makes of the same arguments."""
    seen: list[Wishes] = []
    monkeypatch.setattr(predict, "run", lambda wishes: seen.append(wishes) or 0)
    with pytest.raises(SystemExit) as end:
        COMMAND(arguments, prog_name="glpn")
    assert end.value.code == 0
    return seen[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(OPTIONS, max_size=8), st.sampled_from(WORDS))
def test_a_plain_call_is_read_as_typer_reads_it(options, photo):
    arguments = ["predict", *(word for option in options for word in option), photo]
    wishes = plain.read(arguments)
    assert wishes is not None
    with pytest.MonkeyPatch.context() as patch:
        typers = typers_reading(patch, arguments)
    assert {k: listed(v) for k, v in vars(wishes).items()} == {
        k: listed(v) for k, v in vars(typers).items()
    }
    assert [type(listed(v)) for v in vars(wishes).values()] == [
        type(listed(v)) for v in vars(typers).values()
    ]


def listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--debug", "predict", "a.jpg"],
        ["info", "a.png"],
        ["predict"],
        ["predict", "--json"],
        ["predict", "a.jpg", "--help"],
        ["predict", "a.jpg", "--engine", "torch"],
        ["predict", "a.jpg", "--overwrit"],
        ["predict", "a.jpg", "-qr"],
        ["predict", "a.jpg", "--output=maps"],
        ["predict", "a.jpg", "-o"],
        ["predict", "a.jpg", "-o", "-x"],
        ["predict", "a.jpg", "--fov", "1e3"],
        ["predict", "a.jpg", "--fov", "wide"],
        ["predict", "a.jpg", "--threads", "0"],
        ["predict", "a.jpg", "--threads", "1.5"],
        ["predict", "a.jpg", ""],
        ["predict", "--", "-a.jpg"],
        ["predict", "a\udce4.jpg"],
    ],
)
def test_what_is_not_plain_is_left_to_typer(arguments):
    assert plain.read(arguments) is None


def test_a_folder_that_may_not_be_read_is_left_to_typer(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(plain.os, "access", lambda path, mode: False)  # root may read everything
    assert plain.read(["predict", "a.jpg", "-o", str(tmp_path)]) is None
