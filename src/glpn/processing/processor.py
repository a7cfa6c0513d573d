"""GLPNImageProcessor: photographs → pixel_values, and depth back to the photographs' sizes."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.errors import ConfigError, UsageError
from glpn.image.photo import read_photo
from glpn.native import shrink
from glpn.processing.batching import PixelBatch, as_depth, as_list, gather, split_depths
from glpn.processing.resize import nearest, resize_depth
from glpn.records import read_json
from glpn.weights.hub_client import find_file

PROCESSOR_NAME = "preprocessor_config.json"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_TYPE_KEYS = ("image_processor_type", "feature_extractor_type")  # today's and the older key
_OUR_TYPES = tuple(
    "GLPN" + kind
    for kind in ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")
)
# Far above any in use, low enough that no file asks for an absurd amount of memory.
_LARGEST = {"size_divisor": 1024, "short_side": 8192, "max_pixels": 1_000_000_000}
_RESAMPLING = tuple(int(filter_) for filter_ in Image.Resampling)

_Processor = TypeVar("_Processor", bound="GLPNImageProcessor")


@dataclass(frozen=True)
class GLPNImageProcessor:
    """How photographs become the network's input; the fields of `preprocessor_config.json`.

    Attributes:
        do_resize: scale at all; False keeps the photograph's own size.
        size_divisor: sides are rounded down to a multiple of it, to no less than one.
        resample: Pillow's filter; 2 is bilinear.
        do_rescale, rescale_factor: multiply the 0..255 levels by the factor.
        do_normalize, image_mean, image_std: then subtract and divide, per channel; ImageNet's
            values where None.
        short_side: the photograph is scaled, up or down, until its shorter side has this many
            pixels (the scale the network was trained at) before it is rounded; None: own size.
        max_pixels: the input is scaled down to at most so many pixels, the aspect kept.
        focal_ratio: focal length of the camera for which the network's metres hold, in shorter
            sides of its picture; None where that is unknown. See `DepthEstimator.estimate`.
        extra: keys of the file that are none of these; kept and written back.

    Raises:
        ConfigError: a value is impossible; the message names the key.
    """

    do_resize: bool = True
    size_divisor: int = 32
    resample: int = 2
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = False
    image_mean: Sequence[float] | None = None
    image_std: Sequence[float] | None = None
    short_side: int | None = None
    max_pixels: int | None = None
    focal_ratio: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    model_input_names = ("pixel_values",)

    def __post_init__(self) -> None:
        for key in ("do_resize", "do_rescale", "do_normalize"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"{key}: expected true or false, got {getattr(self, key)!r}")
        self._set("size_divisor", _whole("size_divisor", self.size_divisor))
        for key in ("short_side", "max_pixels"):
            if getattr(self, key) is not None:
                self._set(key, _whole(key, getattr(self, key)))
        if self.resample not in _RESAMPLING or isinstance(self.resample, bool):
            raise ConfigError(f"resample: expected one of {_RESAMPLING}, got {self.resample!r}")
        self._set("resample", int(self.resample))
        if not _is_number(self.rescale_factor):
            raise ConfigError(
                f"rescale_factor: expected a finite number, got {self.rescale_factor!r}"
            )
        if self.focal_ratio is not None and not (
            _is_number(self.focal_ratio) and self.focal_ratio > 0
        ):
            raise ConfigError(f"focal_ratio: expected a number above 0, got {self.focal_ratio!r}")
        if not isinstance(self.extra, Mapping):
            raise ConfigError(f"extra: expected a mapping, got {self.extra!r}")
        for key in ("image_mean", "image_std"):
            if getattr(self, key) is not None:
                self._set(key, _three(key, getattr(self, key)))

    def _set(self, key: str, value: object) -> None:
        object.__setattr__(self, key, value)

    def __call__(
        self, images: Any, return_tensors: str | None = None, **overrides: Any
    ) -> PixelBatch:
        """The same as `preprocess`."""
        return self.preprocess(images, return_tensors, **overrides)

    def preprocess(
        self, images: Any, return_tensors: str | None = None, **overrides: Any
    ) -> PixelBatch:
        """Photographs → `{"pixel_values": ...}`, float32, channels first.

        Args:
            images: one photograph or a list of them, of any kind that `glpn.image.photo.read_photo`
                takes; an array or tensor with a fourth axis in front is a list.
            return_tensors: "pt" gives a torch tensor [B, 3, h, w], "np" an array, None a list of
                arrays [3, h, w], each at its own size.
            **overrides: fields of the processor, for this call.

        Raises:
            InvalidImage: a photograph cannot be read; the message names it.
            UsageError: an unknown option; or "pt" or "np" was asked for and the photographs come
                out at different sizes (their sizes are named): one tensor cannot hold them.
            ConfigError: an override is impossible.
        """
        chosen = self._with(overrides)
        photos = [read_photo(image) for image in as_list(images, single_ndim=3)]
        pixels = [chosen.pixels(photo.pixels) for photo in photos]
        empty = (3, chosen.size_divisor, chosen.size_divisor)
        return PixelBatch(pixel_values=gather(pixels, return_tensors, empty=empty))

    def preprocess_depth(
        self, depth_maps: Any, return_tensors: str | None = "np", **overrides: Any
    ) -> Any:
        """Depth maps → float32 [B, h, w] at the size that their photographs get.

        Args:
            depth_maps: metres, float [H, W], one or a list; [B, H, W] is a list. What is not
                finite or not above 0 is unknown.
            return_tensors: as in `preprocess`.
            **overrides: fields of the processor, for this call.

        Returns:
            The maps sampled at the nearest pixel, so no two depths are mixed; unknown is 0.

        Raises:
            DataError: not a two-dimensional array of floats.
            UsageError: as in `preprocess`.
        """
        chosen = self._with(overrides)
        maps = [
            nearest(depth, chosen.input_size(*depth.shape))
            for depth in map(as_depth, as_list(depth_maps, single_ndim=2))
        ]
        return gather(maps, return_tensors, empty=(chosen.size_divisor, chosen.size_divisor))

    def input_size(
        self, height: int, width: int, *, max_pixels: int | None = None
    ) -> tuple[int, int]:
        """The network's input size for a photograph of this size.

        Sides are rounded down to the divisor after scaling. The limit on pixels (`max_pixels`
        here and in the processor, whichever is lower) holds for the most extreme shapes too:
        where the shorter side cannot shrink any further, the longer one does.
        """
        if not self.do_resize:
            return height, width
        divisor = self.size_divisor
        limits = [limit for limit in (max_pixels, self.max_pixels) if limit is not None]
        if self.short_side is not None:
            scale = self.short_side / min(height, width)
            height, width = round(height * scale), round(width * scale)
        if limits and height * width > min(limits):
            scale = math.sqrt(min(limits) / (height * width))
            height, width = int(height * scale), int(width * scale)
        height, width = (max(side // divisor, 1) * divisor for side in (height, width))
        if limits and height * width > min(limits):
            longest = max(min(limits) // divisor**2, 1) * divisor
            height, width = min(height, longest), min(width, longest)
        return height, width

    def pixels(
        self,
        image: NDArray[np.uint8],
        *,
        max_pixels: int | None = None,
        size: tuple[int, int] | None = None,
    ) -> NDArray[np.float32]:
        """One RGB image, uint8 [H, W, 3] → the network's input, float32 [3, h, w].

        Args:
            image: as in `Photo.pixels`.
            max_pixels: a limit for this call; see `input_size`.
            size: (height, width) of the photograph, where `image` is a smaller one of it.
        """
        height, width = self.input_size(*(size or image.shape[:2]), max_pixels=max_pixels)
        if image.shape[:2] != (height, width):
            if self.resample == Image.Resampling.BILINEAR and shrink.fits(image, (height, width)):
                return shrink.network_input(image, (height, width), self._level_values())
            picture = Image.fromarray(image)
            image = np.asarray(picture.resize((width, height), Image.Resampling(self.resample)))
        pixels = np.empty((3, height, width), np.float32)
        for channel, values in enumerate(self._level_values()):
            np.take(values, image[:, :, channel], out=pixels[channel])
        return pixels

    def _level_values(self) -> NDArray[np.float32]:
        """What each of the 256 levels becomes, per channel: [3, 256]."""
        levels = np.arange(256, dtype=np.float64)
        if self.do_rescale:
            levels *= self.rescale_factor
        values = np.tile(levels.astype(np.float32), (3, 1))
        if self.do_normalize:
            mean = np.array(self.image_mean or IMAGENET_MEAN, np.float32)
            std = np.array(self.image_std or IMAGENET_STD, np.float32)
            values = (values - mean[:, None]) / std[:, None]
        return values

    def post_process_depth_estimation(
        self, outputs: Any, target_sizes: Any = None
    ) -> list[dict[str, Any]]:
        """Split a batch of predictions, each resized to its photograph.

        Args:
            outputs: a record or mapping with `predicted_depth` [B, h, w], tensor or array.
            target_sizes: for each prediction (height, width), or None to leave it; a list, an
                array or a tensor. None: leave all.

        Returns:
            For each `{"predicted_depth": [H, W]}`, of the kind that came in.

        Raises:
            UsageError: not one size per prediction, or an impossible one.
        """
        return [
            {"predicted_depth": depth if size is None else resize_depth(depth, size)}
            for depth, size in split_depths(outputs, target_sizes)
        ]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types, in the Hugging Face names; optional ones where set."""
        fields = (f.name for f in dataclasses.fields(self) if f.name != "extra")
        values = {name: getattr(self, name) for name in fields}
        known = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None
        }
        return {**self.extra, "image_processor_type": "GLPNImageProcessor", **known}

    @classmethod
    def from_dict(cls: type[_Processor], values: Mapping[str, Any]) -> _Processor:
        """The processor that a decoded `preprocessor_config.json` describes.

        Files of the older feature extractor and of all variants of the image processor load; a
        null means the default; unknown keys are kept in `extra`.

        Raises:
            ConfigError: a value is impossible, or the file describes another model's processor.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"processor: expected a JSON object, got {type(values).__name__}")
        for key in _TYPE_KEYS:
            if values.get(key, _OUR_TYPES[0]) not in _OUR_TYPES:
                raise ConfigError(
                    f"{key}: expected one of {', '.join(_OUR_TYPES)}; got {values[key]!r}"
                )
        names = _field_names()
        known = {k: v for k, v in values.items() if k in names and v is not None}
        ours = (*names, *_TYPE_KEYS)
        return cls(**known, extra={k: v for k, v in values.items() if k not in ours})

    @classmethod
    def from_pretrained(
        cls: type[_Processor], source: str | os.PathLike[str], **hub: Any
    ) -> _Processor:
        """Load `preprocessor_config.json` from a folder, a bundled model or the hub.

        Args:
            source: folder, bundled model's name, or hub id.
            **hub: revision, cache_dir, local_files_only, token.

        Raises:
            MissingInput: no such folder, file or hub id, or the hub cannot be reached.
            ConfigError: the file is damaged; the message names the key.
        """
        return cls.from_dict(read_json(find_file(PROCESSOR_NAME, source, hub)))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write `preprocessor_config.json` into `folder`, which is made if need be, atomically.

        Raises:
            CannotCreateOutput, OutputFailed: the folder cannot be made or written.
        """
        from glpn.files import atomic_file, require_writable_folder

        text = json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"
        path = require_writable_folder(Path(folder)) / PROCESSOR_NAME
        with atomic_file(path, overwrite=True) as file:
            file.write(text.encode())

    def _with(self, overrides: Mapping[str, Any]) -> GLPNImageProcessor:
        names = _field_names()
        for key in overrides:
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1)
                hint = f": did you mean {near[0]!r}?" if near else f"; known are {', '.join(names)}"
                raise UsageError(f"unknown option {key!r}{hint}")
        return dataclasses.replace(self, **overrides)


class GLPNFeatureExtractor(GLPNImageProcessor):
    """The older name of GLPNImageProcessor."""


def _field_names() -> list[str]:
    return [f.name for f in dataclasses.fields(GLPNImageProcessor) if f.name != "extra"]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST[key]:
        raise ConfigError(
            f"{key}: expected a whole number from 1 to {_LARGEST[key]}, got {value!r}"
        )
    return value


def _three(key: str, value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, (list, tuple)) else [value] * 3
    least = 0.0 if key == "image_std" else -math.inf
    if len(values) != 3 or not all(_is_number(v) and v > least for v in values):
        wanted = "positive numbers" if key == "image_std" else "numbers"
        raise ConfigError(f"{key}: expected three {wanted}, got {value!r}")
    return tuple(float(v) for v in values)
