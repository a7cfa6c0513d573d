"""Estimate the scale (raw steps per metre) of depth files without a stated unit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glpn.data.depthmaps import KITTI_SCALE, PLAUSIBLE_MEDIAN, UNITS, DepthFormat, known_values
from glpn.data.levels import common_step
from glpn.errors import DataError

if TYPE_CHECKING:
    from glpn.data.model_opinion import ScaleOpinion

MIN_SPARSE_SHARE = 0.85  # fraction of unknown pixels in a projected LiDAR sweep
HINT_SUFFIXES = (".json", ".yaml", ".yml")
MAX_HINT_FILES = 50
MAX_HINT_BYTES = 1 << 20

_BIAS = 0.35  # standard deviation of log(label / prediction) between cameras, if unknown
_MIN_LEAD = 1.0  # difference in log likelihood; below it, two scales are about equally likely
# Added if the values have the step that the scale implies, subtracted if they do not.
_STEP_EVIDENCE = 2.0


@dataclass(frozen=True)
class Scale:
    """A scale in use somewhere: raw steps per metre, its name, and how common it is (log odds)."""

    steps: float
    name: str
    prior: float = 0.0


SCALES = (
    Scale(UNITS["mm"], "millimetres", 3.0),
    Scale(UNITS["cm"], "centimetres"),
    Scale(KITTI_SCALE, "metres * 256, as in KITTI"),
    Scale(4000, "1/4000 m, as in Matterport3D", 0.5),
    Scale(5000, "1/5000 m, as in TUM RGB-D", 1.0),
    Scale(10000, "1/10000 m", 0.5),
    Scale(65535 / 10, "10 m over 16 bits", 0.5),
    Scale(65535 / 50, "50 m over 16 bits, as in iBims-1", -1.0),
)
_FLOAT_SCALES = (Scale(1, "metres", 3.0), Scale(100, "centimetres"), Scale(1000, "millimetres", 1))

# Keys of RealSense, Open3D, ORB-SLAM, NICE-SLAM, SDFStudio and nerfstudio. Their values are steps
# per metre (1000) or metres per step (0.001).
_HINT = re.compile(
    r"""["']?\b(depth_?map_?factor|png_depth_scale|depth_unit_scale_factor|depth_scale|
    depth_units?|depth_factor)["']?\s*[:=]\s*["']?([0-9][0-9.eE+-]*)""",
    re.IGNORECASE | re.VERBOSE,
)


def scale_hint(root: Path) -> tuple[float, str] | None:
    """Steps per metre and the file that states them, from camera files beside the frames."""
    files = [path for path in sorted(root.glob("*")) if path.suffix.lower() in HINT_SUFFIXES]
    for path in files[:MAX_HINT_FILES]:
        if not path.is_file() or path.stat().st_size > MAX_HINT_BYTES:
            continue
        found = _HINT.search(path.read_text("utf-8", errors="replace"))
        steps = _steps_per_metre(found.group(2)) if found else None
        if steps is not None:
            return steps, path.name
    return None


def guess_scale(
    raws: Sequence[np.ndarray],
    form: DepthFormat,
    model: ScaleOpinion | None = None,
    *,
    where: str = "depth",
) -> tuple[float, str]:
    """The most likely scale of a set, and a sentence that explains it.

    One estimate serves the whole dataset; estimates per frame could differ.

    Args:
        raws: stored values of a few frames.
        form: which of them are unknown.
        model: the bundled model's opinion of these values (log of raw / metres), if it has one.
        where: the set's name in error messages.

    Raises:
        DataError: the values fit no unit, or fit two about equally well; the user must give the
            scale.
    """
    known = [known_values(raw, form) for raw in raws]
    values = np.concatenate(known) if known else np.zeros(0)
    if not values.size:
        raise DataError(f"{where}: no valid value to guess the scale from")
    median = float(np.median(values))
    sparse = 1 - values.size / sum(raw.size for raw in raws) > MIN_SPARSE_SHARE
    step = common_step(known)
    ranked = _ranked(raws[0].dtype, median, sparse, step, model)
    if not ranked:
        raise DataError(
            f"{where}: {raws[0].dtype} depth with median {median:.4g} fits no unit; "
            "give scale (raw steps per metre) or unit"
        )
    best = ranked[0][1]
    if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < _MIN_LEAD:
        second = ranked[1][1]
        raise DataError(
            f"{where}: the depth may be in {best.name} (scale {best.steps:g}: median "
            f"{median / best.steps:.3g} m) or {second.name} (scale {second.steps:g}: median "
            f"{median / second.steps:.3g} m), which are about as likely; give scale or unit"
        )
    sentence = (
        f"depth scale guessed: {best.name} (median raw value {median:.4g}: "
        f"{median / best.steps:.3g} m)"
    )
    if model is not None:
        ratio = math.exp(model.log_ratio - math.log(best.steps))
        sentence += f"; {ratio:.2f} times what the bundled model predicts"
    return best.steps, sentence


def nearest_scale(ratio: float, steps: float) -> Scale | None:
    """The common scale that brings a set with `steps` and label / prediction `ratio` nearest to 1.

    None if the stated scale fits equally well.
    """
    wanted = math.log(ratio * steps)
    best = min(SCALES + _FLOAT_SCALES[:1], key=lambda s: abs(math.log(s.steps) - wanted))
    return None if math.isclose(best.steps, steps, rel_tol=0.01) else best


def _ranked(
    dtype: np.dtype, median: float, sparse: bool, step: int, model: ScaleOpinion | None
) -> list[tuple[float, Scale]]:
    """Plausible scales with their log likelihood, the best first."""
    low, high = PLAUSIBLE_MEDIAN
    scales = _FLOAT_SCALES if dtype.kind == "f" else SCALES
    ranked = []
    for scale in scales:
        metres = median / scale.steps
        if not low <= metres <= (high if scale.steps in (1, KITTI_SCALE) else high / 2):
            continue
        score = scale.prior
        if sparse and scale.steps == KITTI_SCALE:
            score += 5.0
        if model is not None:
            score -= (model.log_ratio - math.log(scale.steps)) ** 2 / (2 * _BIAS**2)
        finer = scale.steps / UNITS["mm"]
        if step in (4, 5, 10) and finer in (4, 5, 10):
            score += _STEP_EVIDENCE if finer == step else -_STEP_EVIDENCE
        ranked.append((score, scale))
    ranked.sort(key=lambda pair: -pair[0])
    return ranked


def _steps_per_metre(text: str) -> float | None:
    """The steps per metre that a camera file's number means; None if it is ambiguous."""
    try:
        value = float(text)
    except ValueError:
        return None
    if value >= 50 and math.isfinite(value):
        return value
    return 1 / value if 0 < value <= 0.02 else None
