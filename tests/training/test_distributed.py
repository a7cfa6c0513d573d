"""Several processes learn what one would learn from the same batches."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
import torch

from glpn import GLPNForDepthEstimation
from glpn.errors import ConfigError
from glpn.training import train
from glpn.training.batches import Sampler, Share
from glpn.training.distributed import World
from tests.training import child
from tests.training.runs import log_of, tiny_recipe, write_frames

pytestmark = pytest.mark.slow

# Dropped paths and dropout are drawn by each process for itself, and so left out here.
CALM = ("model.config.drop_path_rate=0", "model.config.hidden_dropout_prob=0")


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("frames") / "set", 9)


def start_two(frames: Path, run: Path, *changes: str) -> list[subprocess.Popen[str]]:
    """Two processes as `torchrun` starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return [
        child.start(
            frames,
            run,
            *changes,
            environment={
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": port,
            },
        )
        for rank in range(2)
    ]


@pytest.mark.parametrize("accumulate", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_two_processes_follow_the_loss_of_one(
    frames: Path, tmp_path: Path, accumulate: int
) -> None:
    changes = (*CALM, f"loop.accumulate={accumulate}")
    both = start_two(frames, tmp_path / "two", *changes)
    train(tiny_recipe(frames, tmp_path / "one", *changes))
    assert [child.finished(process) for process in both] == [(0, ""), (0, "")]
    one, two = (log_of(tmp_path / name) for name in ("one", "two"))
    assert [line["step"] for line in two] == [1, 2, 3, 4, 5, 6]
    for a, b in zip(one, two, strict=True):
        assert b["loss"] == pytest.approx(a["loss"], abs=1e-5)
        assert b["norm"] == pytest.approx(a["norm"], rel=1e-4)
    one, two = (log_of(tmp_path / name, "validation") for name in ("one", "two"))
    for a, b in zip(one, two, strict=True):
        assert b["abs_rel"] == pytest.approx(a["abs_rel"], rel=1e-3)
    alone, shared = (
        GLPNForDepthEstimation.from_pretrained(tmp_path / n / "last") for n in ("one", "two")
    )
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], value, rtol=1e-3, atol=2e-3)


def test_a_signal_to_one_of_two_ends_both_with_a_checkpoint(frames: Path, tmp_path: Path) -> None:
    both = start_two(frames, tmp_path, "loop.steps=100000", "run.save_every=1000")
    while not (tmp_path / "log.jsonl").exists() or len(log_of(tmp_path)) < 2:
        assert all(process.poll() is None for process in both)
    both[1].send_signal(signal.SIGTERM)
    codes = [child.finished(process)[0] for process in both]
    assert codes == [128 + signal.SIGTERM] * 2
    assert os.listdir(tmp_path / "checkpoints")


def test_the_shares_of_all_processes_are_the_batch() -> None:
    sampler = Sampler(frames=10, batch=8, seed=0)
    for step in range(3):
        shares = [
            Share((sampler,), accumulate=2, rank=r, processes=2).parts(step) for r in range(2)
        ]
        joined = [draw for part in range(2) for share in shares for draw in share[part]]
        assert joined == sampler.draws(step)
    with pytest.raises(ConfigError, match=r"loop\.batch: 8.*multiple of 3"):
        Share((sampler,), processes=3)


def test_numbers_that_torchrun_would_not_write_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match="WORLD_SIZE"):
        World.from_environment()
