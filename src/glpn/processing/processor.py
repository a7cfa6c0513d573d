"""GLPNImageProcessor: photos → pixel_values, and depth back to the photos' sizes."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from glpn.errors import ConfigError, UsageError
from glpn.native import shrink
from glpn.processing.batching import PixelBatch, as_depth, as_list, gather, split_depths
from glpn.processing.images import (
    CHANNELS_LAST,
    Levels,
    read_levels,
    require_layout,
)
from glpn.processing.resize import nearest, resize_depth
from glpn.records import nearest_word, read_json
from glpn.weights.hub_client import HUB_OPTIONS, find_file

PROCESSOR_NAME = "preprocessor_config.json"
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_TYPE_KEYS = ("image_processor_type", "feature_extractor_type")  # today's and the older key
_OUR_TYPES = tuple(
    "GLPN" + kind
    for kind in ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")
)
# Far above any in use, low enough that no file asks for an absurd amount of memory.
# Outside these limits a value is damage, not a choice. A factor of 1 is for photos in 0..1; a focal
# length of 0.01 shorter sides is a field of view of 179°.
_PLAUSIBLE = {"rescale_factor": (1e-6, 1e3), "focal_ratio": (0.01, 100.0)}
_LARGEST = {"size_divisor": 1024, "short_side": 8192, "max_pixels": 1_000_000_000}
_RESAMPLING = tuple(int(filter_) for filter_ in Image.Resampling)
_BOOLEANS = ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb")
# Options that transformers' GLPN processor accepts and ignores; they are ignored here too.
WITHOUT_EFFECT = (
    *("crop_size", "default_to_square", "disable_grouping", "do_center_crop", "do_pad"),
    *("image_seq_length", "pad_size", "size", "trust_remote_code", "use_fast"),
)

_Processor = TypeVar("_Processor", bound="GLPNImageProcessor")


class GLPNImageProcessorKwargs(TypedDict, total=False):
    """The options of a call; see `GLPNImageProcessor`."""

    do_resize: bool | None
    size_divisor: int
    resample: int | None
    do_rescale: bool | None
    rescale_factor: float | None
    do_normalize: bool | None
    image_mean: float | Sequence[float] | None
    image_std: float | Sequence[float] | None
    do_convert_rgb: bool | None
    data_format: str | None
    input_data_format: str | None
    device: str | None
    return_tensors: str | None
    short_side: int | None
    max_pixels: int | None


@dataclass(init=False)
class GLPNImageProcessor:
    """How photos become the network's input; the fields of `preprocessor_config.json`.

    A field can be set, and the assignment is validated. None means the default.

    Attributes:
        do_resize: scale at all; False keeps the photo's own size.
        size_divisor: sides are rounded down to a multiple of it, but not below one multiple.
        resample: Pillow's filter; 2 is bilinear.
        do_rescale, rescale_factor: multiply the 0..255 levels by the factor. A float image in 0..1
            counts as its levels; without `do_rescale` it stays in 0..1.
        do_normalize, image_mean, image_std: then subtract and divide, per channel; ImageNet's
            values where None.
        short_side: the photo is scaled, up or down, until its shorter side has this many
            pixels (the scale of the network's training) before it is rounded; None: own size.
        max_pixels: the input is scaled down to at most this many pixels; the aspect is kept.
        focal_ratio: focal length of the camera for which the network's metres hold, in shorter
            sides of its photo; None where it is unknown. See `DepthEstimator.estimate`.
        do_convert_rgb: False keeps the channels of grey and RGBA images.
        data_format: layout of the result, "channels_first" (also for None) or "channels_last".
        input_data_format: layout of arrays and tensors; inferred from their shape if None.
        extra: other keys of the file; kept and written back.

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
    do_convert_rgb: bool | None = None
    data_format: str | None = None
    input_data_format: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    model_input_names = ("pixel_values",)
    valid_kwargs = GLPNImageProcessorKwargs

    def __init__(self, **values: Any) -> None:
        extra = values.pop("extra", {})
        if not isinstance(extra, Mapping):
            raise ConfigError(f"extra: expected a mapping, got {extra!r}")
        self.__dict__["extra"] = dict(extra)
        for key, default in _DEFAULTS.items():
            self.__dict__[key] = _checked(key, values.pop(key, default))
        for key, value in values.items():
            setattr(self, key, value)

    def __setattr__(self, key: str, value: Any) -> None:
        if key in _DEFAULTS:
            self.__dict__[key] = _checked(key, value)
            return
        near = nearest_word(key, _DEFAULTS, cutoff=0.85)
        if near and key not in WITHOUT_EFFECT:
            raise ConfigError(f"unknown key {key!r}: did you mean {near!r}?")
        self.__dict__["extra"][key] = value

    def __getattr__(self, key: str) -> Any:
        extra = self.__dict__.get("extra", {})
        if key in extra or key in WITHOUT_EFFECT:
            return extra.get(key)
        raise AttributeError(f"{type(self).__name__} has no field {key!r}")

    def __call__(
        self, images: Any, return_tensors: str | None = None, **overrides: Any
    ) -> PixelBatch:
        """The same as `preprocess`."""
        return self.preprocess(images, return_tensors, **overrides)

    def preprocess(
        self, images: Any, return_tensors: str | None = None, **overrides: Any
    ) -> PixelBatch:
        """Photos → `{"pixel_values": ...}`, float32.

        Args:
            images: one photo or a list of them, of any kind that `read_levels` takes; lists may be
                nested; an array or tensor with a fourth axis in front is a list.
            return_tensors: "pt" gives a torch tensor [B, 3, h, w], "np" an array, None a list of
                arrays [3, h, w], each at its own size.
            **overrides: fields of the processor, for this call, and `device` for "pt".

        Raises:
            InvalidImage: a photo cannot be read; the message names it.
            UsageError: an unknown option; or "pt" or "np" was asked for and the photos come
                out at different sizes (their sizes are named): one tensor cannot hold them.
            ConfigError: an override is impossible.
        """
        device = overrides.pop("device", None)
        chosen = self._with(overrides)
        rgb, layout = chosen.do_convert_rgb is not False, chosen.input_data_format
        pixels = [
            chosen._prepared(read_levels(image, layout=layout, rgb=rgb))
            for image in as_list(images, single_ndim=3)
        ]
        empty = (3, chosen.size_divisor, chosen.size_divisor)
        batch = PixelBatch(pixel_values=gather(pixels, return_tensors, empty=empty))
        return batch if device is None or str(device) == "cpu" else batch.to(device)

    def _prepared(self, levels: Levels) -> NDArray[np.float32]:
        """One image as the network's input, in the layout of `data_format`."""
        if levels.unit is not None and not self.do_resize:
            pixels = self._exact(levels.unit)
        elif levels.unit is not None and not self.do_rescale:
            unit = self._with({"do_rescale": True, "rescale_factor": 1 / 255})
            pixels = unit.pixels(levels.image)
        else:
            pixels = self.pixels(levels.image)
        return pixels.transpose(1, 2, 0) if self.data_format == CHANNELS_LAST else pixels

    def _exact(self, unit: NDArray[np.float32]) -> NDArray[np.float32]:
        """A float image [H, W, C] in 0..1 at its own size: no rounding to levels."""
        scale = 255 * self.rescale_factor if self.do_rescale else 1.0
        pixels = unit.transpose(2, 0, 1) * np.float32(scale)  # [C, H, W]
        if self.do_normalize:
            mean, std = self._statistics(len(pixels))
            pixels = (pixels - mean[:, None, None]) / std[:, None, None]
        return np.ascontiguousarray(pixels, np.float32)

    def preprocess_depth(
        self, depth_maps: Any, return_tensors: str | None = "np", **overrides: Any
    ) -> Any:
        """Depth maps → float32 [B, h, w] at the size that their photos get.

        Args:
            depth_maps: metres, float [H, W], one or a list; [B, H, W] is a list. A value that is
                not finite or not above 0 is unknown.
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
        """The network's input size for a photo of this size.

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
            size: (height, width) of the photo, where `image` is a smaller one of it.
        """
        height, width = self.input_size(*(size or image.shape[:2]), max_pixels=max_pixels)
        if image.shape[:2] != (height, width):
            bilinear = self.resample == Image.Resampling.BILINEAR and image.shape[2] == 3
            if bilinear and shrink.fits(image, (height, width)):
                return shrink.network_input(image, (height, width), self._level_values())
            picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
            resized = picture.resize((width, height), Image.Resampling(self.resample))
            image = np.asarray(resized).reshape(height, width, image.shape[2])
        pixels = np.empty((image.shape[2], height, width), np.float32)
        for channel, values in enumerate(self._level_values(image.shape[2])):
            np.take(values, image[:, :, channel], out=pixels[channel])
        return pixels

    def _level_values(self, channels: int = 3) -> NDArray[np.float32]:
        """The value of each of the 256 levels, per channel: [channels, 256]."""
        levels = np.arange(256, dtype=np.float64)
        if self.do_rescale:
            levels *= self.rescale_factor
        values = np.tile(levels.astype(np.float32), (channels, 1))
        if self.do_normalize:
            mean, std = self._statistics(channels)
            values = (values - mean[:, None]) / std[:, None]
        return values

    def _statistics(self, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation of each channel.

        Raises:
            ConfigError: the image has another number of channels than the values.
        """
        both = []
        for key, default in (("image_mean", IMAGENET_MEAN), ("image_std", IMAGENET_STD)):
            values = getattr(self, key) or default
            if len(values) == 1:
                values = values * channels
            if len(values) != channels:
                raise ConfigError(f"{key}: expected {channels} values, got {len(values)}")
            both.append(np.array(values, np.float32))
        return both[0], both[1]

    def post_process_depth_estimation(
        self, outputs: Any, target_sizes: Any = None
    ) -> list[dict[str, Any]]:
        """Split a batch of predictions, each resized to its photo.

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
        values = {name: getattr(self, name) for name in _DEFAULTS}
        known = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None
        }
        return {**self.extra, "image_processor_type": "GLPNImageProcessor", **known}

    @classmethod
    def from_dict(cls: type[_Processor], values: Mapping[str, Any], **overrides: Any) -> _Processor:
        """The processor that a decoded `preprocessor_config.json` describes.

        Files of the older feature extractor and of all variants of the image processor load; a
        null means the default; unknown keys are kept in `extra`.

        Args:
            values: the decoded file.
            **overrides: fields that replace those of the file.

        Raises:
            ConfigError: a value is impossible, or the file describes another model's processor.
            UsageError: an override is no field.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"processor: expected a JSON object, got {type(values).__name__}")
        for key in _TYPE_KEYS:
            if values.get(key, _OUR_TYPES[0]) not in _OUR_TYPES:
                raise ConfigError(
                    f"{key}: expected one of {', '.join(_OUR_TYPES)}; got {values[key]!r}"
                )
        _require_known(overrides)
        extra = {k: v for k, v in values.items() if k not in _DEFAULTS and k not in _TYPE_KEYS}
        return cls(
            **{**{k: v for k, v in values.items() if k in _DEFAULTS}, **overrides}, extra=extra
        )

    @classmethod
    def from_pretrained(
        cls: type[_Processor],
        pretrained_model_name_or_path: str | os.PathLike[str],
        **options: Any,
    ) -> _Processor:
        """Load `preprocessor_config.json` from a folder, a bundled model or the hub.

        Args:
            pretrained_model_name_or_path: folder, bundled model's name, or hub id.
            **options: cache_dir, force_download, local_files_only, revision, subfolder and token
                choose the file; the rest overrides fields.

        Raises:
            MissingInput: no such folder, file or hub id, or the hub cannot be reached.
            ConfigError: the file is damaged; the message names the key.
            UsageError: an option is unknown.
        """
        hub = {key: value for key, value in options.items() if key in HUB_OPTIONS}
        fields = {key: value for key, value in options.items() if key not in HUB_OPTIONS}
        _require_known(fields)
        file = find_file(PROCESSOR_NAME, pretrained_model_name_or_path, hub)
        return cls.from_dict(read_json(file), **fields)

    @classmethod
    def from_json_file(cls: type[_Processor], json_file: str | os.PathLike[str]) -> _Processor:
        """Load a file of this kind, of any name."""
        return cls.from_dict(read_json(Path(json_file)))

    def to_json_string(self) -> str:
        """The text of `preprocessor_config.json`."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write `to_json_string` to a file, atomically."""
        from glpn.files import atomic_file

        with atomic_file(Path(json_file_path), overwrite=True) as file:
            file.write(self.to_json_string().encode())

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **options: Any
    ) -> list[str]:
        """Write `preprocessor_config.json` into a folder, which is made if need be, atomically.

        Args:
            save_directory: the folder.
            push_to_hub: also upload the file, to `repo_id` or to the folder's name.
            **options: those of `push_to_hub`.

        Returns:
            The path of the file, in a list.

        Raises:
            CannotCreateOutput, OutputFailed: the folder cannot be made or written.
        """
        from glpn.files import require_writable_folder
        from glpn.weights.integrity import signing

        path = require_writable_folder(Path(save_directory)) / PROCESSOR_NAME
        with signing(path.parent, PROCESSOR_NAME):
            self.to_json_file(path)
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", path.parent.name), **options)
        return [str(path)]

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload `preprocessor_config.json`; returns the commit's address.

        Args:
            repo_id: "user/name".
            **options: token, private, revision, commit_message, endpoint.
        """
        from glpn.weights.hub import push

        return push(self.save_pretrained, repo_id, **options)

    def _with(self: _Processor, overrides: Mapping[str, Any]) -> _Processor:
        """A copy with other fields; None keeps a field."""
        _require_known(overrides)
        chosen = copy.copy(self)
        for key, value in overrides.items():
            if key in _DEFAULTS and value is not None:
                setattr(chosen, key, value)
        return chosen


class GLPNFeatureExtractor(GLPNImageProcessor):
    """The older name of GLPNImageProcessor."""


_DEFAULTS = {f.name: f.default for f in dataclasses.fields(GLPNImageProcessor) if f.name != "extra"}


def _require_known(options: Mapping[str, Any]) -> None:
    for key in options:
        if key not in _DEFAULTS and key not in WITHOUT_EFFECT:
            near = nearest_word(key, _DEFAULTS)
            known = ", ".join(_DEFAULTS)
            hint = f": did you mean {near!r}?" if near else f"; known are {known}"
            raise UsageError(f"unknown option {key!r}{hint}")


def _checked(key: str, value: Any) -> Any:
    """A field's value in its own type; None becomes the default.

    Raises:
        ConfigError: the value is impossible; the message names the key.
    """
    if value is None:
        return _DEFAULTS[key]
    if key in _BOOLEANS and not isinstance(value, bool):
        raise ConfigError(f"{key}: expected true or false, got {value!r}")
    if key in _LARGEST:
        return _whole(key, value)
    if key in ("image_mean", "image_std"):
        return _per_channel(key, value)
    if key in ("data_format", "input_data_format"):
        return _layout(key, value)
    if key == "resample":
        if value not in _RESAMPLING or isinstance(value, bool):
            raise ConfigError(f"resample: expected one of {_RESAMPLING}, got {value!r}")
        return int(value)
    if key in _PLAUSIBLE:
        least, most = _PLAUSIBLE[key]
        if not (_is_number(value) and least <= value <= most):
            raise ConfigError(f"{key}: expected {least:g} to {most:g}, got {value!r}")
    return value


def _layout(key: str, value: Any) -> str | None:
    try:
        return require_layout(key, value)
    except UsageError as e:
        raise ConfigError(str(e)) from None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(key: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= _LARGEST[key]:
        raise ConfigError(
            f"{key}: expected a whole number from 1 to {_LARGEST[key]}, got {value!r}"
        )
    return value


def _per_channel(key: str, value: Any) -> tuple[float, ...]:
    values = value if isinstance(value, (list, tuple)) else [value]
    least = 0.0 if key == "image_std" else -math.inf
    if len(values) not in (1, 3, 4) or not all(_is_number(v) and v > least for v in values):
        wanted = "positive numbers" if key == "image_std" else "numbers"
        raise ConfigError(f"{key}: expected three {wanted}, got {value!r}")
    return tuple(float(v) for v in values)
