"""Determine the unit and the unknown values of a set from a few of its depth files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glpn.data.depthmaps import DepthFormat, implausible_unit, read_raw, to_metres
from glpn.data.frames import WARNING_NOTE, Frame, FrameSet, Reading
from glpn.data.levels import FULL_SCALES, are_normalised, levels_of, unknown_values
from glpn.data.scales import guess_scale, scale_hint
from glpn.errors import DataError, GLPNError
from glpn.image.photo import read_photo

if TYPE_CHECKING:
    from glpn.data.model_opinion import ScaleOpinion

MAX_PROBES = 8
MAX_SHARE_BEYOND = 0.5  # fraction of labels beyond a model's range; more cause a warning

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Probe:
    frame: Frame
    raw: np.ndarray


def calibrate(
    root: Path, frames: Sequence[Frame], reading: Reading, *, strict: bool, find_unknown: bool
) -> tuple[Reading, tuple[str, ...]]:
    """Complete `reading` with the scale and the unknown values; also return warnings about both.

    This finds a wrong unit or an 8-bit file without a scale before training starts.

    Args:
        root: the folder, whose camera files may state the scale.
        frames: all of the set.
        reading: the settings that the user specified.
        strict: raise an error for an unreadable file instead of skipping it.
        find_unknown: also treat values that stand out from the rest as unknown.

    Raises:
        DataError, MissingInput: a file cannot be read, or the scale cannot be determined.
    """
    if frames[0].is_scene:
        return reading, ()  # metres by definition
    probes = _read(frames, reading.form, strict=strict)
    if not probes:
        return reading, ()
    form, warnings = reading.form, list(_unusable(probes, reading.form))
    if find_unknown:
        form, found = _exclude(probes, form)
        warnings += found
    levels = [levels_of(np.where(np.isin(p.raw, form.invalid), 0, p.raw)) for p in probes]
    if are_normalised(levels) and levels[0].extremes[0].value in FULL_SCALES:
        problem = (
            f"every depth map ends at {levels[0].extremes[0].value:g}: scaled frame by frame, "
            "such maps contain no metres"
        )
        if form.scale is None:
            raise DataError(f"{root}: {problem}; export them in one unit, or give scale to proceed")
        warnings.append(problem)
    if form.scale is None:
        form, guessed = _guess(root, probes, form)
        warnings.append(guessed)
    implausible = implausible_unit([to_metres(probe.raw, form) for probe in probes])
    if implausible is not None:
        warnings.append(implausible)
    for sentence in warnings:
        _LOG.warning("%s: %s", root, sentence)
    return replace(reading, form=form), tuple(f"{WARNING_NOTE}{sentence}" for sentence in warnings)


def range_warning(frames: FrameSet, max_depth: float) -> str | None:
    """A warning if most of the known depth, in a few frames, lies beyond a model's range."""
    form = frames.reading.form
    maps = [to_metres(probe.raw, form) for probe in _read(frames.frames, form, strict=False)]
    values = np.concatenate([metres[metres > 0] for metres in maps] or [np.zeros(0, np.float32)])
    share = float((values > max_depth).mean()) if values.size else 0.0
    if share <= MAX_SHARE_BEYOND:
        return None
    return f"{share:.0%} of the labels lie beyond the model's range of {max_depth:g} m"


def _read(frames: Sequence[Frame], form: DepthFormat, *, strict: bool) -> list[_Probe]:
    probes = []
    for index in np.unique(np.linspace(0, len(frames) - 1, MAX_PROBES).astype(int)):
        frame = frames[int(index)]
        try:
            probes.append(_Probe(frame, read_raw(frame.depth, form)))
        except GLPNError:
            if strict:
                raise
    return probes


def _unusable(probes: Sequence[_Probe], form: DepthFormat) -> list[str]:
    """A warning if some values cannot be distances."""
    raws = [probe.raw for probe in probes]
    count = sum(raw.size for raw in raws)
    not_finite = sum(int(np.count_nonzero(~np.isfinite(raw))) for raw in raws) / count
    negative = sum(
        int(np.count_nonzero((raw < 0) & np.isfinite(raw) & ~np.isin(raw, form.invalid)))
        for raw in raws
    )
    found = []
    if not_finite:
        found.append(f"NaN or infinity ({not_finite:.0%} of the pixels)")
    if negative:
        lowest = min(float(np.nanmin(raw[np.isfinite(raw)], initial=0)) for raw in raws)
        found.append(f"values down to {lowest:g} ({negative / count:.0%})")
    return [f"taken as unknown depth: {', '.join(found)}"] if found else []


def _exclude(probes: Sequence[_Probe], form: DepthFormat) -> tuple[DepthFormat, list[str]]:
    """The format with the values that stand out counted as unknown, and a warning about them."""
    kept = [np.where(np.isin(probe.raw, form.invalid), 0, probe.raw) for probe in probes]
    unknown = unknown_values([levels_of(raw) for raw in kept])
    if not unknown:
        return form, []
    named = ", ".join(f"{value:g} ({share:.0%})" for value, share in sorted(unknown.items()))
    invalid = ", ".join(f"{value:g}" for value in (*form.invalid, *sorted(unknown)))
    warning = (
        f"taken as unknown depth, since they stand out from the other values: {named} of the "
        f"pixels; state invalid = [{invalid}], or other values, to decide yourself"
    )
    return replace(form, invalid=(*form.invalid, *sorted(unknown))), [warning]


def _guess(root: Path, probes: Sequence[_Probe], form: DepthFormat) -> tuple[DepthFormat, str]:
    hint = scale_hint(root)
    if hint is not None:
        steps, name = hint
        return replace(form, scale=steps), f"depth scale guessed: {steps:g} per metre, from {name}"
    model = _model_opinion(probes, form)
    raws = [probe.raw for probe in probes]
    steps, guess = guess_scale(raws, form, model, where=str(root))
    return replace(form, scale=steps), guess


def _model_opinion(probes: Sequence[_Probe], form: DepthFormat) -> ScaleOpinion | None:
    """The bundled model's opinion of the raw values, or None; unreadable photos are skipped."""
    from glpn.data.model_opinion import opinion, scale_opinion

    opinions = []
    for probe in probes:
        try:
            image = read_photo(probe.frame.image).pixels
            camera = probe.frame.camera((image.shape[0], image.shape[1]))
        except GLPNError:
            continue
        known = to_metres(probe.raw, replace(form, scale=1.0, max_depth=None))
        found = opinion(image, known, camera)
        if found is not None:
            opinions.append(found)
    return scale_opinion(opinions)
