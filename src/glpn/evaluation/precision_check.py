"""The precision check: measures how far reduced precisions change the metres of real frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glpn import weights
from glpn.data.frames import FrameSet
from glpn.engines.hardware import usable_cores
from glpn.engines.precision import Record, computable_precisions
from glpn.engines.protocol import EngineSettings, Ranges
from glpn.engines.registry import FLOAT32, engine_row
from glpn.engines.selection import Candidate, open_candidate
from glpn.errors import DataError
from glpn.estimator import MAX_INPUT_PIXELS, DepthEstimator, load
from glpn.evaluation.protocols import Protocol
from glpn.evaluation.runner import evaluate


def measure_reduced(
    folder: Path,
    engine: str,
    *,
    deviation_frames: FrameSet,
    score_frames: FrameSet,
    protocol: Protocol,
    data: str,
    advance: Callable[[], None] = lambda: None,
) -> list[Record]:
    """Compare an engine's reduced precisions, as far as this CPU supports them, with float32.

    Args:
        folder: the model's folder.
        engine: an engine with reduced precisions.
        deviation_frames: frames for the mean of |reduced - float32| / float32 over all pixels. If
            the engine has 8-bit products, every second frame calibrates their ranges instead.
        score_frames: frames with depth for AbsRel and δ1, ideally from a dataset that was not used
            for training.
        protocol: the rules of the scores.
        data: the name of the frames in the records.
        advance: called after each frame; `score_frames` run once more for each precision.

    Raises:
        UsageError: the engine or this CPU has no reduced precision.
        MissingInput, CheckpointError, ConfigError, DataError: the model or a frame is unusable.
    """
    kinds = computable_precisions(engine_row(engine))
    shown, deviation_frames = _split(kinds, deviation_frames)
    if not len(deviation_frames) or not len(score_frames):
        raise DataError(f"{data}: too few frames to measure with")
    full = load(folder, engine=engine, device="cpu", precision=FLOAT32)
    ranges = None if shown is None else _ranges(folder, full, shown, advance)
    candidates = [Candidate(engine, kind) for kind in kinds]
    reduced = {one.precision: _opened(folder, one, full, ranges) for one in candidates}
    deviations = _deviations(full, reduced, deviation_frames, advance)
    before = _scores(full, score_frames, protocol, advance)
    after = {
        kind: _scores(estimator, score_frames, protocol, advance)
        for kind, estimator in reduced.items()
    }
    return [
        Record(
            weights_sha256=weights.weights_hash(folder),
            engine=engine,
            precision=kind,
            version=metadata.version(engine),
            data=data,
            deviation_frames=len(deviation_frames),
            deviation=deviations[kind],
            score_frames=len(score_frames),
            abs_rel=(before[0], after[kind][0]),
            delta1=(before[1], after[kind][1]),
            ranges=ranges if kind.startswith("int8") else None,
        )
        for kind in kinds
    ]


def _split(kinds: Sequence[str], frames: FrameSet) -> tuple[FrameSet | None, FrameSet]:
    """Return the frames that calibrate 8-bit products, None without such, and the others."""
    if not any(kind.startswith("int8") for kind in kinds):
        return None, frames
    return frames.subset(range(0, len(frames), 2)), frames.subset(range(1, len(frames), 2))


def _opened(
    folder: Path, candidate: Candidate, full: DepthEstimator, ranges: Ranges | None
) -> DepthEstimator:
    """Open the model in a reduced precision, with the same processor."""
    engine = open_candidate(folder, candidate, EngineSettings(ranges=ranges))
    return DepthEstimator(engine, full.processor, full.provenance)


def _ranges(
    folder: Path, full: DepthEstimator, frames: FrameSet, advance: Callable[[], None]
) -> Ranges:
    """Measure the ranges of 8-bit products on these frames."""
    from glpn.engines.openvino.int8 import seen_ranges

    def batches() -> Iterator[NDArray[np.float32]]:
        for frame in frames:
            yield full.processor.pixels(frame.image, max_pixels=MAX_INPUT_PIXELS)[None]
            advance()

    return seen_ranges(folder, batches(), threads=usable_cores())


def _deviations(
    full: DepthEstimator,
    reduced: Mapping[str, DepthEstimator],
    frames: FrameSet,
    advance: Callable[[], None],
) -> dict[str, float]:
    """Return the mean of |reduced - float32| / float32 for each precision."""
    found: dict[str, list[float]] = {kind: [] for kind in reduced}
    for frame in frames:
        expected = full.metres(frame.image)
        for kind, estimator in reduced.items():
            metres = estimator.metres(frame.image)
            found[kind].append(float(np.mean(np.abs(metres - expected) / expected)))
        advance()
    return {kind: float(np.mean(values)) for kind, values in found.items()}


def _scores(
    estimator: DepthEstimator,
    frames: FrameSet,
    protocol: Protocol,
    advance: Callable[[], None],
) -> tuple[float, float]:
    """Return AbsRel and δ1 of an estimator on these frames."""

    def counted(image: NDArray[np.uint8]) -> object:
        metres = estimator.metres(image)
        advance()
        return metres

    result = evaluate(frames, counted, protocol=protocol, model=estimator.provenance.model_hash)
    return result.means["abs_rel"].value, result.means["delta1"].value
