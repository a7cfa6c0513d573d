"""Compare an exported network with torch in float32, for several sizes and batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from glpn import __version__, weights
from glpn.depth.provenance import Provenance
from glpn.errors import InexactExport
from glpn.estimator import DepthEstimator
from glpn.export.model_source import Runner, Source, Variant
from glpn.network.config import GLPNConfig
from glpn.network.model import GLPNForDepthEstimation


@dataclass(frozen=True)
class Tolerance:
    """The allowed deviation of a file from torch, as a fraction of the depth.

    Attributes:
        mean: limit for the mean over all pixels of all inputs.
        largest: limit for any single pixel; None means no limit.
    """

    mean: float
    largest: float | None = None


NETWORK = Tolerance(mean=1e-5, largest=1e-4)
# Resizing rounds to whole levels, and float32 weights may round a level the other way.
END_TO_END = Tolerance(mean=1e-3, largest=1e-2)
HALF = Tolerance(mean=1e-2)
QUANTIZED = Tolerance(mean=1e-2)

# Batch, height, width. The sides are at least 64, the minimum of a torch program.
NETWORK_CASES = ((1, 64, 64), (2, 96, 160), (4, 128, 96), (1, 192, 256), (1, 480, 640))
IMAGE_CASES = ((1, 1, 1), (2, 97, 131), (3, 240, 320), (1, 40, 400), (1, 480, 640), (1, 720, 540))


@dataclass(frozen=True)
class Row:
    """One input: its batch, its size, and the deviations as fractions of torch's depth."""

    batch: int
    height: int
    width: int
    mean: float
    largest: float


@dataclass(frozen=True)
class Report:
    """The result of a comparison.

    Attributes:
        rows: one per input, in order.
        tolerance: the allowed deviation.
        inputs: a description of the inputs.
    """

    rows: tuple[Row, ...]
    tolerance: Tolerance
    inputs: str = "generated pictures"

    @property
    def mean(self) -> float:
        """Mean deviation over all inputs, equally weighted."""
        return float(np.mean([row.mean for row in self.rows]))

    @property
    def largest(self) -> float:
        """Largest deviation of any pixel."""
        return max(row.largest for row in self.rows)

    @property
    def exact(self) -> bool:
        """Whether both deviations are within the tolerance; NaN is not."""
        most = self.tolerance.largest
        return self.mean <= self.tolerance.mean and (most is None or self.largest <= most)

    def require_exact(self, name: str) -> None:
        """Refuse deviations beyond the tolerance.

        Raises:
            InexactExport: the message contains the figures.
        """
        if self.exact:
            return
        most = self.tolerance.largest
        limits = f"mean at most {100 * self.tolerance.mean:g} %"
        limits += "" if most is None else f", largest at most {100 * most:g} %"
        raise InexactExport(
            f"{name}: not written: on {len(self.rows)} {self.inputs} it deviates from torch by "
            f"{100 * self.mean:.3g} % on average, {100 * self.largest:.3g} % at most; "
            f"expected {limits}"
        )

    def lines(self) -> list[str]:
        """A readable table with deviations in per cent."""
        heads = f"{'batch':>5}  {'size':>9}  {'mean %':>9}  {'largest %':>9}"
        body = [
            f"{row.batch:>5}  {f'{row.height}x{row.width}':>9}  "
            f"{100 * row.mean:>9.2g}  {100 * row.largest:>9.2g}"
            for row in self.rows
        ]
        return [heads, *body]

    def record(self) -> dict[str, object]:
        """The report as JSON types."""
        return {
            "against": f"torch {torch.__version__}, float32, glpn {__version__}",
            "inputs": self.inputs,
            "mean": self.mean,
            "largest": self.largest,
            "tolerance": asdict(self.tolerance),
            "rows": [asdict(row) for row in self.rows],
        }

    def to_json(self) -> str:
        """The record as one line of JSON, as stored in the file."""
        return json.dumps(self.record())


def verifier(source: Source, variant: Variant | None = None) -> Callable[[Runner], Report]:
    """A function that compares a file of this source with torch on generated images."""
    variant = variant or Variant()
    fixed = None if variant.size is None else ((1, *variant.size),)
    if source.processor is None:
        tolerance = HALF if variant.half else NETWORK
        inputs = (as_pixels(picture(*case)) for case in fixed or NETWORK_CASES)
        return lambda run: compare(run, reference(source), inputs, tolerance)
    tolerance = HALF if variant.half else END_TO_END
    images = (picture(*case) for case in fixed or IMAGE_CASES)
    return lambda run: compare(run, reference(source), images, tolerance)


def compare(
    run: Runner,
    expected: Runner,
    inputs: Iterable[NDArray[np.generic]],
    tolerance: Tolerance,
) -> Report:
    """Run both on every input, images [B, H, W, 3] or pixels [B, 3, h, w]."""
    rows = []
    for batch in inputs:
        wanted = expected(batch)  # [B, H, W]
        deviation = np.abs(run(batch) - wanted) / wanted
        count, height, width = wanted.shape
        row = Row(count, height, width, float(deviation.mean()), float(deviation.max()))
        rows.append(row)
    return Report(tuple(rows), tolerance)


class _Reference:
    """An `Engine` that runs the torch modules eagerly in float32."""

    name = "torch"
    precision = "float32"

    def __init__(self, network: GLPNForDepthEstimation) -> None:
        self.network = network
        self.config: GLPNConfig = network.config

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict metres [B, H, W] from pixels, float32 [B, 3, H, W]."""
        with torch.inference_mode():
            depth = self.network(torch.from_numpy(pixels), return_dict=True).predicted_depth
        metres: NDArray[np.float32] = depth.numpy()
        return metres


def reference(source: Source) -> Runner:
    """The expected output of a file of this source, from torch and the estimator."""
    engine = _Reference(GLPNForDepthEstimation.from_pretrained(source.folder, dtype=torch.float32))
    if source.processor is None:
        return engine
    said = Provenance(
        model=source.folder.name,
        model_hash=weights.file_hash(source.folder / weights.WEIGHTS_NAME),
        engine=engine.name,
        glpn_version=__version__,
    )
    estimator = DepthEstimator(engine, source.processor, said)

    def run(images: np.ndarray) -> NDArray[np.float32]:
        metres: NDArray[np.float32] = np.stack([estimator.metres(image) for image in images])
        return metres

    return run


def picture(batch: int, height: int, width: int) -> NDArray[np.uint8]:
    """Smooth colours with an edge and a little noise: uint8 RGB [B, H, W, 3], deterministic."""
    rng = np.random.default_rng((batch, height, width))
    images = np.empty((batch, height, width, 3), np.uint8)
    for image in images:
        coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), np.uint8))
        smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
        smooth[height // 3 : height // 2, width // 4 : width // 2] += 100
        image[:] = (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255)
    return images


def as_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map levels [B, H, W, 3] to the network's input [B, 3, H, W], without resizing."""
    pixels: NDArray[np.float32] = images.transpose(0, 3, 1, 2) / np.float32(255)
    return np.ascontiguousarray(pixels)
