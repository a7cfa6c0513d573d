"""Call every compiled kernel on random shapes, for the sanitizers to watch.

    scripts/sanitize python -m tests.native.random_shapes --calls 20000

Arrays have exactly the size that a kernel may touch, so an access beyond them is a report. With
`--overrun`, one output is a row too short on purpose: the run must fail, or it proves nothing.
"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

import numpy as np
import torch

from glpn import native
from glpn.native import enlarge, shrink
from glpn.processing import resize
from glpn.synthetic import sample_scenes
from glpn.synthetic.rendering import compiled
from glpn.synthetic.rendering.batch import gather
from glpn.synthetic.rendering.cast import NO_HIT, Solids, cast, nearest_of, to_local
from glpn.synthetic.rendering.surface import Pixels, surface, surface_table
from glpn.synthetic.scenes.textures import KINDS

LANES = (4, 8, 16)  # floats in a vector of each clone of head.c


def head(rng: np.random.Generator) -> None:
    """The network's head: any map, both types, both layouts, every clone, some threads."""
    channels = 8 * int(rng.integers(1, 9))
    shape = (int(rng.integers(1, 3)), *rng.integers(1, 14, 2), channels)
    features = rng.standard_normal(shape).astype(np.float32)
    weights = native.HeadWeights.of(
        rng.standard_normal((channels, channels, 3, 3)).astype(np.float32),
        rng.standard_normal(channels).astype(np.float32),
        rng.standard_normal((1, channels, 3, 3)).astype(np.float32),
        rng.standard_normal(1).astype(np.float32),
        max_depth=10,
    )
    if rng.random() < 0.5:
        features = (features.view(np.uint32) >> 16).astype(np.uint16)  # bfloat16
    if rng.random() < 0.5:
        planes = np.ascontiguousarray(features.transpose(0, 3, 1, 2))
        features = planes.transpose(0, 2, 3, 1)
    clones = [i for i in range(native.clones()) if channels % LANES[i] == 0]
    threads = int(rng.integers(1, 4))
    native.depth_head(features, weights, threads=threads, clone=int(rng.choice(clones)))


def enlargement(rng: np.random.Generator) -> None:
    """A map onto a larger size."""
    old = rng.integers(1, 40, 2)
    new = old + rng.integers(0, 150, 2)
    values = rng.uniform(1e-3, 10, old).astype(np.float32)
    rows, columns = (
        resize._taps(int(a), int(b), np.float32) for a, b in zip(old, new, strict=True)
    )
    clone = int(rng.integers(enlarge.clones()))
    enlarge.enlarged(values, rows, columns, (0.0, 10.0), clone=clone)


def shrinking(rng: np.random.Generator) -> None:
    """A photo onto the network's input."""
    old, new = rng.integers(1, 120, 2), rng.integers(1, 120, 2)
    image = rng.integers(0, 256, (*old, 3), np.uint8)
    levels = rng.standard_normal((3, 256)).astype(np.float32)
    clone = int(rng.integers(shrink.clones()))
    size = int(new[0]), int(new[1])
    shrink.network_input(image, size, levels, clone=clone)


def rendering(rng: np.random.Generator) -> None:
    """Rays and surfaces of a few random scenes at a random size."""
    seeds = [int(seed) for seed in rng.integers(0, 10_000, rng.integers(1, 3))]
    scenes = sample_scenes(seeds, str(rng.choice(["indoor", "street"])))
    size = int(rng.integers(16, 60)), int(rng.integers(16, 60))  # a camera's focal length fits
    worlds, shots, _ = gather(scenes, size, torch.device("cpu"))
    solids = Solids(*(field[shots.world] for field in worlds.solids))
    present = worlds.present[shots.world]
    wanted = present & torch.from_numpy(rng.random(tuple(present.shape)) < rng.random())
    eyes = shots.eyes
    hits = cast(solids, eyes, wanted=wanted)
    around = [hits.solid.roll(shift, 2).flatten(1) for shift in range(int(rng.integers(1, 6)))]
    local, at = to_local(solids, eyes), (eyes.x.flatten(1), eyes.y.flatten(1))
    nearest_of(solids, local, torch.stack(around), at=at)

    look = torch.from_numpy(rng.random((*wanted.shape, 19)).astype(np.float32))
    look[..., 4] = (sum(KINDS.values()) * look[..., 4]).floor()
    look[..., 5] -= 0.5  # a scale; a texture covers its face where it is not positive
    there = hits.solid != NO_HIT
    if not there.any():
        return
    first = torch.arange(len(wanted))[:, None, None] * wanted.shape[1]
    depth = hits.depth[there]
    fields = ((hits.solid + first)[there], eyes.x[there], eyes.y[there], depth, depth / 200)
    surface(surface_table(solids, local, look), Pixels(*fields))


def overrun() -> None:
    """The enlargement of a map into memory that is one row too short."""
    taps = resize._taps(4, 8, np.float32)
    empty = np.empty

    def short(size: Any, dtype: Any) -> Any:
        return empty((size[0] - 1, size[1]) if size == (8, 8) else size, dtype)

    np.empty = short  # type: ignore[misc, assignment]
    enlarge.enlarged(np.ones((4, 4), np.float32), taps, taps, (0.0, 10.0), clone=0)


# A renderer's call costs as much as forty others: it makes scenes.
KERNELS = {head: 40, enlargement: 40, shrinking: 40, rendering: 1}


def main() -> None:
    """Call the kernels in turns, each according to its share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--overrun", action="store_true")
    args = parser.parse_args()
    if not (native.available() and compiled.available(torch.device("cpu"))):
        raise SystemExit("the kernels are not compiled")
    torch.set_num_threads(2)
    if args.overrun:
        overrun()
    turns = [kernel for kernel, share in KERNELS.items() for _ in range(share)]
    done: Counter[str] = Counter()
    for call in range(args.calls):
        kernel = turns[call % len(turns)]
        kernel(np.random.default_rng((args.seed, call)))
        done[kernel.__name__] += 1
    print(", ".join(f"{name} {count}" for name, count in done.items()))


if __name__ == "__main__":
    main()
