"""Measure the speed of each engine with a model on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from glpn import weights
from glpn.engines.precision import available_precisions
from glpn.engines.protocol import EngineSettings
from glpn.engines.registry import FLOAT32, TABLE, engine_row, usable_engines
from glpn.engines.roofline import multiply_adds
from glpn.engines.selection import Candidate, Cost, open_candidate, save_costs
from glpn.network.config import GLPNConfig

_SIZE = (480, 640)
_MAX_CALLS, _MAX_SECONDS = 20, 2.0  # per row and batch size; the first limit reached ends it
_MIN_CALLS = 3


class _Timing(TypedDict):
    engine: str
    precision: str
    threads: int
    start_s: float
    median_ms: float
    p95_ms: float
    images_s: float
    images_s_4: float  # images per second in batches of four
    peak_mb: float | None


class Measurement(_Timing, total=False):
    """An engine in a precision, as JSON values, with relative deviations from the first row."""

    deviation_mean: float
    deviation_max: float
    roofline_ms: float
    fraction_of_peak: float


def rows(folder: Path, threads: int) -> Iterator[Measurement]:
    """Measure every installed engine, each in a process of its own.

    Args:
        folder: the folder of the model.
        threads: CPU threads.

    Yields:
        The measurements of an engine in a precision.
    """
    first: Measurement | None = None
    candidates = _candidates(folder)
    bounds = _rooflines_ms(folder, candidates, threads)
    with tempfile.TemporaryDirectory() as scratch:
        for candidate in candidates:
            row = _run(folder, candidate, threads, Path(scratch))
            first = first or row
            _compare(row, Path(scratch), first=first)
            row["roofline_ms"] = bounds[candidate.precision]
            row["fraction_of_peak"] = bounds[candidate.precision] / row["median_ms"]
            yield row


def save(folder: Path, threads: int, measured: list[Measurement]) -> Path:
    """Save measurements, from which "auto" then selects the engine on this machine.

    Returns:
        The file that holds them.
    """
    costs = {
        Candidate(row["engine"], row["precision"]): Cost(row["start_s"], row["median_ms"] / 1000)
        for row in measured
    }
    return save_costs(folder, threads, costs)


def _candidates(folder: Path) -> list[Candidate]:
    """The engine and the precision of every row, float32 first."""
    names = usable_engines(folder)
    able = [row for row in TABLE if row.name in names]
    reduced = [
        Candidate(row.name, kind) for row in able for kind in available_precisions(folder, row)[0]
    ]
    return [*(Candidate(name, FLOAT32) for name in names), *reduced]


def _rooflines_ms(folder: Path, candidates: list[Candidate], threads: int) -> dict[str, float]:
    """Return a lower bound of the milliseconds per image for each precision."""
    count = multiply_adds(GLPNConfig.from_json_file(folder / weights.CONFIG_NAME), *_SIZE)
    code = (
        "import sys, json; from glpn.engines.bench import measure_peak; "
        "measure_peak(*json.loads(sys.argv[1]))"
    )
    # The last candidate of a precision counts: torch's products are as fast as any.
    return {
        precision: count / _in_a_process(code, [engine, precision, threads], threads) * 1000
        for precision, engine in {kind: name for name, kind in candidates}.items()
    }


def measure_peak(engine: str, precision: str, threads: int) -> None:
    """Print the multiply-adds per second of an engine's run time in this process."""
    from glpn.engines.roofline import peak

    print(peak(engine_row(engine), precision, threads=threads))


def _run(folder: Path, candidate: Candidate, threads: int, scratch: Path) -> Measurement:
    """One row, measured in a process of its own."""
    asked = [str(folder), *candidate, threads, str(scratch)]
    code = (
        "import sys, json; from glpn.engines.bench import measure; "
        "measure(*json.loads(sys.argv[1]))"
    )
    row: Measurement = _in_a_process(code, asked, threads)
    return row


def _in_a_process(code: str, asked: list[object], threads: int) -> Any:
    """The last line that the code prints, as JSON; NumPy's products use `threads` threads."""
    command = [sys.executable, "-c", code, json.dumps(asked)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads)}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)  # noqa: S603 - ourselves
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder: str, engine: str, precision: str, threads: int, scratch: str) -> None:
    """Measure one row in this process and print it as JSON; the depth goes into a file."""
    began = time.perf_counter()
    settings = EngineSettings(threads=threads)
    opened = open_candidate(Path(folder), Candidate(engine, precision), settings)
    channels = opened.config.num_channels
    pixels = np.random.default_rng(0).random((4, channels, *_SIZE), np.float32)
    np.save(Path(scratch, f"{engine} {precision}.npy"), opened(pixels[:1]))
    start = time.perf_counter() - began
    single = _times(lambda: opened(pixels[:1]))
    peak = _peak_mb()
    batch = _times(lambda: opened(pixels))
    row: Measurement = {
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


def _times(run: Callable[[], object]) -> list[float]:
    """Seconds of each call, without the first."""
    run()
    times: list[float] = []
    while len(times) < _MIN_CALLS or (len(times) < _MAX_CALLS and sum(times) < _MAX_SECONDS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return times


def _peak_mb() -> float | None:
    """The peak memory of this process; None if the system does not report it."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        return None
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _compare(row: Measurement, scratch: Path, *, first: Measurement) -> None:
    """Add the relative deviation from the depth of the first row."""
    depth, expected = (
        np.load(scratch / f"{one['engine']} {one['precision']}.npy") for one in (row, first)
    )
    deviation = np.abs(depth - expected) / expected
    row["deviation_mean"], row["deviation_max"] = float(deviation.mean()), float(deviation.max())
