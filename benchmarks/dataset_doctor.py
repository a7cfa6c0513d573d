"""The dataset doctor on real sets: ten faults put in, and the same sets as they are.

    GLPN_DATA=DATA python benchmarks/dataset_doctor.py

DATA holds `hololens_office`, `nyu795` and `replica_apartment`. Each fault is written into a copy of
24 frames of one set. "Found" means that opening refuses the set, or that a warning or a finding
names the fault. On the originals with their true units nothing may be found, apart from NYU's white
border, which is there.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.data.doctor import check
from glpn.errors import DataError

FRAMES = 24
MM = DatasetSpec(unit="mm")
TRUE = {
    "hololens_office": MM.replace(intrinsics="K.txt"),
    "nyu795": DatasetSpec(scale=25.5, offset=0.5, invalid=()),
    "replica_apartment": MM,
}
TRUE_FINDINGS = {"nyu795": {"border"}}

Millimetres = NDArray[np.float64]


@dataclass(frozen=True)
class Fault:
    """A change of all depth maps (or of some), and words of the finding that must name it."""

    name: str
    data: str
    change: Callable[[Millimetres], Millimetres]
    words: tuple[str, ...]
    only: int | None = None
    stated: bool = True  # the set is said to be in millimetres

    def spec(self) -> DatasetSpec | None:
        """What the user says of the set; None leaves it to be guessed."""
        return MM if self.stated else None


def _unknown(value: float) -> Callable[[Millimetres], Millimetres]:
    def change(depth: Millimetres) -> Millimetres:
        holes = np.random.default_rng(1).random(depth.shape) < 0.2
        return np.where((depth == 0) | holes, value, depth)

    return change


FAULTS = (
    Fault("unit 1/5000 m read as mm", "hololens_office", lambda d: d * 5, ("unit",)),
    Fault("unit 1/4000 m, not stated", "nyu795", lambda d: d * 4, ("guessed", "as likely"),
          stated=False),
    Fault("centimetres read as mm", "replica_apartment", lambda d: d / 10, ("unit",)),
    Fault("metres * 256 read as mm", "nyu795", lambda d: d * 0.256, ("unit",)),
    Fault("each frame to its own maximum", "hololens_office", lambda d: d * (65535 / d.max()),
          ("frame by frame",)),
    Fault("one frame ten times too small", "replica_apartment", lambda d: d / 10, ("unit",), 7),
    Fault("unknown stored as 65535", "hololens_office", _unknown(65535), ("unknown depth",)),
    Fault("unknown stored as the maximum", "nyu795", _unknown(10000), ("unknown depth",)),
    Fault("rotated by 180°", "hololens_office", lambda d: np.rot90(d, 2), ("rotated by 180°",)),
    Fault("transposed", "replica_apartment", lambda d: d.T, ("transposed",)),
)  # fmt: skip


def main() -> int:
    """Print the table; the exit code is 1 where a fault is missed or a finding is false."""
    data = os.environ.get("GLPN_DATA")
    if data is None:
        sys.exit("set GLPN_DATA to the folder of the real sets")
    print("| set | fault | found | what is said |\n|---|---|---|---|")
    wrong = 0
    for fault in FAULTS:
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(data) / fault.data, TRUE[fault.data], fault, Path(folder))
            said = _said(Path(folder), fault.spec())
        line = next((s for s in said if any(word in s for word in fault.words)), "")
        wrong += not line
        found = "yes" if line else "NO"
        print(f"| {fault.data} | {fault.name} | {found} | {line[:140]} |", flush=True)
    for name, spec in TRUE.items():
        report = check(open_dataset(Path(data) / name, spec, verified=False), limit=FRAMES)
        false = {finding.kind for finding in report.findings} - TRUE_FINDINGS.get(name, set())
        wrong += bool(false)
        print(f"| {name} | none | {', '.join(false) or 'nothing'} | |", flush=True)
    return int(wrong > 0)


def _write(source: Path, spec: DatasetSpec, fault: Fault, folder: Path) -> None:
    """A copy of some frames with the fault: the photos linked, the depth as 16-bit PNG."""
    frames = open_dataset(source, spec, verified=False)
    for name in ("rgb", "depth"):
        (folder / name).mkdir()
    for i, index in enumerate(np.linspace(0, len(frames) - 1, FRAMES).astype(int)):
        frame = frames.frames[int(index)]
        (folder / "rgb" / frame.image.name).symlink_to(frame.image.resolve())
        depth = np.rint(frames[int(index)].depth.astype(np.float64) * 1000)
        if fault.only is None or fault.only == i:
            depth = fault.change(depth)
        stored = np.rint(depth).clip(0, 65535).astype(np.uint16)
        Image.fromarray(stored).save(folder / "depth" / f"{frame.image.stem}.png")


def _said(folder: Path, spec: DatasetSpec | None) -> list[str]:
    """Everything that opening and checking a set says against it."""
    try:
        frames = open_dataset(folder, spec, verified=False)
        return [*frames.warnings, *map(str, check(frames).findings)]
    except DataError as e:
        return [str(e).replace(f"{folder}: ", "")]


if __name__ == "__main__":
    sys.exit(main())
