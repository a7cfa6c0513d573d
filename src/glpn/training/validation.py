"""Validation: the network predicts as in use, and an evaluation protocol scores it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import glpn
from glpn.data.sample import Samples
from glpn.depth.colormaps import DEFAULT_COLORMAP, colorize
from glpn.depth.errors import ErrorCurve
from glpn.depth.legend import MIN_HEIGHT, legend
from glpn.depth.provenance import Provenance
from glpn.engines.torch import TorchEngine
from glpn.estimator import DepthEstimator
from glpn.evaluation.error_curve import measure_errors
from glpn.evaluation.metrics import HIGHER_IS_BETTER, Metrics
from glpn.evaluation.pipeline import Score, Task, predict_task, score_tasks, task
from glpn.evaluation.protocols import Protocol
from glpn.files import atomic_file, require_writable_folder
from glpn.network.model import GLPNForDepthEstimation
from glpn.processing.processor import GLPNImageProcessor
from glpn.training.distributed import World

MAX_ERROR_FRAMES = 200  # more frames hardly make the measured errors more exact
_TILE = (320, 240)  # largest width and height of a picture in the sheet


@dataclass(frozen=True)
class Picture:
    """A validation frame with its prediction."""

    image: NDArray[np.uint8]
    target: NDArray[np.float32]
    prediction: NDArray[np.float32]


@dataclass(frozen=True)
class Validator:
    """Everything that validation needs besides the network.

    Attributes:
        frames: held out, at their own size.
        protocol: masks and clamps.
        processor: prepares photos, as it will for the exported model.
        samples: number of frames to keep pictures of, evenly spaced.
    """

    frames: Samples
    protocol: Protocol
    processor: GLPNImageProcessor
    samples: int = 0

    def __call__(
        self, network: GLPNForDepthEstimation, world: World, pause: Callable[[], None]
    ) -> tuple[Metrics, list[Picture]]:
        """Score the network; each process scores its share of the frames.

        Args:
            network: left in eval mode.
            world: the processes.
            pause: called before each frame; may raise to stop.

        Returns:
            The protocol's average over all frames, and pictures of this process's frames.

        Raises:
            DataError: a frame has no valid pixel or cannot be read; the message names it.
        """
        estimator = _estimator(network.eval(), self.processor)
        shown = {int(i) for i in np.linspace(0, len(self.frames) - 1, self.samples)}
        names = {self.frames.names[index] for index in shown}
        pictures: list[Picture] = []

        def tasks() -> Iterator[Task]:
            for index in range(world.rank, len(self.frames), world.size):
                pause()
                yield task(self.frames[index], self.protocol)

        def predict(item: Task) -> NDArray[np.float32]:
            depth = predict_task(estimator.metres, item, self.protocol)
            if item.name in names:
                pictures.append(Picture(item.image, item.target, depth))
            return depth

        scores = list(score_tasks(tasks(), predict, protocol=self.protocol))
        return self._average(world.gather(scores)), pictures

    def errors(self, estimator: DepthEstimator, pause: Callable[[], None]) -> ErrorCurve:
        """Measure an exported model's errors by predicted depth on the held-out frames.

        Args:
            estimator: predicts with the model.
            pause: called after each frame; may raise to stop.
        """
        count = len(self.frames)
        chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_ERROR_FRAMES)).round())
        return measure_errors(
            (self.frames[int(index)] for index in chosen),
            estimator,
            protocol=self.protocol,
            data="its training, held out",
            advance=pause,
        )

    def _average(self, gathered: list[list[Score]]) -> Metrics:
        """The mean over frames, or the metrics of all pixels, in one order for any `World`."""
        sums = {score.name: score.sums for own in gathered for score in own}
        ordered = [sums[name] for name in self.frames.names]
        if self.protocol.average == "pooled":
            return reduce(add, ordered).metrics()
        return Metrics(*np.mean([each.metrics() for each in ordered], axis=0).tolist())


def score_of(metrics: Metrics, metric: str) -> float:
    """A metric as a number of which smaller is better."""
    value: float = getattr(metrics, metric)
    return -value if metric in HIGHER_IS_BETTER else value


def _estimator(network: GLPNForDepthEstimation, processor: GLPNImageProcessor) -> DepthEstimator:
    here = Path("training")  # the network's name in the engine's messages
    provenance = Provenance(
        model=str(here),
        model_hash="",
        engine=TorchEngine.name,
        glpn_version=glpn.__version__,
        max_depth=float(network.config.max_depth),
    )
    return DepthEstimator(TorchEngine(network, folder=here), processor, provenance)


def write_pictures(pictures: Sequence[Picture], path: Path) -> None:
    """Write a PNG with a row per frame: photo, measured depth, prediction and legend.

    Both depth maps of a row share one colour range.

    Raises:
        CannotCreateOutput, OutputFailed: it cannot be written.
    """
    rows = [Image.fromarray(_row(picture)) for picture in pictures]
    sheet = Image.new("RGB", (max(r.width for r in rows), sum(r.height for r in rows)), "white")
    for index, row in enumerate(rows):
        sheet.paste(row, (0, sum(above.height for above in rows[:index])))
    require_writable_folder(path.parent)
    with atomic_file(path, overwrite=True) as file:
        sheet.save(file, format="PNG")


def _row(picture: Picture) -> NDArray[np.uint8]:
    """Photo, measured depth, prediction and legend, [h, W, 3]."""
    known = picture.target[picture.target > 0]
    near, far = (float(value) for value in np.percentile(known, (2, 98)))
    far = max(far, near + 1e-3)
    depths = (picture.target, picture.prediction)
    arrays = (picture.image, *(colorize(depth, near=near, far=far) for depth in depths))
    tiles = [Image.fromarray(array) for array in arrays]
    for tile in tiles:
        tile.thumbnail(_TILE, Image.Resampling.NEAREST)
    parts = [np.asarray(tile) for tile in tiles]
    if tiles[0].height >= MIN_HEIGHT:
        parts.append(legend(tiles[0].height, DEFAULT_COLORMAP, near, far))
    return np.concatenate(parts, axis=1)
