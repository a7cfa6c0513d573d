"""`evaluate`: scores a prediction function on frames and returns a `Result`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from glpn.data.sample import Sample
from glpn.errors import DataError
from glpn.evaluation.geometry import SceneErrors, summarise
from glpn.evaluation.metrics import PixelSums
from glpn.evaluation.pipeline import Predict, Task, predict_task, score_tasks, task
from glpn.evaluation.protocols import Protocol
from glpn.evaluation.result import Result, Row, named_intervals, package_versions
from glpn.evaluation.statistics import mean_intervals, pooled_intervals

SEED = 0  # seed of the intervals' bootstrap, stated in every result
MIN_FRAMES_FOR_UNIT = 4
MIN_UNIT_RATIO = 2.2  # ground truth / prediction; datasets with correct units lie in 0.5 to 1.4
MAX_UNIT_SPREAD = 0.4  # robust deviation of its logarithm between frames; 0.21 on real sets


def evaluate(
    frames: Iterable[Sample],
    predict: Predict,
    *,
    protocol: Protocol,
    model: str,
    save: Callable[[str, NDArray[np.floating]], None] | None = None,
) -> Result:
    """Score a model on every frame.

    Args:
        frames: read once, in a separate thread while the model predicts; wrap them to show
            progress. Memory does not grow with their number. A `SurveyedFrame` also gets geometric
            scores.
        predict: RGB uint8 [H, W, 3] → metres [H, W]; called in this thread.
        protocol: the rules.
        model: identifies the weights by their hash; copied into the result.
        save: called with each frame's name and prediction, before alignment and clamping.

    Raises:
        DataError: there is no frame, a name repeats, or a frame or its prediction is unusable; the
            message names the frame.
    """

    def predicted(item: Task) -> NDArray[np.floating]:
        prediction = predict_task(predict, item, protocol)
        if save is not None:
            save(item.name, prediction)
        return prediction

    return evaluate_tasks((task(f, protocol) for f in frames), predicted, protocol, model=model)


def evaluate_tasks(
    tasks: Iterable[Task],
    predict: Callable[[Task], NDArray[np.floating]],
    protocol: Protocol,
    *,
    model: str,
) -> Result:
    """Do the same as `evaluate` for predictions that depend on more than the image."""
    rows: list[Row] = []
    sums: list[PixelSums] = []  # filled only if pixels are pooled
    geometry: list[SceneErrors] = []
    log_ratios: list[float] = []  # per frame, the mean log(truth / prediction)
    for score in score_tasks(tasks, predict, protocol=protocol):
        log_ratios.append(score.sums.log_mean)
        rows.append(Row(score.name, score.scene, score.sums.pixels, score.sums.metrics()))
        if protocol.average == "pooled":
            sums.append(score.sums)
        if score.geometry is not None:
            geometry.append(score.geometry)
    if not rows:
        raise DataError("evaluate: no frame to score")
    if len({row.name for row in rows}) != len(rows):
        raise DataError("evaluate: two frames have the same name")
    scenes = [row.scene for row in rows]
    if protocol.average == "pooled":
        intervals = pooled_intervals(sums, scenes, seed=SEED)
    else:
        intervals = mean_intervals(np.array([row.metrics for row in rows]), scenes, seed=SEED)
    return Result(
        model=model,
        protocol=protocol,
        rows=tuple(rows),
        means=named_intervals(intervals),
        seed=SEED,
        versions=package_versions(),
        geometry=summarise(geometry, seed=SEED) if geometry else None,
        warnings=_unit_warning(log_ratios, protocol),
    )


def _unit_warning(log_ratios: Sequence[float], protocol: Protocol) -> tuple[str, ...]:
    """Return a warning if truth and prediction differ by one large factor on every frame."""
    if protocol.alignment != "none" or len(log_ratios) < MIN_FRAMES_FOR_UNIT:
        return ()
    typical = float(np.median(log_ratios))
    spread = 1.4826 * float(np.median(np.abs(np.array(log_ratios) - typical)))
    if abs(typical) < math.log(MIN_UNIT_RATIO) or spread > MAX_UNIT_SPREAD:
        return ()
    return (
        f"the truth is {math.exp(typical):.3g} times the prediction on every frame: check the "
        "unit of the depth files (`glpn data check`)",
    )
