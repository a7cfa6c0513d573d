"""A resumed run ends with the same bits as an undisturbed one, whatever stopped it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from glpn.errors import CannotCreateOutput, CheckpointError, UsageError
from glpn.training import train
from glpn.training.api import lock_run
from glpn.training.checkpoint import list_checkpoints
from glpn.training.trainer import Trainer
from tests.training import child
from tests.training.child import finished
from tests.training.runs import log_of, tiny_recipe, traces, write_frames

pytestmark = pytest.mark.slow

LONG = ("loop.steps=40", "loop.validate_every=15", "run.save_every=5")
PATIENCE = 180  # seconds for a process to get anywhere on a busy machine


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("frames") / "set", 8)


@pytest.fixture(scope="module")
def undisturbed(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What LONG ends with, trained here in one go; the processes below must do the same."""
    run = tmp_path_factory.mktemp("undisturbed")
    train(tiny_recipe(frames, run, *LONG))
    return traces(run)


def wait_for(condition: Callable[[], bool], process: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def has_begun(run: Path) -> Callable[[], bool]:
    before = len((run / "speed.jsonl").read_bytes()) if (run / "speed.jsonl").exists() else 0
    return lambda: (
        (run / "speed.jsonl").exists() and (len((run / "speed.jsonl").read_bytes()) > before)
    )


def is_saving(run: Path) -> Callable[[], bool]:
    folder = run / "checkpoints"
    return lambda: folder.exists() and any(n.endswith(".part") for n in os.listdir(folder))


def test_killed_at_random_and_inside_a_save_it_ends_with_the_same_bits(
    frames: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    for kill in range(4):
        process = child.start(frames, tmp_path, *LONG)
        wait_for(has_begun(tmp_path), process)
        if kill % 2:
            wait_for(is_saving(tmp_path), process)
        else:
            time.sleep(rng.uniform(0, 0.3))
        process.kill()
        finished(process)
    train(tiny_recipe(frames, tmp_path, *LONG), resume=True)
    assert traces(tmp_path) == undisturbed
    assert [line["step"] for line in log_of(tmp_path)] == list(range(1, 41))
    assert [line["step"] for line in log_of(tmp_path, "validation")] == [0, 15, 30, 40]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_at_the_next_step_and_ends_with_its_code(
    frames: Path, undisturbed: dict[str, str], tmp_path: Path, number: Any
) -> None:
    changes = (*LONG[:2], "run.save_every=1000")
    process = child.start(frames, tmp_path, *changes)
    wait_for(has_begun(tmp_path), process)
    process.send_signal(number)
    began = time.monotonic()
    assert finished(process) == (128 + number, "")
    assert time.monotonic() - began < 30
    newest = list_checkpoints(tmp_path / "checkpoints")[0]
    assert 0 < int(newest.name.removeprefix("step-")) < 40
    train(tiny_recipe(frames, tmp_path, *LONG), resume=True)
    assert traces(tmp_path) == undisturbed


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_taken(
    frames: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    train(tiny_recipe(frames, tmp_path, *LONG))
    newest, before = list_checkpoints(tmp_path / "checkpoints")[:2]
    file = newest / "tensors.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(bytes(data))
    result = train(tiny_recipe(frames, tmp_path, *LONG), resume=True)
    assert len(result.notes) == 1
    assert "step-00000040" in result.notes[0]
    assert f"falling back to step {int(before.name[-8:])}" in result.notes[0]
    assert traces(tmp_path) == undisturbed
    for path in list_checkpoints(tmp_path / "checkpoints"):
        (path / "manifest").write_bytes(b"")
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        train(tiny_recipe(frames, tmp_path, *LONG), resume=True)


def test_a_second_writer_is_refused_at_once_by_the_holders_number(
    frames: Path, tmp_path: Path
) -> None:
    process = child.start(frames, tmp_path, "loop.steps=100000", "run.save_every=1000")
    wait_for(has_begun(tmp_path), process)
    began = time.monotonic()
    with pytest.raises(CannotCreateOutput, match=rf"process {process.pid} "), lock_run(tmp_path):
        pass
    assert time.monotonic() - began < 1
    with pytest.raises(CannotCreateOutput, match="is training there") as refusal:
        train(tiny_recipe(frames, tmp_path))
    assert refusal.value.exit_code == 73
    process.kill()
    finished(process)
    with lock_run(tmp_path):  # the lock has gone with its process
        pass


def test_a_run_does_not_resume_with_other_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The held-out frames are the last ones: added frames would make them training frames."""
    frames = write_frames(tmp_path / "set", 8)
    monkeypatch.chdir(tmp_path)
    recipe = tiny_recipe(Path("set"), tmp_path / "run", "loop.steps=2")
    train(recipe)
    record = json.loads((tmp_path / "run/recipe.json").read_text())
    assert record["folders"] == [str(frames)]  # `glpn evaluate` finds them from any directory
    assert record["held_out_in"] == str(frames)
    held_out = (tmp_path / "run/held_out.txt").read_text()
    for kind in ("rgb", "depth"):
        shutil.copy(frames / f"{kind}/003.png", frames / f"{kind}/100.png")
    with pytest.raises(UsageError, match="frames were added, removed or renamed"):
        train(recipe, resume=True)
    assert (tmp_path / "run/held_out.txt").read_text() == held_out


def test_a_run_is_not_overwritten_unless_it_is_to_be_resumed(frames: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(frames, tmp_path, "loop.steps=2")
    train(recipe)
    before = traces(tmp_path)
    with pytest.raises(CannotCreateOutput, match="already contains a run"):
        train(recipe)
    recipe = tiny_recipe(frames, tmp_path, "loop.steps=2", f"data.train={frames}/")
    assert train(recipe, resume=True).step == 2  # there is nothing left to do
    assert traces(tmp_path) == before
    shutil.rmtree(tmp_path / "checkpoints")  # somebody needed the space
    for resume in (True, False):
        with pytest.raises(CannotCreateOutput, match="models of a run, but no checkpoint"):
            train(recipe, resume=resume)
    shutil.rmtree(tmp_path / "last")  # which a killed run has not written yet
    best = (tmp_path / "best/model.safetensors").read_bytes()
    with pytest.raises(CannotCreateOutput, match="models of a run, but no checkpoint"):
        train(recipe)
    assert (tmp_path / "best/model.safetensors").read_bytes() == best


def test_the_first_best_model_comes_after_a_checkpoint_that_validates_again(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny_recipe(frames, tmp_path / "run", "loop.steps=2")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_export", _killed)
        with pytest.raises(KeyboardInterrupt):
            train(recipe)
    assert list_checkpoints(tmp_path / "run/checkpoints") and not (tmp_path / "run/best").exists()
    train(recipe, resume=True)
    train(tiny_recipe(frames, tmp_path / "alone", "loop.steps=2"))
    assert log_of(tmp_path / "run", "validation") == log_of(tmp_path / "alone", "validation")
    assert (tmp_path / "run/best/model.safetensors").is_file()


def _killed(trainer: Trainer, name: str) -> None:
    raise KeyboardInterrupt


def test_another_recipe_cannot_go_on_with_a_run(frames: Path, tmp_path: Path) -> None:
    train(tiny_recipe(frames, tmp_path, "loop.steps=2"))
    with pytest.raises(UsageError, match=r"loop\.batch was 4, is 2"):
        train(tiny_recipe(frames, tmp_path, "loop.steps=2", "loop.batch=2"), resume=True)


def test_a_validation_that_a_signal_cut_short_is_made_up_for(frames: Path, tmp_path: Path) -> None:
    changes = ("loop.steps=4", "loop.validate_every=1", "data.val_share=0.5")
    train(tiny_recipe(frames, tmp_path / "alone", *changes))
    process = child.start(frames, tmp_path / "stopped", *changes)
    wait_for(has_begun(tmp_path / "stopped"), process)  # after a step, that is in a validation
    process.send_signal(signal.SIGTERM)
    assert finished(process) == (128 + signal.SIGTERM, "")
    train(tiny_recipe(frames, tmp_path / "stopped", *changes), resume=True)
    assert traces(tmp_path / "stopped") == traces(tmp_path / "alone")


def test_reading_processes_end_with_the_one_that_trains(frames: Path, tmp_path: Path) -> None:
    process = child.start(frames, tmp_path, "loop.steps=100000", "run.workers=2")
    wait_for(has_begun(tmp_path), process)
    readers = psutil.Process(process.pid).children()
    process.kill()
    finished(process)
    assert len(readers) >= 2
    _, alive = psutil.wait_procs(readers, timeout=PATIENCE)
    assert not alive
    with lock_run(tmp_path):
        pass
