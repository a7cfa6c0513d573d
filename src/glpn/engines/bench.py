"""`glpn bench`: how fast each engine runs a model on this machine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from glpn.cli import console, options

_SIZE = (480, 640)
_CALLS, _SECONDS = 20, 2.0  # of each row and batch: whichever is reached first

_Model = Annotated[str, typer.Argument(help="A bundled name, a folder, or a hub id user/name.")]


def bench(
    model: _Model = "",
    threads: options.Threads = None,
    as_json: options.AsJson = False,
) -> None:
    """Measure every engine that is installed, each in a process of its own, and remember it.

    Milliseconds for a 480×640 picture, images a second in batches of 1 and 4, peak memory of the
    process, mean and largest deviation from the first exact row, and the share of the floor: the
    time that the network's multiply-adds would take at this machine's rate in large matrix
    products, measured in the same precision, over the median. Quick rows are those that are allowed
    for these weights. `--engine auto` takes note of the figures.

    Example:

      glpn bench
    """
    from glpn import weights
    from glpn.engines import selection
    from glpn.engines.hardware import usable_cores
    from glpn.estimator import DEFAULT_MODEL

    folder = weights.resolve(model or DEFAULT_MODEL)
    count = threads or usable_cores()
    rows = []
    candidates = _candidates(folder)
    floors = _floors_ms(folder, candidates, count)
    with tempfile.TemporaryDirectory() as scratch:
        for candidate in candidates:
            rows.append(_run(folder, candidate, count, Path(scratch)))
            _compare(rows[-1], Path(scratch), first=rows[0])
            rows[-1]["floor_ms"] = floors[candidate[1]]
            rows[-1]["share_of_floor"] = floors[candidate[1]] / rows[-1]["median_ms"]
            _say(rows[-1], heading=len(rows) == 1, as_json=as_json)
    costs = {
        f"{row['engine']} {row['precision']}": selection.Cost(
            row["start_s"], row["median_ms"] / 1000
        )
        for row in rows
    }
    selection.remember(folder, count, costs)


def _candidates(folder: Path) -> list[tuple[str, str]]:
    """Engine and precision of every row: exact ones first."""
    from glpn import weights
    from glpn.engines.precision import EXACT, quick_kinds
    from glpn.engines.registry import ENGINES

    there = [name for name in ENGINES[1:] if importlib.util.find_spec(name) is not None]
    if not (folder / weights.GRAPH_NAME).is_file():
        there = [name for name in there if name == "torch"]
    quick = [(name, kind) for name in there for kind in quick_kinds(folder, name)[0]]
    return [(name, EXACT) for name in there] + quick


def _floors_ms(folder: Path, candidates: list[tuple[str, str]], threads: int) -> dict[str, float]:
    """Precision → the milliseconds below which no engine can come, by one measurement each."""
    from glpn import weights
    from glpn.engines.roofline import multiply_adds
    from glpn.network.config import GLPNConfig

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
    code = "import sys, json; from glpn.cli.verbs.bench import measure; "
    code += "measure(*json.loads(sys.argv[1]))"
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
    import numpy as np

    from glpn.engines.registry import open_candidate
    from glpn.engines.selection import Candidate

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
    console.say_json(row)


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
    import numpy as np

    depth, expected = (
        np.load(scratch / f"{one['engine']} {one['precision']}.npy") for one in (row, first)
    )
    deviation = np.abs(depth - expected) / expected
    row["deviation_mean"], row["deviation_max"] = float(deviation.mean()), float(deviation.max())


def _say(row: dict[str, Any], *, heading: bool, as_json: bool) -> None:
    if as_json:
        console.say_json(row)
        return
    if heading:
        console.say(
            f"{'engine':12} {'precision':13} {'median ms':>10} {'p95 ms':>8} {'images/s':>9} "
            f"{'in fours':>9} {'MB':>6} {'deviation: mean, max':>22} {'of floor':>9}"
        )
    memory = "?" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
    console.say(
        f"{row['engine']:12} {row['precision']:13} {row['median_ms']:10.1f} {row['p95_ms']:8.1f} "
        f"{row['images_s']:9.1f} {row['images_s_4']:9.1f} {memory:>6} "
        f"{row['deviation_mean']:12.1e} {row['deviation_max']:9.1e} {row['share_of_floor']:9.0%}"
    )
