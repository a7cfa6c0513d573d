"""Protocols: named rules for the pixels that count and the preparation of a prediction."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError, UsageError, require_choice

FloatArray = NDArray[np.float64]
Scalar = TypeVar("Scalar", bound=np.generic)

KB_CROP_SIZE = (352, 1216)  # rows and columns of the KITTI benchmark's crop


class Crop(NamedTuple):
    """A rectangle as fractions of the map's height and width: [top, bottom), [left, right)."""

    top: Fraction
    bottom: Fraction
    left: Fraction
    right: Fraction

    def window(self, size: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of this crop on a map of `size` = (height, width)."""
        height, width = size
        rows = slice(int(self.top * height), int(self.bottom * height))
        return rows, slice(int(self.left * width), int(self.right * width))


CROPS: Mapping[str, Crop] = {
    "none": Crop(Fraction(0), Fraction(1), Fraction(0), Fraction(1)),
    # Eigen et al. 2014 for NYU: rows 45:471, columns 41:601 of 480 x 640.
    "eigen-nyu": Crop(Fraction(45, 480), Fraction(471, 480), Fraction(41, 640), Fraction(601, 640)),
    # Garg et al. 2016: rows 143:349, columns 43:1172 of 352 x 1216.
    "garg": Crop(
        Fraction("0.40810811"),
        Fraction("0.99189189"),
        Fraction("0.03594771"),
        Fraction("0.96405229"),
    ),
    # Eigen et al. 2014 for KITTI: rows 117:321, columns 43:1172 of 352 x 1216.
    "eigen-kitti": Crop(
        Fraction("0.3324324"),
        Fraction("0.91351351"),
        Fraction("0.03594771"),
        Fraction("0.96405229"),
    ),
}

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "crop": tuple(CROPS),
    "alignment": ("none", "median", "scale", "scale+shift"),
    "alignment_space": ("depth", "disparity"),
    "average": ("per-image", "pooled"),
}


@dataclass(frozen=True)
class Protocol:
    """All settings that affect a score, apart from the model and the frames.

    Attributes:
        name: the name in reports; not part of the hash.
        min_depth, max_depth: a target counts where min_depth < target < max_depth, in metres.
        crop: a name in `CROPS`.
        kb_crop: image and target are first cut to the bottom 352 rows, the middle 1216 columns.
        clamp: predictions are clipped to [min_depth, max_depth], after any alignment.
        flip: the prediction is averaged with the mirrored prediction of the mirrored image.
        alignment: the fit of a prediction to the image's valid target: "median" (ratio of medians),
            "scale" or "scale+shift" (least squares), or "none".
        alignment_space: the space of the least-squares fit, metres or 1 / metres.
        average: the mean of per-image metrics, or the metrics of all pixels pooled.
        focal_ratio: focal length of the model's camera as a multiple of the shorter side of its
            photos. If given, each prediction is multiplied by the ratio of the frame's own focal
            length to it, as `DepthEstimator.estimate` does.

    Predictions that are not finite are always replaced: +∞ by max_depth, −∞ and NaN by min_depth.

    Raises:
        UsageError: a value is invalid; the message names the field.
    """

    name: str
    min_depth: float = 1e-3
    max_depth: float = 10.0
    crop: str = "none"
    kb_crop: bool = False
    clamp: bool = True
    flip: bool = False
    alignment: Literal["none", "median", "scale", "scale+shift"] = "none"
    alignment_space: Literal["depth", "disparity"] = "depth"
    average: Literal["per-image", "pooled"] = "per-image"
    focal_ratio: float | None = None

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            require_choice(field, getattr(self, field), choices)
        if not 0 < self.min_depth < self.max_depth < float("inf"):
            raise UsageError(
                "min_depth, max_depth: expected 0 < min_depth < max_depth, finite; "
                f"got {self.min_depth} and {self.max_depth}"
            )
        if self.alignment_space == "disparity" and not self.alignment.startswith("scale"):
            raise UsageError(
                "alignment_space: disparity requires alignment scale or scale+shift; "
                f"got alignment {self.alignment!r}"
            )

    def replace(self, **changes: Any) -> Protocol:
        """Return a copy with changed options; its name lists the changes unless `name` is given."""
        options = [f"{k}={v}" for k, v in changes.items() if getattr(self, k, None) != v]
        renamed = {"name": " ".join([self.name, *options])}
        try:
            return dataclasses.replace(self, **{**renamed, **changes})
        except TypeError as e:
            raise UsageError(f"protocol {self.name}: {e}") from None

    def settings(self) -> dict[str, object]:
        """Return all fields as JSON values."""
        return dataclasses.asdict(self)

    def hash(self) -> str:
        """Return the SHA-256 (hex) of all options and the crop's numbers, without the name.

        Models of different cameras can be compared, so only the use of a focal ratio counts.
        """
        options = {k: v for k, v in self.settings().items() if k not in ("name", "focal_ratio")}
        if self.focal_ratio is not None:
            options["known_focal"] = True
        options["crop"] = [str(edge) for edge in CROPS[self.crop]]
        options["min_depth"], options["max_depth"] = float(self.min_depth), float(self.max_depth)
        text = json.dumps(options, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_NYU = Protocol("nyu", crop="eigen-nyu")
_KITTI = Protocol("kitti", max_depth=80.0, crop="garg", kb_crop=True)

PROTOCOLS: Mapping[str, Protocol] = {
    "nyu": _NYU,  # Kim et al. 2022
    "kitti": _KITTI,  # Kim et al. 2022: Eigen split, Garg crop
    "kitti-eigen": dataclasses.replace(_KITTI, name="kitti-eigen", crop="eigen-kitti"),
    # Zero-shot tests of NYU models; ranges as in Bhat et al. 2021 (SUN) and 2023 (iBims, DIODE).
    "sunrgbd": Protocol("sunrgbd", max_depth=8.0),
    "ibims": Protocol("ibims", max_depth=10.0),
    "diode": Protocol("diode", max_depth=10.0),
    "diode-outdoor": Protocol("diode-outdoor", max_depth=80.0),
    # Other datasets get no crop and a range that covers every camera.
    "folder": Protocol("folder", max_depth=1000.0),
}


def protocol(name: str) -> Protocol:
    """Return the protocol of this name.

    Raises:
        UsageError: there is no protocol of this name.
    """
    require_choice("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]


def kb_crop(array: NDArray[Scalar], *, name: str = "frame") -> NDArray[Scalar]:
    """Return a view of the bottom 352 rows and middle 1216 columns of [H, W] or [H, W, C].

    Raises:
        DataError: the array is smaller than the crop.
    """
    height, width = array.shape[:2]
    rows, columns = KB_CROP_SIZE
    if height < rows or width < columns:
        raise DataError(
            f"{name}: the KB crop needs at least {columns}x{rows}, got {width}x{height}"
        )
    left = (width - columns) // 2
    return array[height - rows :, left : left + columns]


def valid_mask(protocol: Protocol, target: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return the mask of pixels whose target counts, bool [H, W].

    The target is in metres [H, W], where 0 or a value that is not finite means unknown.
    If the protocol has `kb_crop`, the target must be cropped already.
    """
    valid = np.zeros(target.shape, dtype=np.bool_)
    window = CROPS[protocol.crop].window((target.shape[0], target.shape[1]))
    inside = target[window]
    valid[window] = (inside > protocol.min_depth) & (inside < protocol.max_depth)
    return valid


def prepare_prediction(
    protocol: Protocol,
    prediction: NDArray[np.floating],
    target: NDArray[np.floating],
    valid: NDArray[np.bool_],
) -> NDArray[np.floating]:
    """Prepare a prediction for scoring: replace non-finite values, align and clamp.

    Args:
        protocol: the rules.
        prediction, target: metres [H, W]; neither is changed.
        valid: bool [H, W], at least one pixel.
    """
    low, high = protocol.min_depth, protocol.max_depth
    if not np.isfinite(prediction).all():
        prediction = np.nan_to_num(prediction, nan=low, posinf=high, neginf=low)
    if protocol.alignment != "none":
        prediction = _align(protocol, prediction, target, valid)
    return np.clip(prediction, low, high) if protocol.clamp else prediction


def _align(
    protocol: Protocol,
    prediction: NDArray[np.floating],
    target: NDArray[np.floating],
    valid: NDArray[np.bool_],
) -> FloatArray:
    """Align the prediction to the target by the protocol's rule; return float64 [H, W]."""
    p = prediction.astype(np.float64)
    x, y = p[valid], target[valid].astype(np.float64)
    if protocol.alignment == "median":
        return p * _ratio(float(np.median(y)), float(np.median(x)))
    if protocol.alignment_space == "depth":
        scale, shift = _least_squares(x, y, shift=protocol.alignment == "scale+shift")
        return scale * p + shift
    inverse = 1 / np.maximum(p, protocol.min_depth)
    scale, shift = _least_squares(inverse[valid], 1 / y, shift=protocol.alignment == "scale+shift")
    # A disparity of 0 or less has no finite depth, so it becomes max_depth.
    return 1 / np.maximum(scale * inverse + shift, 1 / protocol.max_depth)


def _least_squares(x: FloatArray, y: FloatArray, *, shift: bool) -> tuple[float, float]:
    """Fit a x + b to y; return (a, b), with b = 0 without `shift` and a = 0 if x is constant."""
    if not shift:
        return _ratio(float((x * y).sum()), float((x * x).sum())), 0.0
    centred = x - x.mean()
    scale = _ratio(float((centred * y).sum()), float((centred * centred).sum()))
    return scale, float(y.mean() - scale * x.mean())


def _ratio(numerator: float, denominator: float) -> float:
    """Divide; return 0 if the denominator is 0, because there is nothing to scale."""
    return numerator / denominator if denominator else 0.0
