"""The gate: what quick precisions cost, measured on real frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from glpn import weights
from glpn.data.frames import FrameSet
from glpn.engines.hardware import usable_cores
from glpn.engines.precision import Record, kinds_here
from glpn.engines.registry import open_candidate
from glpn.engines.selection import Candidate
from glpn.errors import DataError
from glpn.estimator import MAX_INPUT_PIXELS, DepthEstimator, load
from glpn.evaluation.protocols import Protocol
from glpn.evaluation.runner import evaluate

if TYPE_CHECKING:
    from glpn.engines.openvino.int8 import Ranges


def measure_quick(
    folder: Path,
    engine: str,
    *,
    deviation_frames: FrameSet,
    score_frames: FrameSet,
    protocol: Protocol,
    data: str,
    advance: Callable[[], None] = lambda: None,
) -> list[Record]:
    """Compare an engine's quick precisions, as many as this CPU computes, with its float32.

    Args:
        folder: the model's.
        engine: one that has a quick precision.
        deviation_frames: for the mean of |quick - exact| / exact over all pixels. For 8-bit
            products every second one tells their ranges instead.
        score_frames: with depth, for AbsRel and δ1; best of a set that nobody trained with.
        protocol: the rules of the scores.
        data: what the records call the frames.
        advance: called after each frame; `score_frames` count once more for each precision.

    Raises:
        UsageError: the engine or this CPU has no quick precision.
        MissingInput, CheckpointError, ConfigError, DataError: the model or a frame is unusable.
    """
    kinds = kinds_here(engine)
    shown = None
    if any(kind.startswith("int8") for kind in kinds):
        shown, deviation_frames = (_every_second(deviation_frames, first) for first in (0, 1))
    if not len(deviation_frames) or not len(score_frames):
        raise DataError(f"{data}: too few frames to measure with")
    exact = load(folder, engine=engine, device="cpu", precision="exact")
    ranges = None if shown is None else _ranges(folder, exact, shown, advance)
    quick = {
        kind: DepthEstimator(
            open_candidate(folder, Candidate(engine, kind), ranges=ranges),
            exact.processor,
            exact.provenance,
        )
        for kind in kinds
    }
    deviations = _deviations(exact, quick, deviation_frames, advance)
    before = _scores(exact, score_frames, protocol, advance)
    records = []
    for kind, estimator in quick.items():
        after = _scores(estimator, score_frames, protocol, advance)
        records.append(
            Record(
                weights_sha256=weights.file_hash(folder / weights.WEIGHTS_NAME),
                engine=engine,
                precision=kind,
                version=metadata.version(engine),
                data=data,
                deviation_frames=len(deviation_frames),
                deviation=deviations[kind],
                score_frames=len(score_frames),
                abs_rel=(before[0], after[0]),
                delta1=(before[1], after[1]),
                ranges=ranges if kind.startswith("int8") else None,
            )
        )
    return records


def _every_second(frames: FrameSet, first: int) -> FrameSet:
    return frames.subset(range(first, len(frames), 2))


def _ranges(
    folder: Path, exact: DepthEstimator, frames: FrameSet, advance: Callable[[], None]
) -> Ranges:
    """What 8-bit products have to hold, by these frames."""
    from glpn.engines.openvino.int8 import seen_ranges

    def batches() -> Iterator[NDArray[np.float32]]:
        for frame in frames:
            yield exact.processor.pixels(frame.image, max_pixels=MAX_INPUT_PIXELS)[None]
            advance()

    return seen_ranges(folder, batches(), threads=usable_cores())


def _deviations(
    exact: DepthEstimator,
    quick: Mapping[str, DepthEstimator],
    frames: FrameSet,
    advance: Callable[[], None],
) -> dict[str, float]:
    """Precision → mean of |quick - exact| / exact."""
    found: dict[str, list[float]] = {kind: [] for kind in quick}
    for frame in frames:
        expected = exact.metres(frame.image)
        for kind, estimator in quick.items():
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
    """AbsRel and δ1."""

    def counted(image: NDArray[np.uint8]) -> object:
        metres = estimator.metres(image)
        advance()
        return metres

    result = evaluate(frames, counted, protocol=protocol, model=estimator.provenance.model_hash)
    return result.means["abs_rel"].value, result.means["delta1"].value
