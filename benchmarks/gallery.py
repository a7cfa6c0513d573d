"""Pictures of what a model sees: photographs, or the best, middling and worst frames of a dataset.

    python benchmarks/gallery.py sheet.jpg PHOTO [PHOTO ...]
    python benchmarks/gallery.py sheet.jpg --data FOLDER [--spec TOML] [--split val] [--rows 12]

Of photographs: each beside its depth, one colour scale for all. Of a dataset (anything `glpn.data`
reads): frames from the lowest to the highest AbsRel in equal steps, each with its photo, the true
depth, the predicted one, and log(predicted / true). The camera is not given and no scale is fitted.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

import glpn
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.data.sample import Samples
from glpn.evaluation.metrics import pixel_sums

FAR = 6.0  # metres at the end of the colour scale; beyond, the last colour
COLUMNS = 3  # photographs in a row of the sheet


@dataclass
class Row:
    """One frame and what the model makes of it."""

    name: str
    image: NDArray[np.uint8]
    truth: NDArray[np.float32]
    depth: NDArray[np.float32]
    abs_rel: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sheet", type=Path)
    parser.add_argument("photos", nargs="*", type=Path)
    parser.add_argument("--data", help="a dataset instead of photographs")
    parser.add_argument("--spec", help="a dataset.toml that describes it")
    parser.add_argument("--split")
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--model", default="glpn-b0-indoor")
    arguments = parser.parse_args()
    estimator = glpn.load(arguments.model)
    if arguments.data:
        spec = DatasetSpec.from_toml(arguments.spec) if arguments.spec else None
        frames = open_dataset(arguments.data, spec, split=arguments.split)
        figure = of_dataset(estimator, frames, arguments.rows)
    else:
        figure = of_photographs(estimator, arguments.photos)
    figure.savefig(arguments.sheet, dpi=80, pil_kwargs={"quality": 88})


def of_photographs(estimator: glpn.DepthEstimator, photos: list[Path]) -> Any:
    lines = -(-len(photos) // COLUMNS)
    size = (5 * COLUMNS, 2.1 * lines)
    figure, axes = plt.subplots(
        lines, 2 * COLUMNS, figsize=size, squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for place, photo in enumerate(photos):
        depth = estimator(photo)
        left, right = axes[place // COLUMNS, 2 * (place % COLUMNS) :][:2]
        left.imshow(depth.image)
        left.set_title(photo.stem, fontsize=9)
        metres = depth.metres
        low, high = np.percentile(metres, (2, 98))
        drawn = right.imshow(metres, cmap="inferno", vmin=0, vmax=FAR)
        right.set_title(f"{low:.1f} to {high:.1f} m", fontsize=9)
    figure.colorbar(drawn, ax=axes, label="metres", shrink=0.8)
    return figure


def of_dataset(estimator: glpn.DepthEstimator, frames: Samples, count: int) -> Any:
    scores = [row(estimator, frames, index).abs_rel for index in range(len(frames))]
    order = np.argsort(scores)[np.linspace(0, len(frames) - 1, count).round().astype(int)]
    size = (11, 2.2 * count)
    figure, axes = plt.subplots(count, 4, figsize=size, squeeze=False, layout="constrained")
    for line, index in zip(axes, order, strict=True):
        shown = row(estimator, frames, int(index))
        known = shown.truth > 0
        error = np.log(shown.depth / np.where(known, shown.truth, shown.depth))
        line[0].imshow(shown.image)
        line[0].set_title(shown.name, fontsize=9)
        for axis, metres, title in (
            (line[1], np.where(known, shown.truth, np.nan), "true"),
            (line[2], shown.depth, f"predicted: AbsRel {shown.abs_rel:.2f}"),
        ):
            depth = axis.imshow(metres, cmap="inferno", vmin=0, vmax=FAR)
            axis.set_title(title, fontsize=9)
        wrong = line[3].imshow(np.where(known, error, np.nan), cmap="RdBu", vmin=-0.7, vmax=0.7)
        line[3].set_title("too near (red), too far (blue)", fontsize=9)
        for axis in line:
            axis.axis("off")
    figure.colorbar(depth, ax=axes[:, 2], label="metres", shrink=0.5)
    figure.colorbar(wrong, ax=axes[:, 3], label="log(predicted / true)", shrink=0.5)
    return figure


def row(estimator: glpn.DepthEstimator, frames: Samples, index: int) -> Row:
    sample = frames[index]
    depth = estimator(sample.image).metres
    abs_rel = pixel_sums(depth, sample.depth, sample.depth > 0).metrics().abs_rel
    return Row(sample.name, sample.image, sample.depth, depth, abs_rel)


if __name__ == "__main__":
    main()
