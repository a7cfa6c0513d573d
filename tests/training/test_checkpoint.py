"""Checkpoints: complete, sound to the last bit, or not there at all."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from glpn.errors import CheckpointError, OutputFailed
from glpn.training import checkpoint as checkpoints
from glpn.training.checkpoint import (
    Checkpoint,
    clean,
    list_checkpoints,
    newest_checkpoint,
    read_checkpoint,
    write_checkpoint,
)


def make(step: int, size: int = 50) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    tensors = {
        "network:weight": torch.randn((size, 3), generator=generator),
        "optimiser:count": torch.tensor(float(step)),
        "network:tracked": torch.tensor(step),
    }
    return Checkpoint(step, tensors, {"glpn": "0", "rate": 0.1 + 0.2, "nested": {"a": [1, None]}})


def same(a: Checkpoint | None, b: Checkpoint) -> bool:
    if a is None:
        return False
    equal = all(
        torch.equal(a.tensors[name], value) and a.tensors[name].dtype == value.dtype
        for name, value in b.tensors.items()
    )
    return a.step == b.step and a.values == b.values and equal


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path, make(3), keep=2)
    assert path.name == "step-00000003"
    assert same(read_checkpoint(path), make(3))


def test_the_last_few_are_kept_and_nothing_else(tmp_path: Path) -> None:
    for step in (10, 20, 30, 40):
        write_checkpoint(tmp_path, make(step), keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000040", "step-00000030"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_hundred_bit_flips_and_cuts_are_all_detected(tmp_path: Path) -> None:
    whole = write_checkpoint(tmp_path / "whole", make(7), keep=1)
    rng = np.random.default_rng(0)
    files = sorted(path.name for path in whole.iterdir())
    for trial in range(100):
        damaged = tmp_path / f"damaged-{trial}"
        shutil.copytree(whole, damaged)
        file = damaged / files[trial % len(files)]
        data = bytearray(file.read_bytes())
        if trial % 4 == 0:
            data = data[: int(rng.integers(len(data)))]
        else:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        file.write_bytes(bytes(data))
        with pytest.raises(CheckpointError, match=f"damaged-{trial}"):
            read_checkpoint(damaged)


def test_a_missing_file_is_detected(tmp_path: Path) -> None:
    for name in ("manifest", "values.json", "tensors.safetensors"):
        path = write_checkpoint(tmp_path, make(1), keep=1)
        (path / name).unlink()
        with pytest.raises(CheckpointError, match=name):
            read_checkpoint(path)


def test_the_newest_sound_one_is_found_and_the_damage_told(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        write_checkpoint(tmp_path, make(step), keep=3)
    (tmp_path / "step-00000030/values.json").write_text("{}")
    found, complaints = newest_checkpoint(tmp_path)
    assert found is not None
    assert same(found, make(20))
    assert len(complaints) == 1
    assert "step-00000030" in complaints[0]
    # the run comes by step 30 again and replaces what is damaged
    write_checkpoint(tmp_path, make(30), keep=3)
    assert same(newest_checkpoint(tmp_path)[0], make(30))
    assert newest_checkpoint(tmp_path / "nothing") == (None, [])


def test_what_a_killed_process_left_is_ignored_and_cleaned_away(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, make(10), keep=3)
    for leftover in ("step-00000020.part", "step-00000005.old"):
        shutil.copytree(tmp_path / "step-00000010", tmp_path / leftover)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000010"]
    write_checkpoint(tmp_path, make(20), keep=3)  # does not stumble over them
    clean(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000010", "step-00000020"}


def test_a_full_disk_leaves_the_last_good_one(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, make(10), keep=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OutputFailed, match="step-00000020"):
            write_checkpoint(tmp_path, make(20, size=5000), keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    found, complaints = newest_checkpoint(tmp_path)
    assert same(found, make(10))
    assert not complaints
    assert [path.name for path in Path(tmp_path).iterdir()] == ["step-00000010"]


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "FORMAT", 3)
    path = write_checkpoint(tmp_path, make(1), keep=1)
    monkeypatch.setattr(checkpoints, "FORMAT", 2)
    with pytest.raises(CheckpointError, match="another version of glpn"):
        read_checkpoint(path)
