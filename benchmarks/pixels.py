"""What a photograph costs against its pixels, from 0.05 to 12 megapixels.

    python benchmarks/pixels.py [--model glpn-b0-indoor] [--json pixels.json] [--plot pixels.png]

Two costs, each size in a process of its own: the network given all pixels (`short_side` and the
cap on its input taken away), and `estimator(photo)` as it comes, which scales the network's input
down. Seconds are medians of calls after one to warm up; the memory is the process's peak. The
exponent p of cost ~ pixels^p is fitted by least squares to the logarithms, from 0.3 megapixels on,
where the fixed costs are small.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

MEGAPIXELS = (0.05, 0.1, 0.3, 0.7, 1.5, 3, 6, 12)
FITTED_FROM = 0.3
LONGEST_SECONDS = 3.0  # of calls at one size
MOST_BYTES = 8 << 30  # of address space; a size that needs more counts as failed


def size_of(megapixels: float) -> tuple[int, int]:
    """Height and width, 3:4, multiples of 32."""
    height = (megapixels * 1e6 * 3 / 4) ** 0.5
    return max(round(height / 32), 1) * 32, max(round(height * 4 / 3 / 32), 1) * 32


def measure(model: str, what: str, height: int, width: int) -> dict[str, float]:
    """In this process: seconds of a call, and the process's peak memory in megabytes."""
    import glpn

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    estimator = glpn.load(model)
    coarse = np.random.default_rng(0).integers(0, 256, (height // 32, width // 32, 3), np.uint8)
    image = coarse.repeat(32, axis=0).repeat(32, axis=1)
    call: Callable[[], object] = partial(estimator, image)
    if what == "network":
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
        call = partial(estimator.engine, pixels / np.float32(255))
        del pixels
    call()
    times: list[float] = []
    while not times or (len(times) < 7 and sum(times) < LONGEST_SECONDS):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": statistics.median(times), "peak_mb": peak}


def exponent(rows: list[dict[str, Any]], key: str) -> float:
    fitted = [row for row in rows if row["megapixels"] >= FITTED_FROM]
    logs = np.log([[row["megapixels"], row[key]] for row in fitted])
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def plot(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    labels = {"network": "network given all pixels", "photo": "estimator(photo)"}
    for ax, key, unit in zip(
        axes, ("seconds", "peak_mb"), ("seconds", "peak memory, MB"), strict=True
    ):
        for what, rows in results.items():
            label = f"{labels[what]}" + (
                f", ~ pixels^{exponent(rows, key):.2f}" if what == "network" else ""
            )
            ax.plot([r["megapixels"] for r in rows], [r[key] for r in rows], "o-", label=label)
        ax.set(xscale="log", yscale="log", xlabel="megapixels", ylabel=unit)
        ax.grid(True, which="both", alpha=0.3)
        ax.legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--most", type=float, default=12, help="megapixels")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        what, height, width = options.one
        print(json.dumps(measure(options.model, what, int(height), int(width))))
        return
    results: dict[str, list[dict[str, Any]]] = {"network": [], "photo": []}
    for what, rows in results.items():
        for megapixels in (m for m in MEGAPIXELS if m <= options.most):
            size = size_of(megapixels)
            one = [sys.executable, __file__, "--model", options.model, "--one", what]
            done = subprocess.run(
                [*one, *map(str, size)], capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                print(f"{what} {size}: {done.stderr.strip().splitlines()[-1:]}", flush=True)
                continue
            row = {"megapixels": size[0] * size[1] / 1e6, "size": size, **json.loads(done.stdout)}
            rows.append(row)
            figures = f"{row['seconds']:8.3f} s  {row['peak_mb']:6.0f} MB"
            print(f"{what:8} {size[0]:5}x{size[1]:<5} {figures}", flush=True)
    for key in ("seconds", "peak_mb"):
        print(f"network: {key} ~ pixels^{exponent(results['network'], key):.2f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
