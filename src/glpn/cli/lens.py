"""Camera options and measurements of the command line → arguments of the estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glpn.cli.numbers import parse_place, positive
from glpn.errors import UsageError

if TYPE_CHECKING:
    from glpn.depth.measurements import Measurements


def camera(*, focal: float | None, fov: float | None, intrinsics: Path | None) -> dict[str, Any]:
    """Keyword arguments of `DepthEstimator`'s call.

    Raises:
        UsageError: more than one of them is given, or a number is impossible.
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


def measurements(
    references: Sequence[str],
    lengths: Sequence[str],
    *,
    sparse: Path | None = None,
    sparse_scale: float | None = None,
    camera: Mapping[str, Any],
) -> Measurements | None:
    """Known depths and lengths; None without any.

    Args:
        references, lengths: texts of --ref and of --known.
        sparse, sparse_scale: values of --sparse and of --sparse-scale.
        camera: the result of the function `camera`.

    Raises:
        UsageError: a text or a length is impossible, or contradicts the camera or the others.
        MissingInput, DataError: as `read_sparse`.
    """
    from glpn.camera.calibration import require_lengths
    from glpn.depth.measurements import Measurements, read_sparse

    if sum(map(bool, (references, lengths, sparse))) > 1:
        raise UsageError("--ref, --known, --sparse: give one kind of them")
    if sparse_scale is not None and sparse is None:
        raise UsageError("--sparse-scale: is the scale of --sparse, which is not given")
    if len(lengths) > 1 and any(given is not None for given in camera.values()):
        raise UsageError(
            "--known: two solve the focal length, which is given; leave --focal, --fov and "
            "--intrinsics out, or give one length, which sets the scale"
        )
    read = Measurements(
        references=tuple(parse_place("--ref", text, count=3) for text in references),
        lengths=tuple(parse_place("--known", text, count=5) for text in lengths),
        sparse=None
        if sparse is None
        else read_sparse(sparse, scale=positive("--sparse-scale", sparse_scale)),
    )
    for option, values, count in (("--ref", read.references, 3), ("--known", read.lengths, 5)):
        if values:
            require_lengths(option, values, numbers=count)
    return read if references or lengths or sparse else None
