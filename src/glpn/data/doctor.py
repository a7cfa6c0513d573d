"""The dataset doctor: what is wrong with a set of frames, found before training is.

`check` measures every frame (`stats`), then judges what the numbers say of single frames and of
the whole set. Each judgement asks for clear evidence: a healthy set gets no finding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glpn.data.contact_sheet import contact_sheet
from glpn.data.depthmaps import PLAUSIBLE_MEDIAN
from glpn.data.duplicates import twins
from glpn.data.frame_stats import REACH, WIDTH, FrameStats, measure
from glpn.data.frames import SHOWN, counted
from glpn.data.sample import Samples
from glpn.errors import GLPNError, MissingInput

ERROR, WARNING = "error", "warning"

# Thresholds; in brackets what the real sets that they were chosen on show when healthy, and when
# the fault is put in (NYU Depth V2, Replica, TUM, HoloLens and LiDAR frames).
_ODD_UNIT = 50.0  # a frame's median against the set's [up to 8; 1000]
_INVERTED_PLANES = 0.2  # surplus of votes for disparity [-0.66 to -0.43; 0.38 to 0.66]
_INVERTED_TREND = 0.3  # row against log depth [-0.79 to -0.01; 0.01 to 0.79]
_FEWEST_VOTES = 50
_FEWEST_TRENDS = 3
_SHIFT = 2.5  # pixels of a WIDTH-wide picture [1.4; from 3 on]
_CLEAR_PEAK = 0.2  # correlation of edges at the best shift
_CLEAR_GAIN = 0.05  # by which it exceeds that of no shift
_TELLING = 0.1  # own edges' correlation over strangers', or swaps cannot be told [0.1 to 0.27]
_SWAP_GAIN = 0.35  # in correlation, if two exchanged depths [at most 0.31; nine in ten above 0.34]
_BLOCK = 1000  # frames among which swapped maps are looked for


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong; `frames` are those concerned, none for the set as a whole."""

    kind: str
    severity: str
    message: str
    frames: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" [{counted(self.frames, 'frame')}]" if self.frames else ""
        return f"{self.severity}: {self.kind}: {self.message}{where}"


@dataclass(frozen=True)
class Report:
    """All findings about a set."""

    checked: int
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings with which training would go wrong."""
        return tuple(f for f in self.findings if f.severity == ERROR)

    @property
    def exit_code(self) -> int:
        """0 where there is no error, 65 (bad data) otherwise."""
        return GLPNError.exit_code if self.errors else 0

    @property
    def frames(self) -> dict[str, tuple[str, ...]]:
        """Frame → the kinds of all findings that name it, in the order of first mention."""
        kinds: dict[str, tuple[str, ...]] = {}
        for finding in self.findings:
            for name in finding.frames:
                kinds[name] = (*kinds.get(name, ()), finding.kind)
        return kinds

    def __str__(self) -> str:
        warnings = len(self.findings) - len(self.errors)
        head = f"{self.checked:,} frames checked: {len(self.errors)} errors, {warnings} warnings"
        by_frame = (f"  {name}: {', '.join(kinds)}" for name, kinds in self.frames.items())
        return "\n".join([head, *map(str, self.findings), *by_frame])


def check(
    samples: Samples,
    held_back: Samples | None = None,
    *,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Examine a set, and whether it shares frames with the one held back for validation.

    Args:
        samples: the set; a `FrameSet` is best opened with `verified=False`, so that a missing
            file or a wrong size is one finding among others.
        held_back: the validation set.
        limit: examine at most this many frames, evenly spread.
        progress: called with the number of frames examined so far.

    Raises:
        MissingInput: the set is empty.
    """
    if not len(samples):
        raise MissingInput("dataset: no frame to check")
    chosen = _spread(len(samples), limit)
    stats, findings = _examine(samples, chosen, progress)
    findings += _judge_frames(stats)
    findings += _judge_set(stats)
    findings += _twins("duplicate", "shows the same as", twins(stats))
    if held_back is not None and len(held_back):
        others, unreadable = _examine(held_back, _spread(len(held_back), limit), None)
        shared = twins(stats, among=others)
        findings += unreadable + _twins("overlap", "is also in the held-back set:", shared)
    findings.sort(key=lambda f: f.severity != ERROR)
    return Report(len(chosen), tuple(findings))


def report_sheet(samples: Samples, report: Report, *, most: int = 48) -> NDArray[np.uint8] | None:
    """A contact sheet of the frames that findings name, and some others where they are few.

    Frames that cannot be read are left out; None where none is left.
    """
    position = {name: i for i, name in enumerate(samples.names)}
    named = [name for name in report.frames if name in position]
    rest = [samples.names[i] for i in _spread(len(samples), 8) if samples.names[i] not in named]
    shown, labels = [], []
    for name in (*named[: most - len(rest)], *rest):
        try:
            shown.append(samples[position[name]])
        except GLPNError:
            continue
        labels.append(f"{name}: {', '.join(report.frames.get(name, ('ok',)))}")
    return contact_sheet(shown, labels=labels) if shown else None


def _spread(count: int, limit: int | None) -> list[int]:
    if limit is None or count <= limit:
        return list(range(count))
    return sorted({int(i) for i in np.linspace(0, count - 1, limit)})


def _examine(
    samples: Samples, chosen: Sequence[int], progress: Callable[[int], None] | None
) -> tuple[list[FrameStats], list[Finding]]:
    stats, findings = [], []
    for done, index in enumerate(chosen, 1):
        name = samples.names[index]
        try:
            sample = samples[index]
        except GLPNError as e:
            findings.append(Finding("unreadable", ERROR, str(e), (name,)))
            continue
        size = sample.image.shape[:2]
        if sample.depth.shape != size:
            message = f"image {size} and depth {sample.depth.shape} (height, width) differ"
            findings.append(Finding("size", ERROR, message, (name,)))
        else:
            stats.append(measure(sample))
        if progress is not None:
            progress(done)
    return stats, findings


def _twins(
    kind: str, relation: str, pairs: Sequence[tuple[FrameStats, FrameStats]]
) -> list[Finding]:
    if not pairs:
        return []
    shown = [f"{frame.name} {relation} {other.name}" for other, frame in pairs]
    message = f"{counted(shown, 'near-duplicate')}"
    return [Finding(kind, WARNING, message, tuple(frame.name for _, frame in pairs))]


def _judge_frames(stats: Sequence[FrameStats]) -> list[Finding]:
    findings = []
    empty = [f.name for f in stats if f.valid == 0]
    if empty:  # training leaves such frames out; a set full of them is another matter
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
    """Frames around the pictures in which the depth claims to be known."""
    framed = [f for f in stats if min(f.border) and f.border_known > 0]
    if not framed:
        return []
    # Two pixels more than what is plainly uniform: resampling blurs a border's inner edge. A white
    # ceiling next to the border makes some frames' look wider: the median leaves them out.
    widths = np.median([f.border for f in framed], axis=0).astype(int) + 2
    top, bottom, left, right = widths.tolist()
    message = (
        "pictures have a white or black border with depths in it: mask it, "
        f"border = [{top}, {bottom}, {left}, {right}]"
    )
    return [Finding("border", WARNING, message, tuple(f.name for f in framed))]


def _judge_set(stats: Sequence[FrameStats]) -> list[Finding]:
    known = [f for f in stats if f.valid > 0]
    return _unit(known) + _disparity(known) + _misaligned(known) + _swapped(known)


def _unit(stats: Sequence[FrameStats]) -> list[Finding]:
    if not stats:
        return []
    median = float(np.median([f.median for f in stats]))
    low, high = PLAUSIBLE_MEDIAN
    findings = []
    if not low <= median <= high:
        factor = 1000 if median > high else 0.001
        guess = f"; divided by {factor:g} it would be {median / factor:.3g} m"
        message = f"median depth {median:.4g} m is outside {low:g}-{high:g} m{guess}"
        findings.append(Finding("unit", ERROR, message))
    odd = [f for f in stats if not 1 / _ODD_UNIT < f.median / median < _ODD_UNIT]
    if odd:
        message = f"median depth {odd[0].median:.4g} m, where the set's is {median:.4g} m"
        findings.append(Finding("unit", ERROR, message, tuple(f.name for f in odd)))
    return findings


def _disparity(stats: Sequence[FrameStats]) -> list[Finding]:
    """Maps in which near things have the large values."""
    message = "planes are straight in the depth itself: disparity taken for depth?"
    if _inverted([f.planes for f in stats], [f.trend for f in stats]):
        return [Finding("disparity", ERROR, message)]
    single = [f for f in stats if _inverted([f.planes], [f.trend], single=True)]
    return [Finding("disparity", ERROR, message, tuple(f.name for f in single))] if single else []


def _inverted(
    planes: Sequence[tuple[int, int]], trends: Sequence[float | None], *, single: bool = False
) -> bool:
    right, wrong = (sum(votes) for votes in zip(*planes, strict=True)) if planes else (0, 0)
    told = [trend for trend in trends if trend is not None]
    trend = float(np.mean(told)) if told else 0.0
    if right + wrong < _FEWEST_VOTES:  # too sparse for planes: the ground must tell
        return len(told) >= _FEWEST_TRENDS and trend > _INVERTED_TREND
    surplus = (wrong - right) / (wrong + right)
    if single:  # one frame has fewer witnesses: both must be sure
        return surplus > 2 * _INVERTED_PLANES and trend > _INVERTED_TREND
    return surplus > _INVERTED_PLANES and trend > -_INVERTED_TREND / 3


def _misaligned(stats: Sequence[FrameStats]) -> list[Finding]:
    surfaces = [f.alignment for f in stats if f.alignment is not None]
    if not surfaces:
        return []
    mean, mirrored, upside_down = np.mean(surfaces, axis=0)
    here = float(mean[REACH, REACH])
    for surface, how in ((mirrored, "mirrored"), (upside_down, "upside down")):
        if surface.max() > max(_CLEAR_PEAK, mean.max() + _CLEAR_GAIN):
            return [Finding("mirrored", ERROR, f"depth maps are {how} against the images")]
    row, column = np.unravel_index(int(mean.argmax()), mean.shape)
    down, across = int(row) - REACH, int(column) - REACH
    peak = float(mean.max())
    if np.hypot(down, across) < _SHIFT or peak < max(_CLEAR_PEAK, here + _CLEAR_GAIN):
        return []
    message = (
        f"image edges lie {100 * across / WIDTH:+.1f} % right and {100 * down / WIDTH:+.1f} % down "
        f"of depth edges (of the width; correlation {peak:.2f} there, {here:.2f} unshifted)"
    )
    return [Finding("misaligned", ERROR, message)]


def _swapped(stats: Sequence[FrameStats]) -> list[Finding]:
    """Pairs of frames each of whose images fits the other's depth map better than its own."""
    names: list[str] = []
    for start in range(0, len(stats), _BLOCK):
        block = [f for f in stats[start : start + _BLOCK] if f.alignment is not None]
        if len(block) > SHOWN:
            names += _swapped_pairs(block)
    message = "image fits another frame's depth map better than its own: swapped?"
    return [Finding("swapped", ERROR, message, tuple(names))] if names else []


def _swapped_pairs(block: Sequence[FrameStats]) -> list[str]:
    images = np.stack([f.image_edges for f in block])
    depths = np.stack([f.depth_edges for f in block])
    fit = images @ depths.T  # [N, N] correlation of frame i's image with frame j's depth
    own = np.diag(fit)
    if np.median(own) - np.median(fit) < _TELLING:
        return []
    gain = fit + fit.T - own[:, None] - own[None, :]
    np.fill_diagonal(gain, -np.inf)
    best = gain.argmax(1)
    mutual = (best[best] == np.arange(len(block))) & (gain.max(1) > _SWAP_GAIN)
    return [block[int(i)].name for i in np.flatnonzero(mutual)]
