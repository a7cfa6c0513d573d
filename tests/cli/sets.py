"""The public datasets in miniature: their names and formats, a few tiny frames of noise."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from PIL import Image

SMALL = (48, 64)
KITTI_SIZE = (376, 1242)  # the KB crop leaves no room for less
NYU_SIZE = (480, 640)
NYU_KINDS = ("kitchen", "bedroom", "kitchen", "bedroom")
KITTI_NAME = "2011_09_26/2011_09_26_drive_0002_sync"


def put(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def picture(seed: int, size: tuple[int, int] = SMALL) -> np.ndarray:
    """A few flat patches: not constant, and small as a file."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(patches).resize(size[::-1], Image.Resampling.NEAREST))


def depth(seed: int, size: tuple[int, int] = SMALL, *, scale: float = 1000) -> np.ndarray:
    """Metres from 1 to 9 with a tenth unknown (0), as 16-bit units."""
    rng = np.random.default_rng((seed, 1))
    metres = rng.uniform(1, 9, size)
    metres[rng.random(size) < 0.1] = 0
    return np.rint(metres * scale).astype(np.uint16)


def nyu(root: Path, rooms: dict[str, int] | None = None) -> Path:
    """NYU Depth V2's test part: room kind → frames in it."""
    seed = 0
    for room, count in (rooms or {"bathroom": 2, "kitchen": 2}).items():
        for number in range(count):
            folder, seed = root / "official_splits/test" / room, seed + 1
            put(folder / f"rgb_{number:05}.png", picture(seed))
            put(folder / f"sync_depth_{number:05}.png", depth(seed))
    return root


def kitti(root: Path, count: int = 2) -> Path:
    """KITTI's raw_data and data_depth_annotated with the list of the Eigen split."""
    lines = []
    for number in range(count):
        name = f"{number:010}.png"
        rgb = f"{KITTI_NAME}/image_02/data/{name}"
        truth = f"{KITTI_NAME.split('/')[1]}/proj_depth/groundtruth/image_02/{name}"
        put(root / "raw_data" / rgb, picture(number, KITTI_SIZE))
        put(root / "data_depth_annotated/val" / truth, depth(number, KITTI_SIZE, scale=256))
        lines.append(f"{rgb} {truth} 721.5377")
    (root / "eigen_test_files_with_gt.txt").write_text("\n".join(lines) + "\n")
    return root


def ibims(root: Path, count: int = 2) -> Path:
    """iBims-1's PNG release: no planes, no edges."""
    for number in range(count):
        put(root / f"rgb/room_{number}.png", picture(number))
        put(root / f"depth/room_{number}.png", depth(number, scale=65535 / 50))
        put(root / f"mask_invalid/room_{number}.png", np.full(SMALL, 255, np.uint8))
    (root / "imagelist.txt").write_text("".join(f"room_{n}\n" for n in range(count)))
    return root


def plain(root: Path, count: int = 4, *, bits: int = 8) -> Path:
    """rgb/ beside depth/, metres = (raw + 0.5) / 25.5, with val.txt, the last half of them."""
    for number in range(count):
        raw = depth(number, scale=25.5).astype(np.uint8 if bits == 8 else np.uint16)
        put(root / f"rgb/{number:03}.jpg", picture(number))
        put(root / f"depth/{number:03}.png", raw)
    names = [f"{number:03}\n" for number in range(count)]
    (root / "val.txt").write_text("".join(names[count // 2 :]))
    return root


def room(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A photo and its metres: a floor that recedes to a wall."""
    height, width = NYU_SIZE
    rows, columns = np.mgrid[:height, :width]
    metres = np.minimum(2.0 + seed, 0.8 * height / (rows + 1)) + 0.0003 * columns
    light = np.random.default_rng(seed).uniform(0.5, 1, 3)
    noise = np.random.default_rng(seed).normal(0, 3, (*NYU_SIZE, 3))
    shade = 220 / (1 + 0.4 * metres)
    return np.clip(shade[..., None] * light + noise, 0, 255).astype(np.uint8), metres


def nyu_labelled(path: Path) -> None:
    """NYU's labelled file: MATLAB v7.3, so HDF5 with reversed axes and strings by reference."""
    images, depths = map(np.stack, zip(*map(room, range(len(NYU_KINDS))), strict=True))
    with h5py.File(path, "w") as file:
        file["images"] = images.transpose(0, 3, 2, 1)
        file["rawDepths"] = depths.astype(np.float32).transpose(0, 2, 1)
        kinds = file.create_dataset("sceneTypes", (1, len(NYU_KINDS)), dtype=h5py.ref_dtype)
        for index, kind in enumerate(NYU_KINDS):
            file[f"#refs#/{index}"] = np.array([[ord(letter)] for letter in kind], np.uint16)
            kinds[0, index] = file[f"#refs#/{index}"].ref
