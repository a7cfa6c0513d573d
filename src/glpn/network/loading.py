"""From the options of `from_pretrained` to a model: files, configuration, tensors."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from glpn import weights
from glpn.errors import UsageError
from glpn.network.config import GLPNConfig

if TYPE_CHECKING:
    from glpn.network.pretrained import PretrainedModel

_Model = TypeVar("_Model", bound="PretrainedModel")

# Keywords of transformers that change nothing here, and why.
WITHOUT_EFFECT: Mapping[str, str] = {
    "low_cpu_mem_usage": "weights are never held twice",
    "trust_remote_code": "code from a repository is never run",
    "weights_only": "pickles are never opened",
    "resume_download": "downloads are always resumed",
    "from_tf": "TensorFlow files are not read",
    "from_flax": "Flax files are not read",
    "offload_buffers": "nothing is offloaded",
    "disable_mmap": "weights are copied, and no file stays mapped",
    "tqdm_class": "downloads use the hub library's own progress bar",
}
# Keywords of transformers that raise an error that names them, and why.
REFUSED: Mapping[str, str] = {
    "proxies": "set HTTPS_PROXY instead",
    "use_auth_token": "give token instead",
    "quantization_config": "run `glpn export onnx --quantize int8 --calibrate PHOTOS` instead",
    "load_in_8bit": "run `glpn export onnx --quantize int8 --calibrate PHOTOS` instead",
    "load_in_4bit": "the network has no 4-bit form",
    "offload_folder": "the network fits into memory",
    "offload_state_dict": "the network fits into memory",
    "max_memory": "the network fits on one device",
    "tp_plan": "the network fits on one device",
    "tp_size": "the network fits on one device",
    "device_mesh": "the network fits on one device",
    "gguf_file": "weights are safetensors",
    "key_mapping": "rename the tensors and give state_dict",
    "adapter_kwargs": "adapters are loaded by their own library",
    "adapter_name": "adapters are loaded by their own library",
    "use_kernels": "glpn.load(...) has its own kernels",
    "kernel_config": "glpn.load(...) has its own kernels",
    "allow_all_kernels": "code from a repository is never run",
    "fusion_config": "glpn.load(...) has its own fused form",
    "distributed_config": "the network fits on one device",
    "experts_implementation": "the network has no experts",
    "generation_config": "the network generates no text",
}


class MetaDeviceError(UsageError, RuntimeError):
    """`from_pretrained` was called where tensors are created without memory."""


@dataclass
class LoadOptions:
    """The keywords of `from_pretrained`.

    Attributes:
        config: a configuration, or where to find one, instead of the source's `config.json`.
        state_dict: tensors to use instead of the source's files.
        dtype: floating type of the weights. If None, float16 and bfloat16 files are widened to
            float32 (halves are slow and inexact on a CPU) and others stay as they are; "auto"
            keeps the file's own.
        torch_dtype: the older name of `dtype`.
        device_map: one device for the whole model: "cpu", "cuda:0", "auto", or {"": device}.
        ignore_mismatched_sizes: give new random weights, with a warning, to tensors that are
            missing or have another shape; leave out those that the network lacks.
        output_loading_info: also return the names of missing, unexpected and mismatched tensors,
            which are then no error.
        allow_new_head: a folder with only the encoder gets a new head, with a warning.
        attn_implementation: "eager" or "sdpa".
        use_safetensors: must not be False.
        variant: part of the file's name, as in `model.fp16.safetensors`.
        cache_dir, force_download, local_files_only, revision, subfolder, token: as in
            `weights.resolve`.
        fields: overrides of the configuration, such as max_depth=80.
    """

    config: Any = None
    state_dict: Mapping[str, Tensor] | None = None
    dtype: torch.dtype | str | None = None
    torch_dtype: torch.dtype | str | None = None
    device_map: Any = None
    ignore_mismatched_sizes: bool = False
    output_loading_info: bool = False
    allow_new_head: bool = True
    attn_implementation: str | None = None
    use_safetensors: bool | None = None
    variant: str | None = None
    cache_dir: str | Path | None = None
    force_download: bool = False
    local_files_only: bool = False
    revision: str | None = None
    subfolder: str = ""
    token: str | bool | None = None
    fields: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> LoadOptions:
        """Sort keywords into options, fields of the configuration, and errors.

        Raises:
            UsageError: a keyword is unknown or unsupported; the message names it.
        """
        names = {f.name for f in dataclasses.fields(cls)} - {"fields"}
        fields = {}
        for key, value in options.items():
            if key in names or key in WITHOUT_EFFECT:
                continue
            if key in REFUSED and value in (None, False):
                continue
            if key in REFUSED:
                raise UsageError(f"{key}: not supported: {REFUSED[key]}")
            if not GLPNConfig.knows(key):
                raise UsageError(f"from_pretrained: unknown option {key!r}")
            if value is not None:
                fields[key] = value
        chosen = cls(**{k: v for k, v in options.items() if k in names}, fields=fields)
        if chosen.use_safetensors is False:
            raise UsageError(
                "use_safetensors: False is not supported: pickles are never opened; "
                "run `glpn convert SOURCE FOLDER` once"
            )
        return chosen

    @property
    def hub(self) -> dict[str, Any]:
        """The keywords of `weights.resolve`."""
        return {key: getattr(self, key) for key in weights.HUB_OPTIONS}


@dataclass
class LoadingInfo:
    """Names of the tensors that did not fit, as the model calls them."""

    missing_keys: set[str] = field(default_factory=set)
    unexpected_keys: set[str] = field(default_factory=set)
    mismatched_keys: set[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(default_factory=set)
    error_msgs: list[str] = field(default_factory=list)


def load(
    cls: type[_Model], source: str | Path | None, options: LoadOptions
) -> _Model | tuple[_Model, dict[str, Any]]:
    """Do the work of `from_pretrained`."""
    if torch.get_default_device().type == "meta":
        raise MetaDeviceError(
            "You are using `from_pretrained` with a meta device context manager: "
            "it could not hold the weights it loads"
        )
    folder = None if source is None else weights.resolve(source, **options.hub)
    if folder is not None:
        weights.require_intact(folder)
    config = _config(folder, options)
    if folder is not None:
        config.update({"name_or_path": str(source)})
    state = _state(cls, folder, options)
    model, info = _build(cls, config, state, options, source=str(source))
    dtype = options.dtype if options.dtype is not None else options.torch_dtype
    _cast(model, dtype)
    if options.device_map is not None:
        model.to(_one_device(options.device_map))
    model.eval().requires_grad_(True)
    return (model, dataclasses.asdict(info)) if options.output_loading_info else model


def _config(folder: Path | None, options: LoadOptions) -> GLPNConfig:
    from glpn.network.pretrained import as_config

    given = options.config
    if given is None and folder is None:
        raise UsageError("from_pretrained: without a source, give config and state_dict")
    if isinstance(given, (str, Path)):
        given = GLPNConfig.from_pretrained(given)
    if given is None and folder is not None:
        given = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
    config = as_config(given).replace(**options.fields)
    if options.attn_implementation is not None:
        config.update({"attn_implementation": options.attn_implementation})
    return config


def _state(
    cls: type[PretrainedModel], folder: Path | None, options: LoadOptions
) -> dict[str, Tensor]:
    """The tensors under the names in memory."""
    state = options.state_dict
    if state is None:
        if folder is None:
            raise UsageError("from_pretrained: without a source, give config and state_dict")
        state = weights.read_tensors(folder, variant=options.variant)
    return weights.to_memory_names(state, prefix=cls.prefix)


def _build(
    cls: type[_Model],
    config: GLPNConfig,
    state: dict[str, Tensor],
    options: LoadOptions,
    *,
    source: str,
) -> tuple[_Model, LoadingInfo]:
    """The model with the tensors in it; new random weights for those that are allowed to miss."""
    with torch.device("meta"):
        model = cls(config)
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    state = _with_prefix(state, expected)
    info = _compare(state, expected)
    for name, *_ in info.mismatched_keys:
        if options.ignore_mismatched_sizes:
            del state[name]
    if not options.output_loading_info:
        _require_fit(state, expected, info, options, source=source)
    elif info.mismatched_keys and not options.ignore_mismatched_sizes:
        weights.require_match(state, expected, source=source)
    if info.missing_keys or info.mismatched_keys:
        model = cls(config)
    fitting = {name: tensor for name, tensor in state.items() if name in expected}
    model.load_state_dict(fitting, strict=False, assign=True)
    return model, info


def _with_prefix(
    state: dict[str, Tensor], expected: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """An encoder's tensors without the prefix, under their names in the whole network."""
    prefix = weights.ENCODER_PREFIX
    return {
        name if name in expected or prefix + name not in expected else prefix + name: tensor
        for name, tensor in state.items()
    }


def _compare(state: Mapping[str, Tensor], expected: Mapping[str, tuple[int, ...]]) -> LoadingInfo:
    return LoadingInfo(
        missing_keys=set(expected) - set(state),
        unexpected_keys=set(state) - set(expected),
        mismatched_keys={
            (name, tuple(state[name].shape), shape)
            for name, shape in expected.items()
            if name in state and tuple(state[name].shape) != shape
        },
    )


def _require_fit(
    state: Mapping[str, Tensor],
    expected: Mapping[str, tuple[int, ...]],
    info: LoadingInfo,
    options: LoadOptions,
    *,
    source: str,
) -> None:
    """Refuse weights that do not fit, except where the options allow new ones."""
    head = {name for name in expected if not name.startswith(weights.ENCODER_PREFIX)}
    only_head = info.missing_keys == head != set(expected) and not info.mismatched_keys
    if options.ignore_mismatched_sizes:
        new = info.missing_keys | {name for name, *_ in info.mismatched_keys}
    else:
        new = head if only_head and options.allow_new_head else set()
        kept = {name: shape for name, shape in expected.items() if name not in new}
        weights.require_match(state, kept, source=source)
    if new:
        what = "decoder and head" if new == head else ", ".join(sorted(new)[:5])
        warnings.warn(
            f"{source}: {what}: {len(new)} tensors are newly initialised; train the model before "
            "you use its depth",
            stacklevel=6,
        )


def _cast(model: PretrainedModel, dtype: torch.dtype | str | None) -> None:
    """Bring the weights to the wanted floating type and write it into the configuration."""
    if dtype is None and model.dtype in (torch.float16, torch.bfloat16):
        dtype = torch.float32
    if dtype not in (None, "auto"):
        model.to(weights.torch_dtype(dtype))
    model.config.update({"dtype": model.dtype})


def _one_device(device_map: Any) -> torch.device:
    """The one device that a device map names.

    Raises:
        UsageError: it names several, or one that torch does not know.
    """
    named = set(device_map.values()) if isinstance(device_map, Mapping) else {device_map}
    if len(named) != 1:
        raise UsageError(f"device_map: expected one device for the whole model, got {device_map!r}")
    device = named.pop()
    if device in ("auto", "balanced", "sequential"):
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as e:
        raise UsageError(f"device_map: {e}") from None
