"""`glpn reproduce paper`: what is there is measured, what is missing is said."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli import sets
from tests.cli.conftest import Run, RunGlpn


@pytest.fixture
def reproduce(glpn: RunGlpn, model: Path) -> RunGlpn:
    """`glpn reproduce paper` with the tiny model on one thread."""

    def run(*arguments: object) -> Run:
        return glpn("reproduce", "paper", "-m", model, "--threads", 1, *arguments)

    return run


def test_measured_stands_beside_published_and_missing_sets_are_named(
    reproduce: RunGlpn, tmp_path: Path
) -> None:
    sets.nyu(tmp_path / "data/nyu")
    sets.ibims(tmp_path / "data/ibims1")
    run = reproduce("--data", tmp_path / "data", "-o", tmp_path / "out")
    assert run.code == 0, run.err
    result = json.loads((tmp_path / "out/nyu.json").read_text())
    value = result["means"]["abs_rel"]["value"]
    assert f"| nyu | abs_rel ↓ | 0.098 † | {value:.4f} | – |" in run.out
    assert re.search(r"\| ibims \| rmse \[m\] ↓ \| – \| \d", run.out)
    assert "4 images where the paper has 654: not the same test" in run.out
    for name in ("kitti", "sunrgbd"):
        assert f"Not measured: {name}: no folder is recognised as this set" in run.out
    table = (tmp_path / "out/paper.md").read_text()
    assert [line.rstrip() for line in table.splitlines()] == run.out.splitlines()


@pytest.mark.slow
def test_a_model_is_not_run_far_beyond_its_range(reproduce: RunGlpn, tmp_path: Path) -> None:
    sets.kitti(tmp_path / "kitti")
    run = reproduce("--data", tmp_path, "-o", tmp_path / "out")
    assert not (tmp_path / "out/paper.md").exists()
    assert run.code == 66 and "reaches 10 m, the set 80 m" in run.err
    [record] = reproduce("--data", tmp_path, "--max-depth", 80, "--json").records
    assert record["measured"]["kitti"]["published"]["rmse"] == 2.297
    assert record["measured"]["kitti"]["images"] == 2
    assert sorted(record["missing"]) == ["ibims", "nyu", "sunrgbd"]


def test_a_range_without_its_model_is_a_usage_error(glpn: RunGlpn, tmp_path: Path) -> None:
    run = glpn("reproduce", "paper", "--data", tmp_path, "--max-depth", 80)
    assert run.code == 2 and "--max-depth: needs -m" in run.err


def test_kitti_without_its_list_is_not_guessed(reproduce: RunGlpn, tmp_path: Path) -> None:
    (sets.kitti(tmp_path / "kitti") / "eigen_test_files_with_gt.txt").unlink()
    run = reproduce("--data", tmp_path, "--max-depth", 80)
    assert run.code == 66 and "eigen_test_files_with_gt.txt" in run.err


def test_the_folder_of_one_set_is_recognised_itself(reproduce: RunGlpn, tmp_path: Path) -> None:
    data = sets.ibims(tmp_path / "whatever")
    [record] = reproduce("--data", data, "--json").records
    assert list(record["measured"]) == ["ibims"]


def test_a_set_that_fails_does_not_stop_the_others(reproduce: RunGlpn, tmp_path: Path) -> None:
    nyu = sets.nyu(tmp_path / "nyu")
    next(nyu.rglob("rgb_*.png")).write_bytes(b"no picture")
    sets.ibims(tmp_path / "ibims")
    run = reproduce("--data", tmp_path)
    assert run.code == 65 and "| ibims | abs_rel" in run.out and "Not measured: nyu:" in run.out


def test_the_same_command_twice_gives_the_same_bytes(reproduce: RunGlpn, tmp_path: Path) -> None:
    sets.nyu(tmp_path / "data/nyu")
    for folder in "ab":
        assert reproduce("--data", tmp_path / "data", "-o", tmp_path / folder).code == 0
    for name in ("paper.md", "nyu.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_nothing_to_measure_is_a_missing_input(
    reproduce: RunGlpn, glpn: RunGlpn, tmp_path: Path
) -> None:
    run = reproduce("--data", tmp_path, "-o", tmp_path / "out")
    assert not (tmp_path / "out/paper.md").exists()
    assert run.code == 66 and "none of the paper's sets" in run.err
    assert reproduce("--data", tmp_path / "absent").code == 66
    assert glpn("reproduce", "thesis", "--data", tmp_path).code == 2
    assert glpn("reproduce", "paper").code == 2
