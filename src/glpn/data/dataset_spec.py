"""DatasetSpec: the description of a folder of frames, from a `dataset.toml` or from arguments."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from glpn.camera.intrinsics import Intrinsics
from glpn.data.depthmaps import CARLA_SCALE, ENCODINGS, UNITS, DepthFormat
from glpn.errors import ConfigError, DataError, UsageError
from glpn.records import decode, read_toml

SPEC_NAME = "dataset.toml"
CHOICES = {
    "resize": ("auto", "none", "image", "depth"),
    "crop": ("none", "kitti"),
    "pairing": ("name", "time"),
    "unpaired": ("refuse", "skip"),
    "encoding": ENCODINGS,
}

Border = tuple[int, int, int, int]  # top, bottom, left, right


@dataclass(frozen=True)
class DatasetSpec:
    """The paths of a folder's frames and the meaning of their depth files.

    Patterns are relative to the folder: `{stem}` and other names in braces match a piece of one
    path component, `{scene:path}/` any folders or none, `*` anything within a component, `**/` any
    folders. Patterns that end in `.mat` name iBims-1's MATLAB files, each of which holds image,
    depth and camera.

    Attributes:
        rgb, depth, mask: patterns. An image belongs to the depth file for which all names in
            braces agree. Depth is unknown where the mask is 0.
        unit: "m", "dm", "cm" or "mm", instead of a scale.
        scale: raw steps per metre: metres = (raw + `offset`) / `scale`. With neither scale nor
            unit, glpn estimates the scale from the values and reports it in a note.
        offset: added to raw values.
        invalid: raw values that mean "unknown"; `()` for none. If not given, 0 is unknown, and so
            are values that stand out like 65535 or a sensor's maximum; a note reports them.
        max_depth: depth beyond these metres is unknown.
        encoding, key: see `DepthFormat`.
        intrinsics: (fx, fy, cx, cy) of the image, or a file's path; names in braces are allowed.
        intrinsics_size: (height, width) of the images to which `intrinsics` applies, unless its
            file states it; intrinsics are scaled to images of another size. If neither does, the
            principal point must lie in the image.
        border: widths of the margins without known depth: top, bottom, left, right; or one number
            for all four.
        resize: where image and depth differ in size, "image" scales the image to the depth's size
            and "depth" repeats or picks depth pixels; "none" raises an error. "auto" is "depth" if
            both have the same aspect ratio and an error otherwise.
        crop: "kitti" is the KB crop.
        pairing: "time" pairs an image with the depth file whose `{stem}`, a time stamp, is nearest.
        unpaired: "skip" leaves out images without depth (a note counts them), "refuse" is an error.
        train, val: list files. `bases`: folders in which the lists' paths are looked up.

    Raises:
        ConfigError: a value is impossible; the message names the key.
    """

    rgb: str = "rgb/{stem}.*"
    depth: str = "depth/{stem}.*"
    mask: str | None = None
    unit: str | None = None
    scale: float | None = None
    offset: float = 0.0
    invalid: tuple[float, ...] | None = None
    max_depth: float | None = None
    encoding: str = "plain"
    key: str | None = None
    intrinsics: str | tuple[float, ...] | None = None
    intrinsics_size: tuple[int, int] | None = None
    border: Border = (0, 0, 0, 0)
    resize: str = "auto"
    crop: str = "none"
    pairing: str = "name"
    unpaired: str = "skip"
    train: str | None = None
    val: str | None = None
    bases: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        for key, choices in CHOICES.items():
            if getattr(self, key) not in choices:
                wanted, got = ", ".join(choices), reprlib.repr(getattr(self, key))
                raise ConfigError(f"{key}: expected one of {wanted}; got {got}")
        for key in ("rgb", "depth", "mask"):
            pattern = getattr(self, key)
            if pattern is not None and Path(pattern).is_absolute():
                got = reprlib.repr(pattern)
                raise ConfigError(f"{key}: expected a path below the dataset's folder, got {got}")
        if self.unit is not None and self.unit not in UNITS:
            got = reprlib.repr(self.unit)
            raise ConfigError(f"unit: expected one of {', '.join(UNITS)}; got {got}")
        if self.unit is not None and self.scale not in (None, UNITS[self.unit]):
            raise ConfigError(f"unit {self.unit!r} and scale {self.scale} contradict each other")
        if min(self.border) < 0:
            got = reprlib.repr(self.border)
            raise ConfigError(f"border: expected four widths of 0 or more, got {got}")
        if isinstance(self.intrinsics, tuple) and len(self.intrinsics) != 4:
            got = reprlib.repr(self.intrinsics)
            raise ConfigError(f"intrinsics: expected (fx, fy, cx, cy), got {got}")
        try:
            _ = self.depth_format, self.camera
        except (DataError, UsageError) as e:
            raise ConfigError(str(e)) from None

    @property
    def depth_format(self) -> DepthFormat:
        """The meaning of the depth files' values; the scale is None if it must be estimated."""
        scale = UNITS[self.unit] if self.unit is not None else self.scale
        if scale is None and self.encoding == "carla":
            scale = CARLA_SCALE
        return DepthFormat(
            scale=scale,
            offset=self.offset,
            invalid=(0.0,) if self.invalid is None else self.invalid,
            max_depth=self.max_depth,
            encoding=self.encoding,
            key=self.key,
        )

    @property
    def camera(self) -> Intrinsics | None:
        """The intrinsics, if all frames share them."""
        if not isinstance(self.intrinsics, tuple):
            return None
        fx, fy, cx, cy = self.intrinsics
        return Intrinsics(fx, fy, cx, cy, size=self.intrinsics_size)

    def replace(self, **values: object) -> DatasetSpec:
        """A copy with some fields changed, validated like `from_dict`."""
        return DatasetSpec.from_dict({**dataclasses.asdict(self), **values})

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> DatasetSpec:
        """The specification from decoded TOML or keyword arguments.

        Raises:
            ConfigError: a key is unknown (the message names the nearest) or a value has the wrong
                type.
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
    """Expand a single number to four borders, or to a list of one invalid value."""
    if isinstance(value, (list, tuple)) or value is None or isinstance(value, bool):
        return value
    if key == "border":
        return (value,) * 4
    return (value,) if key == "invalid" else value
