"""The dataset check's judgements: turns statistics of all frames into findings.

Each judgement requires clear evidence: a healthy set gets no finding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from glpn.data.depthmaps import PLAUSIBLE_MEDIAN
from glpn.data.findings import ERROR, WARNING, Finding
from glpn.data.frame_stats import REACH, WIDTH, FrameStats
from glpn.data.frames import SHOWN, counted, same_aspect
from glpn.data.levels import are_normalised, unknown_values
from glpn.data.model_opinion import (
    MAX_SPREAD_WITHIN,
    MIN_FRAMES_FOR_SYMMETRY,
    SYMMETRIES,
    Opinion,
    ScaleOpinion,
    likely_symmetry,
    scale_opinion,
)
from glpn.data.scales import nearest_scale

# Thresholds. The brackets contain the values of healthy real sets, then those of the same sets with
# the defect inserted (NYU Depth V2, Replica, TUM, HoloLens and LiDAR frames).
MAX_MEDIAN_FACTOR = 50.0  # a frame's median over the set's [up to 8; 1000]
# Limits of label / prediction of the bundled model; beyond MIN_ERROR_RATIO it is an error.
MODEL_RATIOS = (0.6, 1.7)  # limits for known cameras [0.98 to 1.10; up to 0.26 and from 2.5]
MODEL_RATIOS_ANY_CAMERA = (0.42, 1.9)  # limits for unknown cameras [0.51 to 1.39; 0.25 and 2.0]
MIN_ERROR_RATIO = 3.0
MIN_FRAMES_FOR_UNIT = 4
# Limits of a frame's label / prediction relative to that of the dataset: if label and prediction
# agree in shape, and if they do not.
MAX_FRAME_RATIO = 3.0  # [2.2; from 4]
MAX_VAGUE_FRAME_RATIO = 5.0  # [2.5]
MIN_CLEAR_AGREEMENT = 0.4
MAX_FRAME_RATIO_IN_ERRORS = 4.5  # the same in robust standard deviations
MIN_INVERTED_PLANES = 0.2  # surplus of votes for disparity [-0.66 to -0.43; 0.38 to 0.66]
MIN_INVERTED_TREND = 0.3  # row against log depth [-0.79 to -0.01; 0.01 to 0.79]
MIN_NORMALISED_SPREAD = 0.2  # spread of log(label / prediction) between frames [0.12; 0.3]
MIN_VOTES = 50
MIN_TRENDS = 3
MIN_SHIFT = 2.5  # pixels of an image of WIDTH columns [1.4; from 3 on]
MIN_PEAK = 0.2  # correlation of edges at the best shift
MIN_GAIN = 0.05  # required increase over the correlation without shift
MIN_DISTINCTION = 0.1  # correlation with own edges minus other frames' [0.1 to 0.27]
MIN_SWAP_GAIN = 0.35  # gain in correlation after exchanging two maps [up to 0.31; 0.34 for most]
EXIF_QUARTER_TURN = 5  # orientations 5 to 8 swap width and height
SWAP_BLOCK = 1000  # number of frames searched for exchanged maps at a time


def judge(
    stats: Sequence[FrameStats], steps: float | None = None
) -> tuple[list[Finding], list[str]]:
    """Findings on single frames and on the set, and notes on checks that were impossible.

    Args:
        stats: the statistics of all frames whose image and depth have the same shape.
        steps: raw steps per metre used to read the depth, if known.
    """
    known = [frame for frame in stats if frame.valid > 0]
    orientation, unjudged = _orientation(known)
    findings = _judge_frames(stats) + _unknown(known) + _normalised(known)
    findings += _unit(known, steps) + _disparity(known) + orientation
    if not orientation:
        findings += _misaligned(known)
    if known and scale_opinion(_opinions(known)) is None:
        unjudged.append("unit: the bundled indoor model's predictions do not resemble this depth")
    return findings + _swapped(known), unjudged


def shared_frames(
    kind: str, relation: str, pairs: Sequence[tuple[FrameStats, FrameStats]]
) -> list[Finding]:
    """A warning about duplicate frames."""
    if not pairs:
        return []
    shown = [f"{frame.name} {relation} {other.name}" for other, frame in pairs]
    message = counted(shown, "near-duplicate")
    return [Finding(kind, WARNING, message, tuple(frame.name for _, frame in pairs))]


def wrong_shape(stats: Sequence[FrameStats]) -> list[Finding]:
    """Errors on frames whose image and depth have different shapes."""
    findings = []
    turned = [s for s in stats if same_aspect(s.image_size, (s.depth_size[1], s.depth_size[0]))]
    for frame in (s for s in stats if s not in turned):
        sizes = f"image {frame.image_size} and depth {frame.depth_size} (height, width) differ"
        findings.append(Finding("size", ERROR, sizes, (frame.name,)))
    if turned:
        best = likely_symmetry(_opinions(turned))
        how = SYMMETRIES[best] if best else "turned by a quarter"
        reason = ""
        if all(frame.exif >= EXIF_QUARTER_TURN for frame in turned):
            reason = ": EXIF turns the photo upright, the depth is stored as the sensor saw it"
        message = f"depth maps are {how} against the photos{reason}"
        names = tuple(frame.name for frame in turned)
        findings.append(Finding("orientation", ERROR, message, names))
    return findings


def _judge_frames(stats: Sequence[FrameStats]) -> list[Finding]:
    findings = []
    empty = [f.name for f in stats if f.valid == 0]
    if empty:  # training skips a few such frames; many of them are an error
        severity = ERROR if len(empty) > len(stats) / 2 else WARNING
        findings.append(Finding("empty", severity, "no pixel has a known depth", tuple(empty)))
    constant = tuple(f.name for f in stats if f.constant)
    if constant:
        findings.append(Finding("constant", ERROR, "one depth everywhere", constant))
    pictures = tuple(f.name for f in stats if f.picture_of_depth)
    if pictures:
        message = "the image is a picture of the depth map: files swapped?"
        findings.append(Finding("picture-of-depth", ERROR, message, pictures))
    return findings + _border(stats)


def _border(stats: Sequence[FrameStats]) -> list[Finding]:
    """Borders of images in which the depth is marked as known."""
    framed = [f for f in stats if min(f.border) and f.border_known > 0]
    if not framed:
        return []
    # Resampling blurs the inner edge of a border, so two pixels are added to the uniform part. The
    # median ignores frames in which a white ceiling makes the border look wider.
    widths = np.median([f.border for f in framed], axis=0).astype(int) + 2
    top, bottom, left, right = widths.tolist()
    message = (
        "pictures have a white or black border with depths in it: mask it, "
        f"border = [{top}, {bottom}, {left}, {right}]"
    )
    return [Finding("border", WARNING, message, tuple(f.name for f in framed))]


def _opinions(stats: Sequence[FrameStats]) -> list[Opinion]:
    return [frame.opinion for frame in stats if frame.opinion is not None]


def _unknown(stats: Sequence[FrameStats]) -> list[Finding]:
    """Values that stand out in many frames: unknown depth read as metres."""
    found = unknown_values([frame.levels for frame in stats])
    if not found:
        return []
    named = ", ".join(
        f"{value:.5g} m ({share:.0%} of the pixels)" for value, share in found.items()
    )
    frames = tuple(f.name for f in stats if any(e.value in found for e in f.levels.extremes))
    message = f"{named} stands out from all other depth: unknown depth? state it as invalid"
    return [Finding("unknown", ERROR, message, frames)]


def _normalised(stats: Sequence[FrameStats]) -> list[Finding]:
    """Maps normalised per frame: all have the same maximum, and their unit varies."""
    ratios = [opinion.log_ratio for opinion in _opinions(stats)]
    steady = len(ratios) > 1 and float(np.std(ratios)) < MIN_NORMALISED_SPREAD
    if steady or not are_normalised([frame.levels for frame in stats]):
        return []
    message = "every depth map ends at one value: scaled frame by frame, they contain no metres"
    return [Finding("normalised", ERROR, message)]


def _unit(stats: Sequence[FrameStats], steps: float | None) -> list[Finding]:
    if not stats:
        return []
    median = float(np.median([frame.median for frame in stats]))
    low, high = PLAUSIBLE_MEDIAN
    findings = []
    if not low <= median <= high:
        factor = 1000 if median > high else 0.001
        guess = f"; divided by {factor:g} it would be {median / factor:.3g} m"
        message = f"median depth {median:.4g} m is outside {low:g}-{high:g} m{guess}"
        findings.append(Finding("unit", ERROR, message))
    elif len(opinions := _opinions(stats)) >= MIN_FRAMES_FOR_UNIT:
        model = scale_opinion(opinions)
        findings += [] if model is None else _unit_by_model(stats, model, steps)
    odd = [s for s in stats if not 1 / MAX_MEDIAN_FACTOR < s.median / median < MAX_MEDIAN_FACTOR]
    odd += [frame for frame in _odd_ratios(stats) if frame not in odd]
    if odd:
        message = f"median depth {odd[0].median:.4g} m, where the set's is {median:.4g} m"
        findings.append(Finding("unit", ERROR, message, tuple(frame.name for frame in odd)))
    return findings


def _unit_by_model(
    stats: Sequence[FrameStats], model: ScaleOpinion, steps: float | None
) -> list[Finding]:
    """A finding if all labels differ from the predictions by the same large factor."""
    same_camera = all(frame.camera_known for frame in stats if frame.opinion is not None)
    low, high = MODEL_RATIOS if same_camera else MODEL_RATIOS_ANY_CAMERA
    if low <= model.ratio <= high:
        return []
    severe = not 1 / MIN_ERROR_RATIO < model.ratio < MIN_ERROR_RATIO
    better = nearest_scale(model.ratio, steps) if steps is not None else None
    hint = f"; scale = {better.steps:g} ({better.name}) fits better" if better is not None else ""
    message = (
        f"labels are {model.ratio:.3g} times what the bundled model predicts, on every frame: "
        f"wrong unit?{hint}"
    )
    return [Finding("unit", ERROR if severe else WARNING, message)]


def _odd_ratios(stats: Sequence[FrameStats]) -> list[FrameStats]:
    """Frames whose ratio to the model's prediction is far from that of the others."""
    judged = [(s, s.opinion) for s in stats if s.opinion and s.opinion.spread < MAX_SPREAD_WITHIN]
    model = scale_opinion([opinion for _, opinion in judged])
    if model is None or len(judged) < MIN_FRAMES_FOR_SYMMETRY:
        return []
    spread = MAX_FRAME_RATIO_IN_ERRORS * model.between
    odd = []
    for frame, opinion in judged:
        clear = opinion.agreement >= MIN_CLEAR_AGREEMENT
        limit = math.log(MAX_FRAME_RATIO if clear else MAX_VAGUE_FRAME_RATIO)
        if abs(opinion.log_ratio - model.log_ratio) > max(limit, spread):
            odd.append(frame)
    return odd


def _orientation(stats: Sequence[FrameStats]) -> tuple[list[Finding], list[str]]:
    """Rotated or mirrored labels; photos that EXIF rotates are judged separately."""
    findings, unjudged = [], []
    turned = [frame for frame in stats if frame.exif != 1]
    for group, whole in ((stats, True), (turned, False)):
        if not group or (not whole and len(group) == len(stats)):
            continue
        best = likely_symmetry(_opinions(group))
        if best is None:
            best = _symmetry_of_edges(group)
        if best is None and whole:
            unjudged.append("orientation: too few frames, or too little visible shape in the depth")
        if not best:
            continue
        message = f"depth maps are {SYMMETRIES[best]} against the photos"
        if not whole:
            message += " that EXIF turns"
        names = () if whole else tuple(frame.name for frame in group)
        findings.append(Finding("orientation", ERROR, message, names))
        break
    return findings, unjudged


def _symmetry_of_edges(stats: Sequence[FrameStats]) -> int | None:
    """Index into `SYMMETRIES` of the best match of edges: as stored, mirrored or upside down."""
    surfaces = [frame.alignment for frame in stats if frame.alignment is not None]
    if not surfaces:
        return None
    mean, mirrored, upside_down = np.mean(surfaces, axis=0)
    for surface, best in ((mirrored, "mirrored"), (upside_down, "upside down")):
        if surface.max() > max(MIN_PEAK, mean.max() + MIN_GAIN):
            return SYMMETRIES.index(best)
    clear = mean.max() > max(MIN_PEAK, mirrored.max() + MIN_GAIN, upside_down.max() + MIN_GAIN)
    return 0 if clear else None


def _disparity(stats: Sequence[FrameStats]) -> list[Finding]:
    """Maps in which near objects have the large values."""
    message = "planes are straight in the depth itself: disparity taken for depth?"
    if _inverted([f.planes for f in stats], [f.trend for f in stats]):
        return [Finding("disparity", ERROR, message)]
    single = [f for f in stats if _inverted([f.planes], [f.trend], single=True)]
    return [Finding("disparity", ERROR, message, tuple(f.name for f in single))] if single else []


def _inverted(
    planes: Sequence[tuple[int, int]], trends: Sequence[float | None], *, single: bool = False
) -> bool:
    right, wrong = (sum(votes) for votes in zip(*planes, strict=True)) if planes else (0, 0)
    known = [trend for trend in trends if trend is not None]
    trend = float(np.mean(known)) if known else 0.0
    if right + wrong < MIN_VOTES:  # too sparse for planes, so the ground decides
        return len(known) >= MIN_TRENDS and trend > MIN_INVERTED_TREND
    surplus = (wrong - right) / (wrong + right)
    if single:  # a single frame is weaker evidence, so both tests must agree
        return surplus > 2 * MIN_INVERTED_PLANES and trend > MIN_INVERTED_TREND
    return surplus > MIN_INVERTED_PLANES and trend > -MIN_INVERTED_TREND / 3


def _misaligned(stats: Sequence[FrameStats]) -> list[Finding]:
    surfaces = [f.alignment for f in stats if f.alignment is not None]
    if not surfaces:
        return []
    mean = np.mean(surfaces, axis=0)[0]
    here = float(mean[REACH, REACH])
    row, column = np.unravel_index(int(mean.argmax()), mean.shape)
    down, across = int(row) - REACH, int(column) - REACH
    peak = float(mean.max())
    if np.hypot(down, across) < MIN_SHIFT or peak < max(MIN_PEAK, here + MIN_GAIN):
        return []
    message = (
        f"image edges lie {100 * across / WIDTH:+.1f} % right and {100 * down / WIDTH:+.1f} % down "
        f"of depth edges (of the width; correlation {peak:.2f} there, {here:.2f} unshifted)"
    )
    return [Finding("misaligned", ERROR, message)]


def _swapped(stats: Sequence[FrameStats]) -> list[Finding]:
    """Pairs of frames in which each image fits the other's depth map better than its own."""
    names: list[str] = []
    for start in range(0, len(stats), SWAP_BLOCK):
        block = [f for f in stats[start : start + SWAP_BLOCK] if f.alignment is not None]
        if len(block) > SHOWN:
            names += _swapped_pairs(block)
    message = "image fits another frame's depth map better than its own: swapped?"
    return [Finding("swapped", ERROR, message, tuple(names))] if names else []


def _swapped_pairs(block: Sequence[FrameStats]) -> list[str]:
    images = np.stack([f.image_edges for f in block])
    depths = np.stack([f.depth_edges for f in block])
    fit = images @ depths.T  # [N, N] correlation of frame i's image with frame j's depth
    own = np.diag(fit)
    if np.median(own) - np.median(fit) < MIN_DISTINCTION:
        return []
    gain = fit + fit.T - own[:, None] - own[None, :]
    np.fill_diagonal(gain, -np.inf)
    best = gain.argmax(1)
    mutual = (best[best] == np.arange(len(block))) & (gain.max(1) > MIN_SWAP_GAIN)
    return [block[int(i)].name for i in np.flatnonzero(mutual)]
