"""How well a distance of features tells photos of rooms from anything else.

    python benchmarks/unlike.py DATA [--model glpn-b0-indoor]

DATA holds nyu795, houses_photos, rooms_photos, mixed_photos, hololens_office, replica_apartment and
dgp_driving. Each descriptor of a photo gets a Mahalanobis distance (32 principal directions, the
others with their mean variance) from NYU's training frames, half of the houses and half of the room
photos, weighted alike. The threshold lets 95 % of other frames and photos of these three pass. Each
row prints the fraction above it, and the AUROC against the three.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import glpn
from glpn.image.photo import read_photo
from glpn.network.model import GLPNForDepthEstimation

DIRECTIONS = 32
SETS = {  # folder, pattern, largest number
    "holo": ("hololens_office", "*", 94),
    "replica": ("replica_apartment", "*", 75),
    "driving": ("dgp_driving", "*", 27),
    "indoors": ("mixed_photos", "sun_[ka][iu]*", 187),  # kitchens, auditoriums, airports
    "outdoors": ("mixed_photos", "sun_[cfdbs]*", 63),
    "doors": ("mixed_photos", "doors_*", 150),
    "imagenet": ("mixed_photos", "imagenet*", 300),
    "messy": ("mixed_photos", "messy*", 80),
}


def chosen(folder: Path, pattern: str, count: int) -> list[Path]:
    files = sorted((folder / "rgb").glob(pattern))
    random.Random(0).shuffle(files)
    return files[:count]


def descriptors(model: str, files: list[Path]) -> dict[str, np.ndarray]:
    """Descriptor → values [N, D]: pooled maps of the encoder, and image with depth."""
    processor = glpn.GLPNImageProcessor.from_pretrained(model)
    network = GLPNForDepthEstimation.from_pretrained(model).eval()
    rows: dict[str, list[np.ndarray]] = {"deepest map": [], "all maps": [], "image, depth": []}
    for file in files:
        pixels = processor.pixels(read_photo(file).pixels, max_pixels=1_000_000)
        with torch.inference_mode():
            outputs = network(torch.from_numpy(pixels[None]), output_hidden_states=True)
        means = [each[0].mean((1, 2)).numpy() for each in outputs.hidden_states]
        rows["deepest map"].append(means[-1])
        rows["all maps"].append(np.concatenate(means))
        rows["image, depth"].append(small(pixels, outputs.predicted_depth[0].numpy()))
    return {name: np.stack(values) for name, values in rows.items()}


def small(pixels: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Log depth at 6x8, colours at 3x4 and statistics of the gradient, which every engine has."""
    scaled = [
        np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BOX)).ravel()
        for each, size in [(depth, (8, 6)), *((channel, (4, 3)) for channel in pixels)]
    ]
    steps = [np.abs(np.diff(pixels, axis=axis)) for axis in (1, 2)]
    edges = [value for step in steps for value in (step.mean(), step.std(), np.median(step))]
    return np.concatenate([np.log(scaled[0]), *scaled[1:], np.log1p(100 * np.array(edges))])


def distance(references: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """The function of values [N, D] that gives their distances [N]."""
    values = np.concatenate(references)
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in references])
    weights /= weights.sum()
    mean = weights @ values
    spread = np.sqrt(weights @ (values - mean) ** 2) + 1e-6
    scaled = (values - mean) / spread * np.sqrt(weights)[:, None]
    _, singular, axes = np.linalg.svd(scaled, full_matrices=False)
    variance, axes = singular**2, axes[:DIRECTIONS]
    rest = max(variance[DIRECTIONS:].sum() / max(values.shape[1] - DIRECTIONS, 1), 1e-4)

    def of(x: np.ndarray) -> np.ndarray:
        z = (x - mean) / spread
        along = z @ axes.T
        across = np.clip((z**2).sum(1) - (along**2).sum(1), 0, None)
        distances: np.ndarray = (along**2 / variance[: len(axes)]).sum(1) + across / rest
        return distances

    return of


def auroc(known: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean(other[:, None] > known[None]))


def known_files(data: Path) -> Iterator[tuple[list[Path], list[Path]]]:
    """(reference, held out) of the three kinds of photos that count as known."""
    nyu = data / "nyu795"
    train, val = (
        [nyu / "rgb" / f"{stem}.jpg" for stem in (nyu / f"{part}.txt").read_text().split()]
        for part in ("train", "val")
    )
    yield train, val
    for folder in ("houses_photos", "rooms_photos"):
        files = chosen(data / folder, "*", 200)
        yield files[::2], files[1::2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="glpn-b0-indoor")
    arguments = parser.parse_args()
    pairs = list(known_files(arguments.data))
    reference = [descriptors(arguments.model, files) for files, _ in pairs]
    known = [descriptors(arguments.model, files) for _, files in pairs]
    others = {
        name: descriptors(arguments.model, chosen(arguments.data / folder, pattern, count))
        for name, (folder, pattern, count) in SETS.items()
    }
    for kind in known[0]:
        measure = distance([each[kind] for each in reference])
        passing = [measure(each[kind]) for each in known]
        threshold = np.quantile(np.concatenate(passing), 0.95)
        print(
            f"{kind}: known above the threshold",
            [round(np.mean(p > threshold), 2) for p in passing],
        )
        for name, values in others.items():
            found = measure(values[kind])
            score = auroc(np.concatenate(passing), found)
            print(f"  {name:10s} above {np.mean(found > threshold):.2f}, AUROC {score:.2f}")


if __name__ == "__main__":
    main()
