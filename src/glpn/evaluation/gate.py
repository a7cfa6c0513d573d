"""The gate: what a quick precision costs, measured on real frames."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np

from glpn import weights
from glpn.data.frames import FrameSet
from glpn.engines import open_candidate
from glpn.engines.choice import Candidate
from glpn.engines.precision import QUICK, Record, require_machine
from glpn.errors import DataError
from glpn.estimator import DepthEstimator, load
from glpn.evaluation.protocols import Protocol
from glpn.evaluation.runner import evaluate


def measure_quick(
    folder: Path,
    engine: str,
    *,
    deviation_frames: FrameSet,
    score_frames: FrameSet,
    protocol: Protocol,
    data: str,
    advance: Callable[[], None] = lambda: None,
) -> Record:
    """Compare an engine's quick precision with its float32.

    Args:
        folder: the model's.
        engine: one that has a quick precision.
        deviation_frames: for the mean of |quick - exact| / exact over all pixels.
        score_frames: with depth, for AbsRel and δ1; best of a set that nobody trained with.
        protocol: the rules of the scores.
        data: what the record calls the frames.
        advance: called after each frame, `score_frames` count twice.

    Raises:
        UsageError: the engine or this CPU has no quick precision.
        MissingInput, CheckpointError, ConfigError, DataError: the model or a frame is unusable.
    """
    if not len(deviation_frames) or not len(score_frames):
        raise DataError(f"{data}: no frame to measure with")
    require_machine(engine)
    exact = load(folder, engine=engine, device="cpu", precision="exact")
    opened = open_candidate(folder, Candidate(engine, QUICK[engine]))
    quick = DepthEstimator(opened, exact.processor, exact.provenance)
    deviations = []
    for frame in deviation_frames:
        expected = exact.metres(frame.image)
        deviations.append(float(np.mean(np.abs(quick.metres(frame.image) - expected) / expected)))
        advance()
    scores = [_scores(estimator, score_frames, protocol, advance) for estimator in (exact, quick)]
    return Record(
        weights_sha256=weights.file_hash(folder / weights.WEIGHTS_NAME),
        engine=engine,
        precision=opened.precision,
        version=metadata.version(engine),
        data=data,
        deviation_frames=len(deviations),
        deviation=float(np.mean(deviations)),
        score_frames=len(score_frames),
        abs_rel=(scores[0][0], scores[1][0]),
        delta1=(scores[0][1], scores[1][1]),
    )


def _scores(
    estimator: DepthEstimator,
    frames: FrameSet,
    protocol: Protocol,
    advance: Callable[[], None],
) -> tuple[float, float]:
    """AbsRel and δ1."""

    def counted(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> object:
        metres = estimator.metres(image)
        advance()
        return metres

    result = evaluate(frames, counted, protocol=protocol, model=estimator.provenance.model_hash)
    return result.means["abs_rel"].value, result.means["delta1"].value
