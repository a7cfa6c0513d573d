"""Loading, saving and the attributes of a pretrained model, under the names of transformers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, overload

import torch
from torch import Tensor, nn

from glpn import weights
from glpn.errors import InvalidImage, UsageError
from glpn.network.config import GLPNConfig
from glpn.network.encoder import EncoderStage
from glpn.network.initialisation import initialise
from glpn.network.loading import LoadOptions, load
from glpn.network.pretrained_config import require_attention

# Keywords of `save_pretrained` for adapters and converted checkpoints, which do not exist here.
_SAVED_ALIKE = frozenset({"save_peft_format", "save_original_format"})

_Self = TypeVar("_Self", bound="PretrainedModel")


class PretrainedModel(nn.Module):
    """The base of both public models: files, devices, checkpointing.

    Its parameters have short names in memory; files and `load_state_dict` also take the names of
    transformers.
    """

    config_class = GLPNConfig
    base_model_prefix = "glpn"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = False
    _supports_flex_attn = False
    _supports_attention_backend = False
    _can_compile_fullgraph = True
    _is_stateful = False
    _tied_weights_keys: ClassVar[Mapping[str, str] | None] = None
    _keys_to_ignore_on_save: ClassVar[list[str] | None] = None
    _keys_to_ignore_on_load_missing: ClassVar[list[str] | None] = None
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str] | None] = None
    _no_split_modules: ClassVar[list[str]] = []
    _keep_in_fp32_modules: ClassVar[frozenset[str]] = frozenset()
    _keep_in_fp32_modules_strict: ClassVar[frozenset[str]] = frozenset()

    prefix = ""  # prefix of this model's names in files of the whole network

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        self.config = as_config(config)
        self.name_or_path = str(self.config.name_or_path)
        self._gradient_hook: torch.utils.hooks.RemovableHandle | None = None

    # --- loading and saving -----------------------------------------------------------------------

    @overload
    @classmethod
    def from_pretrained(
        cls: type[_Self],
        pretrained_model_name_or_path: str | Path | None,
        *,
        output_loading_info: Literal[True],
        **options: Any,
    ) -> tuple[_Self, dict[str, Any]]: ...
    @overload
    @classmethod
    def from_pretrained(
        cls: type[_Self],
        pretrained_model_name_or_path: str | Path | None,
        *model_args: object,
        **options: Any,
    ) -> _Self: ...
    @classmethod
    def from_pretrained(
        cls: type[_Self],
        pretrained_model_name_or_path: str | Path | None,
        *model_args: object,
        **options: Any,
    ) -> _Self | tuple[_Self, dict[str, Any]]:
        """Load a bundled name, a folder or a hub id; the model comes in eval mode.

        Args:
            pretrained_model_name_or_path: folder with `config.json` and `model.safetensors`, a
                bundled model's name, or a hub id; None with `config` and `state_dict`.
            *model_args: rejected; the models take no further arguments.
            **options: the fields of `LoadOptions`, or fields of the configuration.

        Returns:
            The model; with `output_loading_info=True` the pair (model, info).

        Raises:
            UsageError: an option is unknown, or not supported; the message names it.
            MissingInput: no such folder or hub id.
            ConfigError, CheckpointError: the files are damaged or do not fit each other.
        """
        if model_args:
            raise UsageError(f"{cls.__name__}.from_pretrained: only the source goes by position")
        return load(cls, pretrained_model_name_or_path, LoadOptions.of(options))

    @classmethod
    def _from_config(cls: type[_Self], config: GLPNConfig, **options: Any) -> _Self:
        """A model with random weights; options: attn_implementation and dtype."""
        config = as_config(config)
        if "attn_implementation" in options:
            config.update({"attn_implementation": options.pop("attn_implementation")})
        dtype = options.pop("dtype", options.pop("torch_dtype", None))
        if options:
            raise UsageError(f"unknown option {next(iter(options))!r}")
        model = cls(config)
        return model if dtype is None else model.to(weights.torch_dtype(dtype))

    def load_state_dict(
        self, state_dict: Mapping[str, object], strict: bool = True, assign: bool = False
    ) -> Any:
        """Copy tensors into the model, under its own names or those of transformers.

        Args:
            state_dict: tensors by name; the encoder alone also takes those of a whole network.
            strict, assign: see `torch.nn.Module.load_state_dict`.
        """
        state = weights.to_memory_names(state_dict, prefix=self.prefix)
        return super().load_state_dict(state, strict=strict, assign=assign)

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        push_to_hub: bool = False,
        max_shard_size: int | str | None = None,
        safe_serialization: bool = True,
        variant: str | None = None,
        **options: Any,
    ) -> None:
        """Write `config.json` and `model.safetensors` in the Hugging Face names, atomically.

        Args:
            save_directory: the folder, made if it does not exist.
            is_main_process: False writes nothing, for all ranks but one of a distributed run.
            state_dict: what to write instead of the model's own tensors.
            push_to_hub: also upload, to `repo_id` or to the folder's name.
            max_shard_size: bytes, or a string such as "200MB", above which the weights are split
                into several files with an index; None never splits.
            safe_serialization: must be True: pickles are not written.
            variant: goes into the file's name, as in `model.fp16.safetensors`.
            **options: those of `push_to_hub`.

        Raises:
            UsageError: `safe_serialization` is False, or an option is unknown.
            CannotCreateOutput, OutputFailed: the folder cannot be made or written.
        """
        if not safe_serialization:
            raise UsageError("safe_serialization: only True is supported; pickles are not written")
        if options.pop("distributed_checkpoint", False):
            raise UsageError("distributed_checkpoint: not supported: the weights fit into one file")
        unknown = options.keys() - weights.PUSH_OPTIONS - {"repo_id"} - _SAVED_ALIKE
        if unknown:
            raise UsageError(f"save_pretrained: unknown option {sorted(unknown)[0]!r}")
        if not is_main_process:
            return
        state = self.state_dict() if state_dict is None else state_dict
        names = weights.to_disk_names(
            weights.to_memory_names(state, prefix=self.prefix), prefix=self.prefix
        )
        config = self.config.replace(architectures=[type(self).__name__])
        folder = Path(save_directory)
        with weights.signing(folder, weights.CONFIG_NAME, weights.WEIGHTS_NAME):
            weights.write_model(
                folder, config, names, max_shard_size=max_shard_size, variant=variant
            )
        if push_to_hub:
            hub = {key: value for key, value in options.items() if key not in _SAVED_ALIKE}
            self.push_to_hub(hub.pop("repo_id", folder.name), **hub)

    def push_to_hub(self, repo_id: str, **hub: Any) -> str:
        """Upload the files of `save_pretrained`; returns the commit's address.

        Args:
            repo_id: "user/name", or a name in your own account.
            **hub: token, private, revision, commit_message, endpoint.
        """
        return weights.push(self.save_pretrained, repo_id, **hub)

    def init_weights(self) -> None:
        """Initialise every weight and buffer anew, for training from scratch."""
        for module in self.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
        initialise(self, self.config.initializer_range)

    def post_init(self) -> None:
        """Do nothing: the constructors initialise."""

    def tie_weights(self, *_: object, **__: object) -> None:
        """Do nothing: no weights are shared."""

    @classmethod
    def can_generate(cls) -> bool:
        """Whether the model generates text: no."""
        return False

    # --- gradient checkpointing -------------------------------------------------------------------

    def gradient_checkpointing_enable(
        self, gradient_checkpointing_kwargs: Mapping[str, object] | None = None
    ) -> None:
        """Recompute each block's activations in the backward pass instead of keeping them.

        Args:
            gradient_checkpointing_kwargs: for `torch.utils.checkpoint`; `use_reentrant` is False
                unless given.
        """
        chosen = {"use_reentrant": False, **(gradient_checkpointing_kwargs or {})}
        self._set_checkpointing(chosen)

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self._set_checkpointing(None)

    def activation_checkpointing_enable(
        self, activation_checkpointing_kwargs: Mapping[str, object] | None = None
    ) -> None:
        """The newer name of `gradient_checkpointing_enable`."""
        self.gradient_checkpointing_enable(activation_checkpointing_kwargs)

    def activation_checkpointing_disable(self) -> None:
        """The newer name of `gradient_checkpointing_disable`."""
        self.gradient_checkpointing_disable()

    def _set_checkpointing(self, options: dict[str, object] | None) -> None:
        for stage in self._stages():
            stage.checkpointing = options

    def _stages(self) -> Iterator[EncoderStage]:
        return (module for module in self.modules() if isinstance(module, EncoderStage))

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are recomputed in the backward pass."""
        return any(stage.checkpointing is not None for stage in self._stages())

    is_activation_checkpointing = is_gradient_checkpointing

    def enable_input_require_grads(self) -> None:
        """Let gradients flow to the first layer's output, for adapters on frozen weights."""
        self.disable_input_require_grads()
        first = next(self._stages()).embed
        self._gradient_hook = first.register_forward_hook(_require_gradient)

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        if self._gradient_hook is not None:
            self._gradient_hook.remove()
            self._gradient_hook = None

    # --- attributes -------------------------------------------------------------------------------

    @property
    def base_model(self) -> nn.Module:
        """The encoder."""
        encoder: nn.Module = getattr(self, self.base_model_prefix, self)
        return encoder

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the weights."""
        return next(self.parameters()).dtype

    @property
    def num_labels(self) -> int:
        """Number of classes in the configuration; a depth estimator uses none."""
        return self.config.num_labels

    @property
    def framework(self) -> str:
        """ "pt": the model is a torch module."""
        return "pt"

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """Number of weights, buffers not counted; the models have no embedding tables."""
        del exclude_embeddings  # accepted as in transformers
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)

    def get_memory_footprint(self, return_buffers: bool = True) -> int:
        """Bytes of the parameters, and of the buffers if asked."""
        tensors = [*self.parameters(), *(self.buffers() if return_buffers else ())]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        return True

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """Choose "eager" or "sdpa".

        Both give the same depth. Attention outputs are always computed eagerly.
        """
        self.config.update({"attn_implementation": require_attention(attn_implementation)})

    def _choose(self, name: str, value: bool | None) -> bool:
        return bool(getattr(self.config, name) if value is None else value)

    def _as_input(self, pixels: Tensor) -> Tensor:
        """Check a batch [B, C, H, W], and bring it to the floating type of the weights."""
        channels = self.config.num_channels
        if pixels.ndim != 4 or pixels.shape[1] != channels or 0 in pixels.shape[2:]:
            raise InvalidImage(
                f"pixel_values: expected shape [batch, {channels}, height, width], "
                f"got {tuple(pixels.shape)}"
            )
        if not pixels.is_floating_point():
            raise InvalidImage(f"pixel_values: expected floats in 0..1, got {pixels.dtype}")
        kind = pixels.device.type
        autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
        return pixels if autocast else pixels.to(self.dtype)


def _require_gradient(_module: nn.Module, _inputs: object, output: Tensor) -> None:
    output.requires_grad_(True)


def as_config(config: object) -> GLPNConfig:
    """A GLPNConfig; that of transformers is converted.

    Raises:
        UsageError: it is no configuration of a GLPN.
    """
    if isinstance(config, GLPNConfig):
        return config
    to_dict: Callable[[], Mapping[str, object]] | None = getattr(config, "to_dict", None)
    if to_dict is None or getattr(config, "model_type", None) != GLPNConfig.model_type:
        raise UsageError(f"config: expected a GLPNConfig, got {type(config).__name__}")
    converted = GLPNConfig.from_dict(to_dict())
    with contextlib.suppress(AttributeError):
        attention = getattr(config, "_attn_implementation")  # noqa: B009  # another library's record
        converted.update({"attn_implementation": attention})
    return converted
