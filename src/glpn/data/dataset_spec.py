"""DatasetSpec: what a folder of frames looks like, from a `dataset.toml` or from arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glpn.camera.intrinsics import Intrinsics
from glpn.data.depthmaps import UNITS, DepthFormat
from glpn.errors import ConfigError
from glpn.records import decode, read_toml

SPEC_NAME = "dataset.toml"
CHOICES = {
    "resize": ("none", "image", "depth"),
    "crop": ("none", "kitti"),
    "pairing": ("name", "time"),
    "unpaired": ("refuse", "skip"),
    "encoding": ("plain", "sunrgbd"),
}

Border = tuple[int, int, int, int]  # top, bottom, left, right


@dataclass(frozen=True)
class DatasetSpec:
    """Where a folder keeps its frames and what their depth files mean.

    `rgb`, `depth` and `mask` are patterns relative to the folder: `{stem}` and other names in
    braces match a piece of one path component, `{scene:path}/` any folders or none, `*` anything
    within a component, `**/` any folders. An image belongs to the depth file for which all names in
    braces agree (`pairing` "time": whose `{stem}`, a time stamp, is the nearest). Patterns that end
    in `.mat` name iBims-1's MATLAB files, each of which holds image, depth and camera.

    Metres are (raw + `offset`) / `scale`; `unit` ("m", "cm", "mm") stands for a scale; with
    neither, the scale is guessed and said. Raw values in `invalid` are unknown, and so are metres
    beyond `max_depth`, pixels where the mask is 0, and the `border` (top, bottom, left, right; or
    one width for all).

    `intrinsics` is (fx, fy, cx, cy) of the image, or a file's path, names in braces allowed.
    `resize` says what is done where image and depth differ in size: "none" is an error, "image"
    scales the image to the depth's size, "depth" repeats or picks depth pixels. `crop` "kitti" is
    the KB crop. `train` and `val` name list files; `bases` are the folders in which the lists'
    paths are looked up.

    Raises:
        ConfigError: a value is impossible; the message names the key.
    """

    rgb: str = "rgb/{stem}.*"
    depth: str = "depth/{stem}.*"
    mask: str | None = None
    unit: str | None = None
    scale: float | None = None
    offset: float = 0.0
    invalid: tuple[float, ...] = (0.0,)
    max_depth: float | None = None
    encoding: str = "plain"
    key: str | None = None
    intrinsics: str | tuple[float, ...] | None = None
    border: Border = (0, 0, 0, 0)
    resize: str = "none"
    crop: str = "none"
    pairing: str = "name"
    unpaired: str = "refuse"
    train: str | None = None
    val: str | None = None
    bases: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        for key, choices in CHOICES.items():
            if getattr(self, key) not in choices:
                wanted = ", ".join(choices)
                raise ConfigError(f"{key}: expected one of {wanted}; got {getattr(self, key)!r}")
        if self.unit is not None and self.unit not in UNITS:
            raise ConfigError(f"unit: expected one of {', '.join(UNITS)}; got {self.unit!r}")
        if self.unit is not None and self.scale not in (None, UNITS[self.unit]):
            raise ConfigError(f"unit {self.unit!r} and scale {self.scale} contradict each other")
        if min(self.border) < 0:
            raise ConfigError(f"border: expected four widths of 0 or more, got {self.border}")
        if isinstance(self.intrinsics, tuple) and len(self.intrinsics) != 4:
            raise ConfigError(f"intrinsics: expected (fx, fy, cx, cy), got {self.intrinsics}")

    @property
    def depth_format(self) -> DepthFormat:
        """What the depth files' values mean; its scale is None where it must be guessed."""
        return DepthFormat(
            scale=UNITS[self.unit] if self.unit is not None else self.scale,
            offset=self.offset,
            invalid=self.invalid,
            max_depth=self.max_depth,
            encoding=self.encoding,
            key=self.key,
        )

    @property
    def camera(self) -> Intrinsics | None:
        """The intrinsics, where they are the same numbers for every frame."""
        if not isinstance(self.intrinsics, tuple):
            return None
        fx, fy, cx, cy = self.intrinsics
        return Intrinsics(fx, fy, cx, cy)

    def replace(self, **values: Any) -> DatasetSpec:
        """A copy with some fields changed, checked as `from_dict` checks."""
        return DatasetSpec.from_dict({**dataclasses.asdict(self), **values})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DatasetSpec:
        """The specification from decoded TOML or keyword arguments.

        Raises:
            ConfigError: an unknown key, naming the nearest, or a mistyped value.
        """
        return decode(cls, {key: _in_full(key, value) for key, value in values.items()})

    @classmethod
    def from_toml(cls, path: str | Path) -> DatasetSpec:
        """Read a `dataset.toml`.

        Raises:
            MissingInput: there is no such file.
            ConfigError: it is not TOML, or a value in it is impossible.
        """
        values = read_toml(path)
        try:
            return cls.from_dict(values)
        except ConfigError as e:
            raise ConfigError(f"{path}: {e}") from None


def _in_full(key: str, value: object) -> object:
    """One number stands for all four borders, and for a list of one invalid value."""
    if isinstance(value, (list, tuple)) or value is None or isinstance(value, bool):
        return value
    if key == "border":
        return (value,) * 4
    return (value,) if key == "invalid" else value
