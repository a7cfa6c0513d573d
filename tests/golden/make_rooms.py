"""Render the rooms that hold the bundled models' accuracy: `python -m tests.golden.make_rooms`.

They are stored, so that a change of the renderer or of the CPU does not move the figures. Only
changed rooms need new figures in `tests/evaluation/test_bundled_accuracy.py`.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from glpn.depth.depth import Depth
from glpn.depth.provenance import Provenance
from glpn.synthetic import render

ROOMS = Path(__file__).with_name("rooms")
SEEDS = range(900_001, 900_009)  # no model was trained on these
SIZE = (240, 320)


def main() -> None:
    """Write a photo and its true depth, with the camera, for every seed."""
    ROOMS.mkdir(exist_ok=True)
    rooms = render(SEEDS, SIZE)
    for place, seed in enumerate(SEEDS):
        image = Image.fromarray(rooms.image[place].numpy())
        image.save(ROOMS / f"{seed}.jpg", quality=92)
        origin = Provenance("glpn.synthetic", "", "", "", image=f"{seed}.jpg")
        depth = Depth(rooms.depth[place].numpy(), rooms.cameras[place], origin)
        depth.save(ROOMS / f"{seed}.png")


if __name__ == "__main__":
    main()
