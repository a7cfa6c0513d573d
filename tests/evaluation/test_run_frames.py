"""A model of a training run is scored on the frames that the run held out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import glpn.evaluation
from glpn.data.datasets import open_dataset
from glpn.evaluation.run_frames import RunFrames
from glpn.weights import bundled
from tests.cli import sets


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(6):
        sets.put(tmp_path / f"set/rgb/{number}.png", sets.picture(number))
        sets.put(tmp_path / f"set/depth/{number}.png", sets.depth(number))
    (tmp_path / "set/dataset.toml").write_text('unit = "mm"\n')
    return tmp_path / "set"


@pytest.fixture
def run(tmp_path: Path, data: Path) -> Path:
    """A run's folder with the bundled model as its best: frames 0 to 3 learned, 4 and 5 not."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copytree(bundled()["glpn-b0-rooms"], folder / "best")
    (folder / "trained_on.txt").write_text("0\n1\n2\n3\n")
    (folder / "held_out.txt").write_text("4\n5\n")
    (folder / "recipe.json").write_text(json.dumps({"folders": [str(data)]}))
    return folder


def test_the_held_out_frames_are_scored_by_default_and_a_note_says_so(
    run: Path, data: Path
) -> None:
    frames = RunFrames.of(str(run / "best")).choose(open_dataset(data), data, asked=False)
    assert frames.names == ("4", "5")
    assert "2 frames that the run held out" in frames.notes[-1]


def test_frames_that_were_trained_on_are_warned_of(run: Path, data: Path) -> None:
    frames = RunFrames.of(str(run / "best")).choose(open_dataset(data), data, asked=True)
    assert len(frames) == 6
    assert "4 frames (0, 1, 2, 3) of 6 were trained on" in frames.warnings[-1]


def test_another_folder_is_scored_whole(run: Path, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.symlink_to(data)  # the same folder by another name
    assert len(RunFrames.of(str(run / "best")).choose(open_dataset(other), other, asked=False)) == 2
    for number in range(6):
        sets.put(tmp_path / f"new/rgb/{number}.png", sets.picture(number))
        sets.put(tmp_path / f"new/depth/{number}.png", sets.depth(number))
    new = tmp_path / "new"
    frames = open_dataset(new)
    assert RunFrames.of(str(run / "best")).choose(frames, new, asked=False) is frames


def test_frames_are_held_out_only_in_the_folder_that_the_run_validated_on(
    run: Path, data: Path, tmp_path: Path
) -> None:
    validation = shutil.copytree(data, tmp_path / "validation")  # the same names: 0 to 5
    folders = {"folders": [str(data), str(validation)], "held_out_in": str(validation)}
    (run / "recipe.json").write_text(json.dumps(folders))
    (run / "trained_on.txt").write_text("0\n1\n2\n3\n4\n5\n")
    for present in (True, False):
        if not present:
            shutil.rmtree(validation)
        frames = RunFrames.of(str(run / "best")).choose(open_dataset(data), data, asked=False)
        assert len(frames) == 6
        assert "6 frames" in frames.warnings[-1] and "trained on" in frames.warnings[-1]
        if present:
            opened = open_dataset(validation)
            frames = RunFrames.of(str(run / "best")).choose(opened, validation, asked=False)
            assert frames.names == ("4", "5")
            part = opened.select(["4", "5"])
            chosen = RunFrames.of(str(run / "best")).choose(part, validation, asked=True)
            assert chosen is part  # frames of the same names were trained on


def test_models_of_no_run_have_no_frames(tmp_path: Path) -> None:
    assert RunFrames.of("glpn-b0-indoor") is None
    assert RunFrames.of(str(tmp_path)) is None


def test_the_public_function_does_what_the_verb_does(run: Path, data: Path) -> None:
    result = glpn.evaluation.evaluate(data, model=str(run / "best"), threads=1)
    assert [row.name for row in result.rows] == ["4", "5"]
    whole = glpn.evaluation.evaluate(
        data, model=str(run / "best"), frame_list=None, limit=1, rules={"max_depth": 8.0}
    )
    assert len(whole.rows) == 1 and whole.protocol.max_depth == 8
    assert result.settings["max_depth"] == 10
