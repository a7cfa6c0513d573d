"""The dataset check: finds defects in a set of frames before training.

`check` measures every frame (`frame_stats`), compares labels with the bundled model's predictions
(`model_opinion`), then judges single frames and the whole set (`judgements`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from glpn.data.contact_sheet import contact_sheet
from glpn.data.duplicates import twins
from glpn.data.findings import ERROR, Finding, Report
from glpn.data.frame_stats import FrameStats, measure
from glpn.data.frames import FrameSet
from glpn.data.judgements import judge, shared_frames, wrong_shape
from glpn.data.model_opinion import opinion
from glpn.data.sample import Sample, Samples
from glpn.errors import GLPNError, MissingInput
from glpn.image.orientation import read_orientation

MAX_PREDICTED = 64  # number of evenly spaced frames that the bundled model predicts
# The model also predicts frames whose median differs from the set's by this factor.
_SUSPICIOUS = 2.0
_MAX_SUSPECTS = 64


def check(
    samples: Samples,
    held_out: Samples | None = None,
    *,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Examine a set, and compare it with the validation set to find shared frames.

    Args:
        samples: the set. Open a `FrameSet` with `verified=False`, so that a missing file or a
            wrong size becomes a finding instead of an error.
        held_out: the validation set.
        limit: examine at most this many frames, evenly spaced.
        progress: called with the number of frames examined so far.

    Raises:
        MissingInput: the set is empty.
    """
    if not len(samples):
        raise MissingInput("dataset: no frame to check")
    chosen = _spread(len(samples), limit)
    stats, findings = _examine(samples, chosen, progress)
    steps = samples.reading.form.scale if isinstance(samples, FrameSet) else None
    judged, unjudged = judge(stats, steps)
    findings += judged + shared_frames("duplicate", "shows the same as", twins(stats))
    if held_out is not None and len(held_out):
        others, unreadable = _examine(held_out, _spread(len(held_out), limit), None, predict=False)
        shared = twins(stats, among=others)
        findings += unreadable + shared_frames("overlap", "is also in the held-out set:", shared)
    findings.sort(key=lambda f: f.severity != ERROR)
    return Report(len(chosen), tuple(findings), tuple(unjudged))


def report_sheet(samples: Samples, report: Report, *, most: int = 48) -> NDArray[np.uint8] | None:
    """A contact sheet of the frames named in findings, filled up with others.

    Unreadable frames are left out. Returns None if no frame remains.
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
    samples: Samples,
    chosen: Sequence[int],
    progress: Callable[[int], None] | None,
    *,
    predict: bool = True,
) -> tuple[list[FrameStats], list[Finding]]:
    """The statistics of all readable frames, and findings about the unreadable ones."""
    predicted = {chosen[i] for i in _spread(len(chosen), MAX_PREDICTED)} if predict else set()
    stats: dict[int, FrameStats] = {}
    findings: list[Finding] = []
    shapes: list[FrameStats] = []
    for done, index in enumerate(chosen, 1):
        name = samples.names[index]
        try:
            sample = _sample(samples, index)
            judged = None
            if index in predicted:
                judged = opinion(sample.image, sample.depth, sample.camera)
            found = measure(sample, opinion=judged, exif=_exif(samples, index))
        except GLPNError as e:
            findings.append(Finding("unreadable", ERROR, str(e), (name,)))
        else:
            if sample.depth.shape == sample.image.shape[:2]:
                stats[index] = found
            else:
                shapes.append(found)
        if progress is not None:
            progress(done)
    if predict:
        _predict_suspects(samples, stats)
    return list(stats.values()), findings + wrong_shape(shapes)


def _sample(samples: Samples, index: int) -> Sample:
    """The sample; image and depth keep their stored sizes if their shapes differ."""
    if not isinstance(samples, FrameSet):
        return samples[index]
    frame = samples.frames[index]
    image, depth, camera = samples.parts(index)
    size = (image.shape[0], image.shape[1])
    if samples.reading.allows(size, (depth.shape[0], depth.shape[1])):
        return samples[index]
    return Sample(frame.name, image, depth, frame.scene, camera)


def _exif(samples: Samples, index: int) -> int:
    return read_orientation(samples.frames[index].image) if isinstance(samples, FrameSet) else 1


def _predict_suspects(samples: Samples, stats: dict[int, FrameStats]) -> None:
    """Also compare with the model those frames whose median is far from that of the dataset."""
    known = [s.median for s in stats.values() if s.median > 0]
    if not known:
        return
    median = float(np.median(known))
    suspects: Iterable[int] = (
        index
        for index, s in stats.items()
        if s.opinion is None
        and s.median > 0
        and not 1 / _SUSPICIOUS < s.median / median < _SUSPICIOUS
    )
    for index in list(suspects)[:_MAX_SUSPECTS]:
        sample = samples[index]
        stats[index] = measure(
            sample,
            opinion=opinion(sample.image, sample.depth, sample.camera),
            exif=stats[index].exif,
        )
