"""What a killed run leaves behind, and memory over many photographs."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import command, model  # noqa: F401  (a fixture)


def photographs(folder: Path, count: int) -> Path:
    folder.mkdir()
    for i in range(count):
        coarse = np.random.default_rng(i).integers(0, 256, (4, 6, 3), np.uint8)
        Image.fromarray(coarse).resize((96, 64)).save(folder / f"{i:03}.jpg")
    return folder


def outputs(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.glob("*.png")}


def finished(process: Any) -> int:
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("number", ["SIGKILL", "SIGINT", "SIGTERM"])
def test_a_killed_run_resumes_to_the_bits_of_an_undisturbed_one(
    model: Path,  # noqa: F811
    tmp_path: Path,
    number: str,
) -> None:
    photos = photographs(tmp_path / "photos", 60)

    def run(output: Path) -> subprocess.Popen[bytes]:
        options = ("-m", model, "--engine", "onnxruntime", "--threads", 2, "--format", "png16")
        line = command("predict", photos, "-o", output, *options, "--quiet")
        return subprocess.Popen(line, stderr=subprocess.PIPE)

    alone, ended = tmp_path / "alone", tmp_path / "ended"
    assert finished(run(alone)) == 0
    for at in (5, 30):
        process = run(ended)
        while process.poll() is None and len(list(ended.glob("*.png"))) < at:
            time.sleep(0.002)
        process.send_signal(getattr(signal, number))
        _, complaint = process.communicate(timeout=60)
        if number != "SIGKILL":
            assert process.returncode == 128 + getattr(signal, number), complaint
            assert b"Traceback" not in complaint
        noted = (ended / "manifest.jsonl").read_bytes().count(b"\n")
        assert len(outputs(ended)) - noted <= 4  # two predicted, two read or written beside them
    assert finished(run(ended)) == 0
    assert outputs(ended) == outputs(alone) and len(outputs(alone)) == 60


_GROWTH = """
import gc
import numpy as np, psutil
from glpn import load
estimator, process, rng = load(threads=1), psutil.Process(), np.random.default_rng(0)
sizes = ((120, 160), (300, 480), (480, 300), (200, 499), (333, 333), (101, 450))
def resident(rounds):
    for height, width in sizes * rounds:
        estimator(rng.integers(0, 256, (height, width, 3), np.uint8)).encode("png16")
    gc.collect()
    return process.memory_info().rss
print(resident(5), resident(20))
"""


@pytest.mark.slow
def test_memory_does_not_grow_over_many_photographs_of_many_sizes() -> None:
    run = [sys.executable, "-c", _GROWTH]  # of its own: other tests' threads return memory late
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, check=True)
    settled, later = map(int, done.stdout.split())
    assert later < settled + 10 * 2**20  # one picture and its maps take about 5 MB
