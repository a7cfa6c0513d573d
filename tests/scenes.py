"""iBims-1's MATLAB files in miniature: a room of a wall and a floor with one depth edge.

The layout is that which the published evaluation script reads, as remembered, not that of real
files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

SIZE = (48, 64)
FOCAL = 60.0
MIDDLE = (31.0, 22.0)  # x, y of the principal point; pixels count from 0
EDGE = 40  # the column from which on the wall stands further back
WALL, FLOOR = np.s_[:30, :EDGE], np.s_[34:, :]

# Of a prediction of 2.5 m everywhere: the walls are right but for the scale, the floor is seen as a
# wall (90 degrees), no edge is found (10 pixels), and all that lies beyond 3 m is put too near: of
# the floor, 0.9 m below, with 60 px of focal length, what is less than 18 rows below the horizon (6
# rows of it are in the picture), and 24 columns of the 34 rows above the floor.
FAR = (6 * 64 + 34 * 24) / (48 * 64)


def fields(seed: int = 0) -> dict[str, Any]:
    """The structure `data` of one scene: a wall at 2.5 m (4 m from EDGE on) above a floor."""
    rng = np.random.default_rng(seed)
    depth = np.full(SIZE, 2.5)
    depth[:, EDGE:] = 4.0
    down = (np.arange(SIZE[0]) - MIDDLE[1]) / FOCAL
    depth[FLOOR] = (0.9 / down[34:])[:, None]  # the plane 0.9 m below the eye
    edges, wall, floor = (np.zeros(SIZE, np.uint8) for _ in range(3))
    edges[:30, EDGE] = 1
    wall[WALL], wall[:30, EDGE:], floor[FLOOR] = 1, 2, 1
    matrix = np.array([[FOCAL, 0, MIDDLE[0] + 1], [0, FOCAL, MIDDLE[1] + 1], [0, 0, 1]])
    return {
        "rgb": rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8),
        "depth": depth,
        "edges": edges,
        "calib": matrix,
        "mask_invalid": np.ones(SIZE, np.uint8),
        "mask_transp": np.ones(SIZE, np.uint8),
        "mask_wall": wall,
        "mask_wall_paras": np.array([[0.0, 1, 0, -2.5], [0.0, 1, 0, -4.0]]),
        "mask_floor": floor,
        "mask_floor_paras": np.array([[0.0, 0, 1, 0.9]]),
        "mask_table": np.zeros(SIZE, np.uint8),
        "mask_table_paras": np.zeros((0, 4)),
    }


def write(path: Path, values: dict[str, Any] | None = None) -> Path:
    """One scene as NAME.mat."""
    from scipy.io import savemat

    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(str(path), {"data": fields() if values is None else values})
    return path


def release(root: Path, count: int = 2) -> Path:
    """The MATLAB release: NAME.mat for each scene beside imagelist.txt."""
    for number in range(count):
        write(root / f"room_{number}.mat", fields(number))
    (root / "imagelist.txt").write_text("".join(f"room_{n}\n" for n in range(count)))
    return root
