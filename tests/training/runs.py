"""Small runs to test with: frames on disk, a tiny network, and what a run leaves behind."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glpn.training.checkpoint import MANIFEST, list_checkpoints
from glpn.training.recipe import Recipe

SIZE = (64, 96)  # height, width


def write_frames(folder: Path, count: int, *, size: tuple[int, int] = SIZE) -> Path:
    """Rooms with a floor that recedes and a wall, RGB beside depth in millimetres."""
    height, width = size
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    rows, columns = np.mgrid[:height, :width]
    for index in range(count):
        rng = np.random.default_rng(index)
        metres = np.minimum(1.5 + index % 3, 0.8 * height / (rows + 1)) + 0.002 * columns
        shade = 220 / (1 + 0.4 * metres)
        colour = rng.uniform(0.5, 1, 3)
        noise = rng.normal(0, 3, (height, width, 3))
        image = np.clip(shade[..., None] * colour + noise, 0, 255).astype(np.uint8)
        write_frame(folder, f"{index:03d}", image, metres)
    (folder / "dataset.toml").write_text('unit = "mm"\n')
    return folder


def write_frame(folder: Path, stem: str, image: np.ndarray, metres: np.ndarray) -> None:
    Image.fromarray(image).save(folder / f"rgb/{stem}.png")
    Image.fromarray(np.rint(metres * 1000).astype(np.uint16)).save(folder / f"depth/{stem}.png")


def tiny_recipe(frames: Path, run: Path, *changes: str) -> Recipe:
    """A few steps with everything switched on that could differ between two runs."""
    return Recipe.from_dict(
        {
            "model": {
                "config": {
                    "hidden_sizes": [8, 16, 40, 64],
                    "depths": [1, 1, 1, 1],
                    "decoder_hidden_size": 16,
                    "drop_path_rate": 0.2,
                    "hidden_dropout_prob": 0.1,
                }
            },
            "data": {"train": str(frames), "val_share": 0.25},
            "augment": {"crop": [32, 64]},
            "optimiser": {"kind": "adamw", "weight_decay": 0.01, "clip_norm": 1.0},
            "schedule": {"rate": 1e-3},
            "loop": {"steps": 6, "batch": 4, "ema": 0.9, "validate_every": 3},
            "run": {
                "folder": str(run),
                "save_every": 2,
                "keep": 3,
                "device": "cpu",
                "threads": 1,
                "doctor": False,
                "progress": False,
            },
        }
    ).override(changes)


def log_of(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def traces(run: Path) -> dict[str, str]:
    """Hashes of all that a run must end with: log, exported models, everything in its last state.

    The manifest names the hash of every file of its checkpoint.
    """
    files = {
        "log": run / "log.jsonl",
        "best": run / "best/model.safetensors",
        "last": run / "last/model.safetensors",
        "state": list_checkpoints(run / "checkpoints")[0] / MANIFEST,
    }
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
