"""Plots of what benchmarks/latency.py measured, into docs/images/speed-*.svg.

    python benchmarks/speed_plots.py

Milliseconds against pixels, speed against deviation, and the fraction of the peak: the network's
multiply-adds per second over those of large matrix products in the same precision.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "latency.json"
IMAGES = ROOT / "docs" / "images"
PEER = "transformers"
CASES = (PEER, "float32 onnxruntime", "float32 openvino", "bfloat16 openvino", "int8 openvino")
Table = dict[str, dict[str, Any]]  # case → its figures


def tables(results: dict[str, Any]) -> dict[tuple[str, str, tuple[int, int]], Table]:
    """(preset, batch, size) → cases, those with the system's allocator."""
    found = {}
    for key, table in results.items():
        preset, batch, size = key.split(", ")
        height, width = map(int, size.split("×"))
        cases = {name: row for name, row in table["cases"].items() if "tuned" not in name}
        found[preset, batch, (height, width)] = cases
    return found


def sizes(measured: dict[tuple[str, str, tuple[int, int]], Table]) -> Figure:
    """Milliseconds against megapixels, one line a case, b0 alone."""
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    chosen = {
        size: cases for (p, b, size), cases in measured.items() if (p, b) == ("b0", "batch 1")
    }
    for case in CASES:
        rows = sorted((h * w / 1e6, t[case]) for (h, w), t in chosen.items() if case in t)
        ax.plot([x for x, _ in rows], [row["image_ms"] for _, row in rows], "o-", label=case)
    ax.set(xscale="log", yscale="log", xlabel="megapixels", ylabel="milliseconds, b0")
    ax.legend()
    return figure


def deviations(measured: dict[tuple[str, str, tuple[int, int]], Table]) -> Figure:
    """Times as fast as the peer against the mean deviation from it, at 480×640."""
    figure, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for preset, mark in (("b0", "o"), ("b4", "s")):
        for case, row in measured.get((preset, "batch 1", (480, 640)), {}).items():
            if case == PEER:
                continue
            x, y = row["deviation"]["mean"], row["times_as_fast"][PEER]["median"]
            ax.plot(x, y, mark, color="C0" if preset == "b0" else "C1")
            right = preset == "b0"  # of the mark; b4's engines are close to each other
            up = {"openvino": 3, "onnxruntime": -5, "torch": -8}[case.split()[-1]]
            ax.annotate(
                f"{preset} {case}",
                (x, y),
                textcoords="offset points",
                xytext=(6 if right else -6, up),
                ha="left" if right else "right",
            )
    ax.set(xscale="log", xlabel="mean deviation of the metres", ylabel=f"times as fast as {PEER}")
    ax.margins(x=0.5, y=0.15)
    return figure


def peaks(measured: dict[tuple[str, str, tuple[int, int]], Table]) -> Figure:
    """One bar per case: the time at the peak rate over the measured time, at 480×640."""
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    rows = [
        (f"{preset} {case}", row["fraction_of_peak"])
        for preset in ("b0", "b4")
        for case, row in measured.get((preset, "batch 1", (480, 640)), {}).items()
    ]
    bars = ax.barh([name for name, _ in rows][::-1], [100 * share for _, share in rows][::-1])
    ax.bar_label(bars, fmt="%.0f %%", padding=3)
    ax.set(xlabel="% of the peak rate", xlim=(0, 110))
    return figure


def main() -> None:
    plt.rcParams.update({"svg.hashsalt": "glpn", "axes.grid": True, "grid.alpha": 0.3})
    measured = tables(json.loads(RESULTS.read_text()))
    for name, draw in (("sizes", sizes), ("deviation", deviations), ("peak", peaks)):
        figure = draw(measured)
        figure.savefig(IMAGES / f"speed-{name}.svg", metadata={"Date": None})
        plt.close(figure)


if __name__ == "__main__":
    main()
