"""Scores frames in order; reading, predicting and scoring run concurrently."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glpn.concurrency import map_ordered, prefetch
from glpn.data.ibims import Scene
from glpn.data.sample import Sample
from glpn.errors import DataError
from glpn.evaluation.geometry import SceneErrors, SurveyedFrame, scene_errors
from glpn.evaluation.metrics import PixelSums, pixel_sums
from glpn.evaluation.protocols import Protocol, kb_crop, prepare_prediction, valid_mask


@dataclass(frozen=True)
class Task:
    """One prediction to make and score; image and target have the protocol's crop.

    The geometry, if there is one, is that of the whole frame. `factor` multiplies the prediction.
    """

    name: str
    scene: str | None
    image: NDArray[np.uint8]
    target: NDArray[np.floating]
    valid: NDArray[np.bool_]
    condition: str = "clean"
    geometry: Scene | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Score:
    """The scores of one task."""

    name: str
    scene: str | None
    condition: str
    sums: PixelSums
    geometry: SceneErrors | None = None


# A prediction function takes RGB uint8 [H, W, 3] and returns metres [H, W], or an object that
# converts to such an array (a `glpn.Depth` does).
Predict = Callable[[NDArray[np.uint8]], object]


def task(frame: Sample, protocol: Protocol) -> Task:
    """Check a frame and crop it by the protocol.

    Raises:
        DataError: image and depth differ in size, no pixel of the depth counts, or the protocol
            needs the focal length and the frame has no camera.
    """
    image, target = frame.image, frame.depth
    if image.shape[:2] != target.shape:
        raise DataError(
            f"{frame.name}: depth must have the image's size {image.shape[:2]}; got {target.shape}"
        )
    if protocol.kb_crop:
        image, target = kb_crop(image, name=frame.name), kb_crop(target, name=frame.name)
    valid = valid_mask(protocol, target)
    if not valid.any():
        raise DataError(
            f"{frame.name}: no valid pixel in the target depth; remove the frame, or score a list "
            "of frames without it"
        )
    geometry = frame.geometry if isinstance(frame, SurveyedFrame) else None
    factor = _focal_factor(frame, (image.shape[0], image.shape[1]), protocol)
    return Task(frame.name, frame.scene, image, target, valid, geometry=geometry, factor=factor)


def _focal_factor(frame: Sample, size: tuple[int, int], protocol: Protocol) -> float:
    """Return the factor that converts the model's metres to those of the frame's camera.

    `size` is the (height, width) that the model sees.
    """
    if protocol.focal_ratio is None:
        return 1.0
    if frame.camera is None:
        raise DataError(f"{frame.name}: no camera is known, so there is no focal length to use")
    return frame.camera.focal_factor(protocol.focal_ratio, size)


def predict_task(predict: Predict, item: Task, protocol: Protocol) -> NDArray[np.floating]:
    """Predict metres [H, W] as the protocol asks.

    `flip` averages with the mirrored image's prediction; a known focal length scales the metres.
    """
    prediction: NDArray[np.floating] = np.asarray(predict(item.image))
    if protocol.flip:
        mirrored = np.asarray(predict(np.ascontiguousarray(item.image[:, ::-1])))
        prediction = (prediction + mirrored[:, ::-1]) / 2
    return prediction if item.factor == 1 else prediction * np.float32(item.factor)


def score_tasks(
    tasks: Iterable[Task], predict: Callable[[Task], NDArray[np.floating]], *, protocol: Protocol
) -> Iterator[Score]:
    """Predict tasks in this thread, read and score in two others; yield the scores in order.

    Only a few tasks are in memory at a time. An error in any of the three stages is raised here.
    """

    def predicted() -> Generator[tuple[Task, NDArray[np.floating]], None, None]:
        with closing(prefetch(tasks, name="reader")) as ready:
            for item in ready:
                yield item, predict(item)

    def score(pair: tuple[Task, NDArray[np.floating]]) -> Score:
        return _score(*pair, protocol)

    with closing(predicted()) as pairs:
        yield from map_ordered(score, pairs, threads=1, name="scorer")


def _score(item: Task, prediction: NDArray[np.floating], protocol: Protocol) -> Score:
    if prediction.shape != item.target.shape:
        raise DataError(
            f"{item.name}: prediction must have the image's size {item.target.shape}; "
            f"got {prediction.shape}"
        )
    prepared = prepare_prediction(protocol, prediction, item.target, item.valid)
    sums = pixel_sums(prepared, item.target, item.valid, name=item.name)
    geometry = None
    if item.geometry is not None:
        geometry = scene_errors(prepared, item.geometry, name=item.name, scene=item.scene)
    return Score(item.name, item.scene, item.condition, sums, geometry)
