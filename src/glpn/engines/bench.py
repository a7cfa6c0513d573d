"""How fast each engine runs a model on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from glpn import weights
from glpn.engines import selection
from glpn.engines.precision import EXACT, quick_kinds
from glpn.engines.registry import ENGINES, open_candidate
from glpn.engines.roofline import multiply_adds
from glpn.engines.selection import Candidate
from glpn.network.config import GLPNConfig

_SIZE = (480, 640)
_CALLS, _SECONDS = 20, 2.0  # of each row and batch: whichever is reached first


def rows(folder: Path, threads: int) -> Iterator[dict[str, Any]]:
    """Measure every engine that is installed, each in a process of its own, and remember it.

    Args:
        folder: the model's.
        threads: CPU threads.

    Yields:
        What was measured of an engine in a precision, as JSON values.
    """
    done: list[dict[str, Any]] = []
    candidates = _candidates(folder)
    floors = _floors_ms(folder, candidates, threads)
    with tempfile.TemporaryDirectory() as scratch:
        for candidate in candidates:
            row = _run(folder, candidate, threads, Path(scratch))
            done.append(row)
            _compare(row, Path(scratch), first=done[0])
            row["floor_ms"] = floors[candidate[1]]
            row["share_of_floor"] = floors[candidate[1]] / row["median_ms"]
            yield row
    costs = {
        f"{row['engine']} {row['precision']}": selection.Cost(
            row["start_s"], row["median_ms"] / 1000
        )
        for row in done
    }
    selection.remember(folder, threads, costs)


def _candidates(folder: Path) -> list[tuple[str, str]]:
    """Engine and precision of every row: exact ones first."""
    there = [name for name in ENGINES[1:] if importlib.util.find_spec(name) is not None]
    if not (folder / weights.GRAPH_NAME).is_file():
        there = [name for name in there if name == "torch"]
    quick = [(name, kind) for name in there for kind in quick_kinds(folder, name)[0]]
    return [(name, EXACT) for name in there] + quick


def _floors_ms(folder: Path, candidates: list[tuple[str, str]], threads: int) -> dict[str, float]:
    """Precision → the milliseconds below which no engine can come, by one measurement each."""
    count = multiply_adds(GLPNConfig.from_json_file(folder / weights.CONFIG_NAME), *_SIZE)
    code = (
        "import sys, json; from glpn.engines.roofline import peak; "
        "engine, precision, threads = json.loads(sys.argv[1]); "
        "print(peak(engine, precision, threads=threads))"
    )
    # The last candidate of a precision counts: torch's products are as fast as any.
    return {
        precision: count / _in_a_process(code, [engine, precision, threads], threads) * 1000
        for precision, engine in {kind: name for name, kind in candidates}.items()
    }


def _run(folder: Path, candidate: tuple[str, str], threads: int, scratch: Path) -> dict[str, Any]:
    """One row, from a process of its own."""
    asked = [str(folder), *candidate, threads, str(scratch)]
    code = (
        "import sys, json; from glpn.engines.bench import measure; "
        "measure(*json.loads(sys.argv[1]))"
    )
    row: dict[str, Any] = _in_a_process(code, asked, threads)
    return row


def _in_a_process(code: str, asked: list[Any], threads: int) -> Any:
    """What the code prints as its last line of JSON; NumPy's products on so many threads."""
    command = [sys.executable, "-c", code, json.dumps(asked)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603 - ourselves
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: str, engine: str, precision: str, threads: int, scratch: str) -> None:
    """Measure one row in this process and print it as JSON; the depth goes into a file."""
    began = time.perf_counter()
    opened = open_candidate(Path(folder), Candidate(engine, precision), threads=threads)
    channels = opened.config.num_channels
    pixels = np.random.default_rng(0).random((4, channels, *_SIZE), np.float32)
    np.save(Path(scratch, f"{engine} {precision}.npy"), opened(pixels[:1]))
    start = time.perf_counter() - began
    single = _times(lambda: opened(pixels[:1]))
    peak = _peak_mb()
    batch = _times(lambda: opened(pixels))
    row = {
        "engine": engine,
        "precision": precision,
        "threads": threads,
        "start_s": start,
        "median_ms": float(np.median(single)) * 1000,
        "p95_ms": float(np.percentile(single, 95)) * 1000,
        "images_s": 1 / float(np.median(single)),
        "images_s_4": 4 / float(np.median(batch)),
        "peak_mb": peak,
    }
    print(json.dumps(row, allow_nan=False))


def _times(run: Any) -> list[float]:
    """Seconds of each call, after one that is not counted."""
    run()
    times: list[float] = []
    while len(times) < 3 or (len(times) < _CALLS and sum(times) < _SECONDS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return times


def _peak_mb() -> float | None:
    """The most memory that this process had at a time; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return None
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _compare(row: dict[str, Any], scratch: Path, *, first: dict[str, Any]) -> None:
    """Add the deviation from the first row."""
    depth, expected = (
        np.load(scratch / f"{one['engine']} {one['precision']}.npy") for one in (row, first)
    )
    deviation = np.abs(depth - expected) / expected
    row["deviation_mean"], row["deviation_max"] = float(deviation.mean()), float(deviation.max())
