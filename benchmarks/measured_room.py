"""A rendered room, its predicted depth, and three lengths beside the true ones: README's picture.

    glpn synth ROOM --furniture FURNITURE --seed 7100006 --count 6 --views 6 --size 1200x1600
    python benchmarks/measured_room.py ROOM room.jpg [--model glpn-b0-indoor]

The model never saw this room. The lengths are measured between the same two pixels on the predicted
and on the exact depth. The picture shows models of Sweet Home 3D: ROOM/CREDITS.md names their
creators.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import glpn
from glpn.data.datasets import open_dataset
from glpn.depth.colormaps import DEFAULT_COLORMAP, color_range, colorize
from glpn.depth.legend import legend

FRAME = 2
WIDTH = 1600  # of both pictures and the legend
LENGTHS = {  # pixels of the ends
    "door": ((843, 156), (843, 692)),
    "chair": ((1012, 500), (1002, 738)),
    "box": ((262, 700), (622, 690)),
}
Point = tuple[int, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("room", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--model", default="glpn-b0-indoor")
    arguments = parser.parse_args()
    sample = open_dataset(arguments.room)[FRAME]
    predicted = glpn.load(arguments.model)(sample.image, camera=sample.camera)
    true = dataclasses.replace(predicted, metres=sample.depth)
    labels = {}
    for name, ends in LENGTHS.items():
        length, exact = predicted.between(*ends), true.between(*ends)
        labels[ends] = f"{name} {length:.2f} m (true {exact:.2f})"
        print(labels[ends])
    drawn(predicted, labels).save(arguments.picture, quality=88)


def drawn(depth: glpn.Depth, labels: dict[tuple[Point, Point], str]) -> Image.Image:
    """The photo with the lengths, and the depth with its legend."""
    near, far = color_range(depth.metres)
    colours = colorize(depth.metres, DEFAULT_COLORMAP, near=near, far=far)
    assert depth.image is not None
    pictures = np.hstack([depth.image, colours])
    scale = WIDTH / (pictures.shape[1] * 1.05)
    size = (round(pictures.shape[1] * scale), round(pictures.shape[0] * scale))
    both = Image.fromarray(pictures).resize(size, Image.Resampling.LANCZOS)
    bar = Image.fromarray(legend(size[1], DEFAULT_COLORMAP, near, far))
    whole = Image.new("RGB", (size[0] + bar.width, size[1]), "white")
    whole.paste(both, (0, 0))
    whole.paste(bar, (size[0], 0))
    draw, font = ImageDraw.Draw(whole), ImageFont.load_default(size[1] // 26)
    for ends, label in labels.items():
        line = [(x * scale, y * scale) for x, y in ends]
        draw.line(line, "black", width=5)
        draw.line(line, "white", width=3)
        middle = (sum(x for x, _ in line) / 2 + 8, sum(y for _, y in line) / 2 + 14)
        draw.text(middle, label, "white", font, "lm", stroke_width=3, stroke_fill="black")
    return whole


if __name__ == "__main__":
    main()
