"""The effect of each ingredient of the bundled model: short runs that differ in one setting.

    python recipes/bundled/ablations.py DATA RUNS     # after the stages features, labels and rooms

Every run has 200 steps of 16 windows of 96×128 pixels at the scale of the bundled model, from the
weights after `features`, on `train.txt` with Vertical CutDepth, unless its name says otherwise. The
table gives the mean of δ1 and AbsRel over the 100 frames of `val.txt` (Eigen crop, metric), and the
difference to `as published` with its 95 % interval (bootstrap over frames, paired). The frames of
one room are not independent, so the intervals are somewhat too narrow; and one run has one seed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from train import Stage, train

BASE = Stage({"nyu": 16}, 200, 3e-4, start="features", crop=(96, 128))
PARTS = replace(BASE, encoder_only=True)  # new decoder: both fusions start from random weights
RUNS = {
    "as published": BASE,
    "CutDepth: none": replace(BASE, cut_depth="none"),
    "CutDepth: square": replace(BASE, cut_depth="square"),
    "with rooms (5 of 16)": replace(BASE, mix={"nyu": 11, "rooms": 5}),
    "with rooms and their edges": replace(BASE, mix={"nyu": 11, "rooms": 5}, edge_weight=0.5),
    "with labelled photographs (5 of 16)": replace(BASE, mix={"nyu": 11, "labels": 5}),
    "start: random": replace(BASE, start=None, rate=8e-4),
    "start: rooms": replace(BASE, start="rooms"),
    "new decoder, selective fusion": PARTS,
    "new decoder, sum instead of fusion": replace(PARTS, fusion="sum"),
}
RESAMPLES = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    arguments = parser.parse_args()
    scores = {}
    for title, stage in RUNS.items():
        name = "ablation-" + "".join(c if c.isalnum() else "-" for c in title)
        figures = arguments.runs / name / "val.json"
        if not figures.exists():
            train(name, stage, arguments.data, arguments.runs)
        scores[title] = json.loads(figures.read_text())
    print("| run | δ1 | difference | AbsRel | difference |\n|---|---|---|---|---|")
    base = scores["as published"]
    for title, own in scores.items():
        cells = []
        for name in ("delta1", "abs_rel"):
            cells.append(f"{np.mean(own[name]):.3f}")
            cells.append(interval(np.subtract(own[name], base[name])))
        print("|", " | ".join([title, *cells]), "|")


def interval(differences: np.ndarray) -> str:
    """Mean of paired differences with a 95 % percentile bootstrap interval."""
    rng = np.random.default_rng(0)
    means = rng.choice(differences, (RESAMPLES, len(differences))).mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
