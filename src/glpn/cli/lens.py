"""What the user tells of the camera and the tape measure → what the estimator and `Depth` take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glpn.cli.numbers import parse_place, positive
from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.camera.calibration import Tape


def camera(*, focal: float | None, fov: float | None, intrinsics: Path | None) -> dict[str, Any]:
    """Keyword arguments of `DepthEstimator`'s call.

    Raises:
        UsageError: more than one of them, or an impossible figure.
        MissingInput, DataError: as `read_intrinsics`.
    """
    from glpn.camera.intrinsics_files import read_intrinsics

    if sum(value is not None for value in (focal, fov, intrinsics)) > 1:
        raise UsageError("--focal, --fov, --intrinsics: give at most one of them")
    return {
        "focal": positive("--focal", focal),
        "fov": positive("--fov", fov, limit=180),
        "camera": None if intrinsics is None else read_intrinsics(intrinsics),
    }


def tape(
    references: Sequence[str], lengths: Sequence[str], *, camera: Mapping[str, Any]
) -> Tape | None:
    """What was measured; None where nothing was.

    Args:
        references, lengths: texts of --ref and of --known.
        camera: what else was told of it, as the function `camera` has it.

    Raises:
        UsageError: a text or a length is impossible, or the two contradict the camera or each
            other.
    """
    from glpn.camera.calibration import Tape, require_lengths

    if references and lengths:
        raise UsageError("--ref, --known: give one kind of them")
    if len(lengths) > 1 and any(told is not None for told in camera.values()):
        raise UsageError(
            "--known: two solve the focal length, which is given; leave --focal, --fov and "
            "--intrinsics out, or give one length, which sets the scale"
        )
    read = Tape(
        references=tuple(parse_place("--ref", text, count=3) for text in references),
        lengths=tuple(parse_place("--known", text, count=5) for text in lengths),
    )
    for option, values, count in (("--ref", read.references, 3), ("--known", read.lengths, 5)):
        if values:
            require_lengths(option, values, numbers=count)
    return read if references or lengths else None
