"""`glpn synth`: a folder that `glpn data check` finds nothing wrong with, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from glpn.cli.verbs.synth import Cameras, SceneKind
from glpn.synthetic import SAMPLERS
from glpn.synthetic.scenes import indoor
from tests.cli.conftest import RunGlpn


def test_the_kinds_on_offer_are_those_there_are() -> None:
    assert [kind.value for kind in SceneKind] == list(SAMPLERS)
    assert [held.value for held in Cameras] == [held.value for held in indoor.Cameras]


@pytest.mark.slow
def test_frames_are_written_and_a_second_run_keeps_them(glpn: RunGlpn, tmp_path: Path) -> None:
    arguments = ("synth", tmp_path / "rooms", "--count", 3, "--size", "96x128", "--json")
    run = glpn(*arguments, "--device", "cpu")
    assert run.code == 0
    assert run.records[0]["frames"] == 3 and run.records[0]["kept"] == 0
    assert glpn(*arguments, "--device", "cpu").records[0]["kept"] == 3
    assert len(list((tmp_path / "rooms" / "depth").glob("*.png"))) == 3
    assert glpn("data", "check", tmp_path / "rooms").code == 0


@pytest.mark.parametrize("size", ["0x9", "640", "axb", "9x99999"])
def test_an_impossible_size_is_a_usage_error(glpn: RunGlpn, tmp_path: Path, size: str) -> None:
    run = glpn("synth", tmp_path / "rooms", "--size", size)
    assert run.code == 2 and "--size" in run.err
    assert not (tmp_path / "rooms").exists()
