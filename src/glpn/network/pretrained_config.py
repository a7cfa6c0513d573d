"""Files, dictionaries and common attributes of a configuration, as in transformers.

`GLPNConfig` adds the fields of the network. Only the property `dtype` imports torch.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from glpn.errors import ConfigError, UsageError
from glpn.records import nearest_word, read_json

if TYPE_CHECKING:
    import torch

CONFIG_NAME = "config.json"
ATTENTIONS = ("eager", "sdpa")
_MAX_LABELS = 100_000  # far above any in use, so that a hostile file allocates little
_DTYPES = ("float16", "bfloat16", "float32", "float64")

# Attributes that code written for transformers reads from any configuration. A file holds them
# only where they were set.
COMMON: Mapping[str, object] = {
    "architectures": None,
    "chunk_size_feed_forward": 0,
    "gradient_checkpointing": False,
    "id2label": {0: "LABEL_0", 1: "LABEL_1"},
    "is_encoder_decoder": False,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1},
    "name_or_path": "",
    "problem_type": None,
    "tie_word_embeddings": True,
    "transformers_version": None,
    "use_cache": False,
}
# Names that other models of transformers give to a field; tools set them on any configuration.
_OTHER_NAMES = frozenset({"layer_norm_epsilon"})
# Keywords of `from_pretrained` that change nothing here.
_WITHOUT_EFFECT = frozenset({"proxies", "resume_download", "trust_remote_code"})

_Config = TypeVar("_Config", bound="PretrainedConfig")


class PretrainedConfig:
    """A configuration whose fields are validated when they are set.

    A subclass is a dataclass with `init=False` and checks its fields in `_typed` and `_validate`.
    Keys that no field has are kept and written back, unless one is so close to a known name that
    it must be a typing mistake.
    """

    model_type: ClassVar[str] = ""
    sub_configs: ClassVar[Mapping[str, type]] = {}
    attribute_map: ClassVar[Mapping[str, str]] = {}
    base_config_key: ClassVar[str] = ""

    extra: dict[str, object]

    def __init__(self, **values: Any) -> None:
        model_type = values.pop("model_type", self.model_type)
        if model_type != self.model_type:
            raise ConfigError(f"model_type: expected {self.model_type!r}, got {model_type!r}")
        self.__dict__["extra"] = {}
        self.__dict__["_attention"] = "sdpa"
        for key, default in self._defaults().items():
            self.__dict__[key] = self._typed(key, default)
        extra = values.pop("extra", {})
        if not isinstance(extra, Mapping):
            raise ConfigError(f"extra: expected a mapping, got {extra!r:.100}")
        self.update({**extra, **values})

    def __setattr__(self, key: str, value: object) -> None:
        self.update({key: value})

    def __getattr__(self, key: str) -> Any:
        extra = self.__dict__.get("extra", {})
        if key in extra:
            return extra[key]
        if key in COMMON:
            return copy.copy(COMMON[key])
        raise AttributeError(f"{type(self).__name__} has no field {key!r}")

    def __iter__(self) -> Iterator[str]:
        return iter((*self._defaults(), *self.extra))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.to_dict() == other.to_dict()

    def __repr__(self) -> str:
        shown = {k: v for k, v in self.to_dict().items() if k != "model_type"}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in shown.items())})"

    def update(self, config_dict: Mapping[str, object]) -> None:
        """Set several fields, then validate them together; on an error nothing changes.

        Raises:
            ConfigError: a value is impossible; the message names the key.
            UsageError: the attention implementation does not exist.
        """
        before = {**self.__dict__, "extra": dict(self.extra)}
        try:
            for key, value in config_dict.items():
                self._set(key, value)
            self._validate()
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def _set(self, key: str, value: Any) -> None:
        if key in self._defaults():
            self.__dict__[key] = self._typed(key, value)
        elif key in ("dtype", "torch_dtype"):
            self.extra["dtype"] = dtype_name(value)
        elif key in ("attn_implementation", "_attn_implementation"):
            self.__dict__["_attention"] = require_attention(value)
        elif key == "num_labels":
            count = _label_count(value)
            self._set("id2label", {i: f"LABEL_{i}" for i in range(count)})
            self._set("label2id", {f"LABEL_{i}": i for i in range(count)})
        elif key == "_name_or_path":
            self.extra["name_or_path"] = value
        elif key == "id2label" and value is not None:
            self.extra[key] = _labels(value)
        elif isinstance(getattr(type(self), key, None), property):
            raise ConfigError(f"{key}: is derived from other fields and cannot be set")
        else:
            self._refuse_near_miss(key)
            self.extra[key] = value

    @classmethod
    def _defaults(cls) -> dict[str, object]:
        return {f.name: f.default for f in dataclasses.fields(cls)}  # type: ignore[arg-type]

    @classmethod
    def _typed(cls, key: str, value: object) -> object:
        """`value` in the type of the field's default."""
        raise NotImplementedError

    def _validate(self) -> None:
        """Check the fields against each other."""

    @classmethod
    def _refuse_near_miss(cls, key: str) -> None:
        if key in COMMON or key in _OTHER_NAMES or key.startswith("_"):
            return
        near = nearest_word(key, cls._defaults(), cutoff=0.85)
        if near:
            raise ConfigError(f"unknown key {key!r}: did you mean {near!r}?")

    # --- attributes that are derived --------------------------------------------------------------

    @property
    def dtype(self) -> torch.dtype | str | None:
        """The floating type of the weights: a `torch.dtype`, or its name where torch is missing."""
        name = self.extra.get("dtype")
        if name is None:
            return None
        try:
            import torch
        except ImportError:
            return str(name)
        dtype: torch.dtype = getattr(torch, str(name))
        return dtype

    @property
    def torch_dtype(self) -> torch.dtype | str | None:
        """The older name of `dtype`."""
        return self.dtype

    @property
    def num_labels(self) -> int:
        """Number of classes; a depth estimator has none, but the ecosystem asks."""
        return len(self.id2label)

    @property
    def use_return_dict(self) -> bool:
        """The older name of `return_dict`."""
        return bool(self.return_dict)

    @property
    def _attn_implementation(self) -> str:
        return str(self.__dict__["_attention"])

    def get_text_config(self, **_: object) -> PretrainedConfig:
        """The configuration itself: it has no part for text."""
        return self

    # --- dictionaries and files -------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types, in the Hugging Face names, and every key that was set."""
        fields = {key: getattr(self, key) for key in self._defaults()}
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()}
        return {"model_type": self.model_type, **lists, **self.extra}

    def to_diff_dict(self) -> dict[str, Any]:
        """Only the keys that differ from the defaults, and `model_type`."""
        default = type(self)().to_dict()
        changed = {k: v for k, v in self.to_dict().items() if k not in default or v != default[k]}
        return {"model_type": self.model_type, **changed}

    def to_json_string(self, use_diff: bool = True) -> str:
        """The configuration as JSON: only what differs from the defaults, or everything.

        Where it was loaded from is left out, as in transformers: it says nothing about the network.
        """
        return as_json(self.to_diff_dict() if use_diff else self.to_dict())

    def to_json_file(self, json_file_path: str | os.PathLike[str], use_diff: bool = True) -> None:
        """Write `to_json_string` to a file.

        Raises:
            CannotCreateOutput, OutputFailed: the file cannot be written.
        """
        from glpn.files import write_file

        write_file(Path(json_file_path), self.to_json_string(use_diff).encode())

    @classmethod
    def from_dict(
        cls: type[_Config], config_dict: Mapping[str, object], **overrides: Any
    ) -> _Config:
        """The configuration that a decoded `config.json` describes.

        Args:
            config_dict: the decoded file.
            **overrides: fields that replace those of the file.

        Raises:
            ConfigError: a value is impossible, or an override is no field.
        """
        if not isinstance(config_dict, Mapping):
            raise ConfigError(f"config: expected a JSON object, got {type(config_dict).__name__}")
        values = {str(k): v for k, v in config_dict.items()}
        unknown = [key for key in overrides if not cls.knows(key) and key not in values]
        if unknown:
            cls._refuse_near_miss(unknown[0])
            raise ConfigError(f"unknown key {unknown[0]!r}: {cls.__name__} has no such field")
        return cls(**{**values, **overrides})

    @classmethod
    def knows(cls, key: str) -> bool:
        """Whether a keyword is a field or a common attribute."""
        settable = ("attn_implementation", "dtype", "num_labels", "torch_dtype")
        return key in cls._defaults() or key in COMMON or key in settable

    @classmethod
    def from_json_file(cls: type[_Config], json_file: str | os.PathLike[str]) -> _Config:
        """Read a `config.json`.

        Raises:
            MissingInput: there is no such file.
            ConfigError: it is not JSON, or a value in it is impossible.
        """
        return cls.from_dict(read_json(Path(json_file)))

    @classmethod
    def from_pretrained(
        cls: type[_Config],
        pretrained_model_name_or_path: str | os.PathLike[str],
        **options: Any,
    ) -> _Config:
        """Read `config.json` from a folder, a file, a bundled model or the hub.

        Args:
            pretrained_model_name_or_path: folder, JSON file, bundled name, or hub id.
            **options: cache_dir, force_download, local_files_only, revision, subfolder and token
                choose the file; the rest as in `from_dict`.

        Raises:
            MissingInput: there is no such source.
            ConfigError: the file is damaged, or a value is impossible.
        """
        from glpn.weights.hub_client import HUB_OPTIONS, find_file

        source = Path(pretrained_model_name_or_path)
        hub = {key: options.pop(key) for key in HUB_OPTIONS & options.keys()}
        for key in _WITHOUT_EFFECT & options.keys():
            options.pop(key)
        file = source if source.is_file() else find_file(CONFIG_NAME, str(source), hub)
        return cls.from_dict(read_json(file), **options)

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **options: Any
    ) -> None:
        """Write `config.json` into a folder, which is made if need be.

        Args:
            save_directory: the folder.
            push_to_hub: also upload it, to `repo_id` or to the folder's name.
            **options: those of `push_to_hub`.

        Raises:
            CannotCreateOutput, OutputFailed: the folder cannot be made or written.
        """
        from glpn.files import require_writable_folder
        from glpn.weights.integrity import signing

        folder = require_writable_folder(Path(save_directory))
        with signing(folder, CONFIG_NAME):
            self.to_json_file(folder / CONFIG_NAME, use_diff=False)
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), **options)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload `config.json`; returns the commit's address.

        Args:
            repo_id: "user/name", or a name in your own account.
            **options: token, private, revision, commit_message, endpoint.
        """
        from glpn.weights.hub import push

        return push(self.save_pretrained, repo_id, **options)


def as_json(values: Mapping[str, object]) -> str:
    """The text of a `config.json`, without the path that it was loaded from."""
    kept = {key: value for key, value in values.items() if key != "name_or_path"}
    return json.dumps(kept, indent=2, sort_keys=True) + "\n"


def _label_count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MAX_LABELS:
        raise ConfigError(
            f"num_labels: expected a whole number from 0 to {_MAX_LABELS}, got {value!r:.100}"
        )
    return value


def _labels(value: object) -> dict[int, object]:
    """`id2label` with whole numbers as keys, which are strings in a file."""
    try:
        return {int(number): label for number, label in dict(value).items()}  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise ConfigError(
            f"id2label: expected a table from whole numbers to names, got {value!r:.100}"
        ) from None


def dtype_name(value: object) -> str | None:
    """The name of a floating type given as a `torch.dtype` or a string.

    Raises:
        ConfigError: it is none of the known types.
    """
    if value is None:
        return None
    name = str(value).removeprefix("torch.")
    if name not in _DTYPES:
        raise ConfigError(f"dtype: expected one of {', '.join(_DTYPES)}; got {value!r}")
    return name


def require_attention(value: object) -> str:
    """Refuse an attention implementation that does not exist here."""
    if value is not None and value not in ATTENTIONS:
        raise UsageError(
            f'Specified `attn_implementation="{value}"` is not supported; '
            f"expected one of {', '.join(ATTENTIONS)}"
        )
    return str(value or "sdpa")
