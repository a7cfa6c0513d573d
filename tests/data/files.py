"""Small image and depth files for datasets made by tests."""

import numpy as np
from PIL import Image

SIZE = (24, 32)


def put_image(path, size=SIZE, value=100):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)


def put_depth(path, size=SIZE, raw=2000):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = raw if isinstance(raw, np.ndarray) else np.full(size, raw, np.uint16)
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


def put_pairs(root, stems, **options):
    for stem in stems:
        put_image(root / f"rgb/{stem}.jpg")
        put_depth(root / f"depth/{stem}.png", **options)
