"""`glpn train` and `glpn data`: a recipe's file, changes to it, and frames looked at first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.training.api import lock_run
from tests.cli.conftest import RunGlpn, run_for_real
from tests.training.runs import SIZE, write_frame, write_frames

RECIPE = """
[model]
config = { hidden_sizes = [8, 16, 40, 64], depths = [1, 1, 1, 1], decoder_hidden_size = 16 }
[data]
val_share = 0.25
[augment]
crop = [32, 64]
[loop]
steps = 2
batch = 2
[run]
save_every = 1
device = "cpu"
threads = 1
"""


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return write_frames(tmp_path / "frames", 4)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def picture_size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.slow
def test_a_recipe_is_trained_and_the_run_is_not_begun_twice(
    glpn: RunGlpn, frames: Path, recipe: Path, tmp_path: Path
) -> None:
    settings = (f"data.train={frames}", f"run.folder={tmp_path / 'run'}", "run.doctor=false")
    done = glpn("train", recipe, *settings, "--json")
    assert done.code == 0, done.err
    assert (done.records[0]["step"], done.records[0]["of"]) == (2, 2)
    assert "train 2/2" in done.err
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert done.records[0]["abs_rel"] == log[-1]["abs_rel"]
    assert done.records[0]["scores_of_step"] == log[-1]["step"] == 2
    assert "glpn evaluate -m" in done.err.splitlines()[-1]
    assert "held_out.txt" in done.err.splitlines()[-1]
    again = glpn("train", recipe, *settings)
    assert again.code == 73
    assert "resume" in again.err
    assert glpn("train", recipe, *settings, "--resume").code == 0


@pytest.mark.slow
def test_scores_for_people_are_rounded_and_name_their_step(
    glpn: RunGlpn, frames: Path, recipe: Path, tmp_path: Path
) -> None:
    settings = (f"data.train={frames}", f"run.folder={tmp_path / 'run'}", "run.doctor=false")
    done = glpn("train", recipe, *settings, "loop.validate_every=1")
    log = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    values = dict(line.rsplit(maxsplit=1) for line in done.out.splitlines())
    assert values["scores of step"] == "2"
    assert float(values["abs rel"]) == round(log[-1]["abs_rel"], 4)


@pytest.mark.slow
def test_a_run_ended_by_a_signal_says_how_to_resume(
    frames: Path, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "a run"
    command = ("train", recipe, f"data.train={frames}", f"run.folder={run}", "loop.steps=100000")
    process = subprocess.Popen(
        [sys.executable, "-m", "glpn", *map(str, command), "run.doctor=false"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while not (run / "log.jsonl").exists() or b"train" not in (run / "log.jsonl").read_bytes():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    hint = errors.splitlines()[-1]
    assert hint.startswith(f"stopped by SIGTERM; resume with: glpn train {recipe}")
    assert f"'run.folder={run}'" in hint
    assert hint.endswith("--resume")


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (("loop.bacth=4",), 65, "loop.batch"),
        ((), 65, "data.train=FOLDER"),
        (("data.train=absent",), 66, "absent"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    glpn: RunGlpn, recipe: Path, tmp_path: Path, changes: tuple[Any, ...], code: int, said: str
) -> None:
    done = glpn("train", recipe, f"run.folder={tmp_path / 'run'}", *changes)
    assert done.code == code
    assert said in done.err.splitlines()[-1]


def test_help_shows_how_settings_are_changed() -> None:
    done = run_for_real("train", "--help")
    assert done.code == 0
    assert "KEY=VALUE" in done.out


@pytest.mark.slow
def test_the_doctor_reports_and_draws_what_is_wrong(glpn: RunGlpn, tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "frames", 4)
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    write_frame(frames, "002", noise, np.ones((80, 96)))  # another size than the picture's
    done = glpn("data", "check", frames, "--sheet", tmp_path / "sheet.png")
    assert done.code == 65
    assert "002" in done.out
    assert picture_size(tmp_path / "sheet.png")[0] > 100
    done = glpn("data", "check", frames, "--json", "--sheet", tmp_path / "second.png")
    assert any("002" in record["frames"] for record in done.records)
    assert (tmp_path / "second.png").is_file()


def test_augmented_frames_are_drawn(
    glpn: RunGlpn, frames: Path, recipe: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "seen.png"
    options = ("-o", picture, "--recipe", recipe, "--count", 2, "--epochs", 3)
    done = glpn("data", "show", frames, "loop.seed=3", *options)
    assert done.code == 0, done.err
    width, height = picture_size(picture)
    assert width > 3 * 2 * 200  # three columns of photograph and depth
    assert height > 2 * 100
    assert glpn("data", "show", frames, *options).code == 0  # replaces its own picture
    picture.write_bytes(b"of somebody else")
    assert glpn("data", "show", frames, *options).code == 73
    assert picture.read_bytes() == b"of somebody else"


def test_whole_frames_are_drawn_without_a_recipe(
    glpn: RunGlpn, frames: Path, tmp_path: Path
) -> None:
    done = glpn("data", "show", frames, "-o", tmp_path / "seen.png", "--count", 1)
    assert done.code == 0, done.err  # no crop that small frames could be too small for


@pytest.mark.slow
def test_a_second_writer_is_refused_before_torch_is_loaded(recipe: Path, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom glpn.cli import main\ncode = main(sys.argv[1:])\n"
        "sys.exit(99 if 'torch' in sys.modules else code)"
    )
    arguments = ("train", str(recipe), "data.train=any", f"run.folder={tmp_path / 'run'}")
    with lock_run(tmp_path / "run"):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True
        )
    assert done.returncode == 73
    assert f"process {os.getpid()} is training there" in done.stderr
