"""The options of the image processor: validated fields, and `preprocessor_config.json`."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeGuard, TypeVar

from PIL import Image

from glpn.errors import ConfigError, UsageError, require_choice
from glpn.processing.images import require_layout
from glpn.records import nearest_word, read_json
from glpn.weights.hub_client import HUB_OPTIONS, find_file

PROCESSOR_NAME = "preprocessor_config.json"
_TYPE_KEYS = ("image_processor_type", "feature_extractor_type")  # current and older key
_OUR_TYPES = tuple(
    "GLPN" + kind
    for kind in ("ImageProcessor", "ImageProcessorFast", "ImageProcessorPil", "FeatureExtractor")
)
# transformers' GLPN processor knows no `short_side`, and its DPT processor does: a square `size`
# that keeps the aspect. Files with a `short_side` name that type, so that `AutoImageProcessor`
# scales photos as this processor does.
_SCALING_TYPE = "DPTImageProcessor"
_SCALING_KEYS = ("size", "keep_aspect_ratio", "ensure_multiple_of")
# Far above all values in use, but low enough to limit the memory that a file can request.
# A value outside these limits must be an error. A factor of 1 is for photos in 0..1; a focal length
# of 0.01 shorter sides is a field of view of 179°.
_PLAUSIBLE = {"rescale_factor": (1e-6, 1e3), "focal_ratio": (0.01, 100.0)}
_LARGEST = {"size_divisor": 1024, "short_side": 8192, "max_pixels": 1_000_000_000}
_RESAMPLING = tuple(int(filter_) for filter_ in Image.Resampling)
_BOOLEANS = ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb")
# Options that transformers' GLPN processor accepts and ignores; they are ignored here too.
WITHOUT_EFFECT = (
    *("crop_size", "default_to_square", "disable_grouping", "do_center_crop", "do_pad"),
    *("image_seq_length", "pad_size", "size", "trust_remote_code", "use_fast"),
)

_Options = TypeVar("_Options", bound="ProcessorOptions")


class GLPNImageProcessorKwargs(TypedDict, total=False):
    """The options of a call; see `ProcessorOptions`."""

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
class ProcessorOptions:
    """The fields of `preprocessor_config.json`: how photos become the network's input.

    A field can be set, and the assignment is validated. None means the default.

    Attributes:
        do_resize: scale the photo; False keeps its own size.
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
            sides of its photo; None if unknown. See `DepthEstimator.estimate`.
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
    extra: Mapping[str, object] = field(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        extra = values.pop("extra", {})
        if not isinstance(extra, Mapping):
            raise ConfigError(f"extra: expected a mapping, got {extra!r}")
        self.__dict__["extra"] = dict(extra)
        for key, default in _DEFAULTS.items():
            self.__dict__[key] = _checked(key, values.pop(key, default))
        for key, value in values.items():
            setattr(self, key, value)

    def __setattr__(self, key: str, value: object) -> None:
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

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON types, in the Hugging Face names; optional ones where set."""
        values = {name: getattr(self, name) for name in _DEFAULTS}
        known = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value is not None
        }
        if self.short_side is None:
            return {**self.extra, "image_processor_type": _OUR_TYPES[0], **known}
        square = {"height": self.short_side, "width": self.short_side}
        scaling = (square, True, self.size_divisor)
        scaled = dict(zip(_SCALING_KEYS, scaling, strict=True))
        return {**self.extra, "image_processor_type": _SCALING_TYPE, **scaled, **known}

    @classmethod
    def from_dict(cls: type[_Options], values: Mapping[str, object], **overrides: Any) -> _Options:
        """The processor that a decoded `preprocessor_config.json` describes.

        Files of the older feature extractor and of all variants of the image processor load; a
        null means the default; unknown keys are kept in `extra`. Files with a `short_side` have
        the type and keys of transformers' DPT processor too, which follow from the other fields.

        Args:
            values: the decoded file.
            **overrides: fields that replace those of the file.

        Raises:
            ConfigError: a value is impossible, or the file describes another model's processor.
            UsageError: an override is no field.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"processor: expected a JSON object, got {type(values).__name__}")
        scaling = values.get("short_side") is not None
        types = (*_OUR_TYPES, _SCALING_TYPE) if scaling else _OUR_TYPES
        for key in _TYPE_KEYS:
            require_choice(key, values.get(key, _OUR_TYPES[0]), types, ConfigError)
        _require_known(overrides)
        known = {*_DEFAULTS, *_TYPE_KEYS, *(_SCALING_KEYS if scaling else ())}
        extra = {key: value for key, value in values.items() if key not in known}
        return cls(
            **{**{k: v for k, v in values.items() if k in _DEFAULTS}, **overrides}, extra=extra
        )

    @classmethod
    def from_pretrained(
        cls: type[_Options],
        pretrained_model_name_or_path: str | os.PathLike[str],
        **options: Any,
    ) -> _Options:
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
    def from_json_file(cls: type[_Options], json_file: str | os.PathLike[str]) -> _Options:
        """Load a file of this kind, of any name."""
        return cls.from_dict(read_json(Path(json_file)))

    def to_json_string(self) -> str:
        """The text of `preprocessor_config.json`."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write `to_json_string` to a file, atomically."""
        from glpn.files import write_file

        write_file(Path(json_file_path), self.to_json_string().encode())

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **options: Any
    ) -> list[str]:
        """Write `preprocessor_config.json` into a folder atomically; create the folder if needed.

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
            repo_id: "user/name", or a name in your own account.
            **options: token, private, revision, commit_message, endpoint.
        """
        from glpn.weights.hub import push

        return push(self.save_pretrained, repo_id, **options)

    def with_options(self: _Options, overrides: Mapping[str, object]) -> _Options:
        """A copy with other fields; None keeps a field."""
        _require_known(overrides)
        chosen = copy.copy(self)
        for key, value in overrides.items():
            if key in _DEFAULTS and value is not None:
                setattr(chosen, key, value)
        return chosen


_DEFAULTS = {f.name: f.default for f in dataclasses.fields(ProcessorOptions) if f.name != "extra"}


def _require_known(options: Mapping[str, object]) -> None:
    for key in options:
        if key not in _DEFAULTS and key not in WITHOUT_EFFECT:
            near = nearest_word(key, _DEFAULTS)
            known = ", ".join(_DEFAULTS)
            hint = f": did you mean {near!r}?" if near else f"; known are {known}"
            raise UsageError(f"unknown option {key!r}{hint}")


def _checked(key: str, value: object) -> object:
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


def _layout(key: str, value: object) -> str | None:
    try:
        return require_layout(key, value)
    except UsageError as e:
        raise ConfigError(str(e)) from None


def _is_number(value: object) -> TypeGuard[float]:
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
