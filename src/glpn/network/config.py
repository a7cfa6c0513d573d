"""GLPNConfig: the numbers that define a network, validated, in and out of `config.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from glpn.errors import ConfigError, require_choice
from glpn.network.pretrained_config import CONFIG_NAME as CONFIG_NAME
from glpn.network.pretrained_config import PretrainedConfig, as_json
from glpn.records import field_types, typed

# LayerNorm epsilons of the two reference implementations (authors: block and stage norms, then
# patch-embedding and reduction norms; transformers: one everywhere, `layer_norm_eps` ignored).
LAYER_NORM_EPS = {"transformers": (1e-5, 1e-5), "authors": (1e-6, 1e-5)}

# How the decoder joins a local with the deeper map: selective feature fusion, or a plain sum (the
# ablation of Kim et al. 2022, table 4; such a network has no fusion weights).
FUSIONS = ("selective", "sum")

# The names of transformers' activation table; `network/activations.py` has the functions.
ACTIVATIONS = (
    *("gelu", "gelu_10", "gelu_accurate", "gelu_fast", "gelu_new", "gelu_python"),
    *("gelu_python_tanh", "gelu_pytorch_tanh", "hardswish", "laplace", "leaky_relu", "linear"),
    *("mish", "prelu", "quick_gelu", "relu", "relu2", "relu6", "sigmoid", "silu"),
    *("sqrtsoftplus", "swish", "tanh", "xielu"),
)
# The activations that the inference form and the ONNX graph know.
PLAIN_ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish")

# MiT depths and widths; Xie et al. 2021 (SegFormer), table 6.
PRESETS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "b0": ((2, 2, 2, 2), (32, 64, 160, 256)),
    "b1": ((2, 2, 2, 2), (64, 128, 320, 512)),
    "b2": ((3, 4, 6, 3), (64, 128, 320, 512)),
    "b3": ((3, 4, 18, 3), (64, 128, 320, 512)),
    "b4": ((3, 8, 27, 3), (64, 128, 320, 512)),
    "b5": ((3, 6, 40, 3), (64, 128, 320, 512)),
}

MIN_MAX_DEPTH, MAX_MAX_DEPTH = 0.01, 1e6  # metres

# Inclusive upper bounds: far above any network in use, low enough that a hostile file allocates
# nothing before it is rejected.
_LARGEST = {
    "num_channels": 64,
    "num_encoder_blocks": 8,
    "depths": 512,
    "sr_ratios": 64,
    "hidden_sizes": 8192,
    "patch_sizes": 64,
    "strides": 64,
    "num_attention_heads": 1024,
    "mlp_ratios": 64,
    "decoder_hidden_size": 4096,
    "max_depth": MAX_MAX_DEPTH,
    "initializer_range": 10.0,
    "layer_norm_eps": 1.0,
}
# A photo's sides are padded or scaled to multiples of the divisor.
_MAX_SIZE_DIVISOR = 1024
_PER_STAGE = (
    "depths",
    "sr_ratios",
    "hidden_sizes",
    "patch_sizes",
    "strides",
    "num_attention_heads",
    "mlp_ratios",
)
_PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob", "drop_path_rate")


@dataclass(frozen=True)
class Stage:
    """One encoder stage: everything that its modules need to be built."""

    in_channels: int
    width: int
    depth: int
    patch_size: int
    stride: int
    heads: int
    mlp_ratio: float
    sr_ratio: int
    drop_paths: tuple[float, ...]  # one rate per block


@dataclass(init=False, repr=False, eq=False)
class GLPNConfig(PretrainedConfig):
    """The network's hyper-parameters; the defaults are MiT-b0 with a 10 m range.

    Keyword arguments are the fields below, under the names of the Hugging Face `config.json`. A
    field can be set (`config.max_depth = 80`); the assignment is validated. A model copies what
    it needs when it is built: only `max_depth`, `head_in_index` and the `output_…` and
    `return_dict` switches of a model's configuration act after that.

    Raises:
        ConfigError: a value is impossible; the message names the key.
    """

    num_channels: int = 3
    num_encoder_blocks: int = 4
    depths: tuple[int, ...] = (2, 2, 2, 2)
    sr_ratios: tuple[int, ...] = (8, 4, 2, 1)
    hidden_sizes: tuple[int, ...] = (32, 64, 160, 256)
    patch_sizes: tuple[int, ...] = (7, 3, 3, 3)
    strides: tuple[int, ...] = (4, 2, 2, 2)
    num_attention_heads: tuple[int, ...] = (1, 2, 5, 8)
    mlp_ratios: tuple[int | float, ...] = (4, 4, 4, 4)
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.0
    attention_probs_dropout_prob: float = 0.0
    initializer_range: float = 0.02
    drop_path_rate: float = 0.1
    layer_norm_eps: float = 1e-6
    decoder_hidden_size: int = 64
    max_depth: int | float = 10
    head_in_index: int = -1
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    layer_norm_convention: str = "transformers"  # or "authors": see LAYER_NORM_EPS
    fusion: str = "selective"  # or "sum": see FUSIONS

    model_type: ClassVar[str] = "glpn"

    @classmethod
    def preset(cls, name: str, **values: object) -> GLPNConfig:
        """The configuration with the encoder MiT-`name`: "b0" to "b5"."""
        require_choice("preset", name, PRESETS, ConfigError)
        depths, widths = PRESETS[name]
        return cls(**{"depths": depths, "hidden_sizes": widths, **values})

    @property
    def stages(self) -> tuple[Stage, ...]:
        """One record per encoder stage; drop path rises linearly over all blocks."""
        blocks = sum(self.depths)
        rates = [self.drop_path_rate * i / max(blocks - 1, 1) for i in range(blocks)]
        stages = []
        for i, depth in enumerate(self.depths):
            first = sum(self.depths[:i])
            stages.append(
                Stage(
                    in_channels=self.num_channels if i == 0 else self.hidden_sizes[i - 1],
                    width=self.hidden_sizes[i],
                    depth=depth,
                    patch_size=self.patch_sizes[i],
                    stride=self.strides[i],
                    heads=self.num_attention_heads[i],
                    mlp_ratio=self.mlp_ratios[i],
                    sr_ratio=self.sr_ratios[i],
                    drop_paths=tuple(rates[first : first + depth]),
                )
            )
        return tuple(stages)

    @property
    def size_divisor(self) -> int:
        """Both sides of the network's input must be multiples of this (32 for every MiT)."""
        stride = 1
        divisor = 1
        for stage_stride, sr_ratio in zip(self.strides, self.sr_ratios, strict=True):
            stride *= stage_stride
            divisor = math.lcm(divisor, stride * sr_ratio)
        return divisor

    @property
    def block_norm_eps(self) -> float:
        """Epsilon of the block and stage LayerNorms."""
        return LAYER_NORM_EPS[self.layer_norm_convention][0]

    @property
    def embed_norm_eps(self) -> float:
        """Epsilon of the patch-embedding and key-reduction LayerNorms."""
        return LAYER_NORM_EPS[self.layer_norm_convention][1]

    @property
    def variant(self) -> str:
        """The MiT preset's name, or "custom"."""
        shape = (self.depths, self.hidden_sizes)
        return next((name for name, known in PRESETS.items() if known == shape), "custom")

    def replace(self, **values: object) -> GLPNConfig:
        """A copy with some fields changed."""
        return GLPNConfig(**{**self.to_dict(), **values})

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON types, in the Hugging Face names, and every key that was set."""
        values = super().to_dict()
        if self.max_depth == int(self.max_depth):
            values["max_depth"] = int(self.max_depth)  # transformers takes whole metres only
        return values

    def to_json(self) -> str:
        """The text of a model's `config.json`."""
        return as_json({"architectures": ["GLPNForDepthEstimation"], **self.to_dict()})

    @classmethod
    def _typed(cls, key: str, value: object) -> object:
        return typed(key, value, field_types(GLPNConfig)[key])

    def _validate(self) -> None:
        for key in ("num_channels", "num_encoder_blocks", "decoder_hidden_size"):
            _within(key, getattr(self, key), 1)
        if self.num_encoder_blocks != 4:
            raise ConfigError(f"num_encoder_blocks: GLPN has 4, got {self.num_encoder_blocks}")
        for key in _PER_STAGE:
            values = getattr(self, key)
            if len(values) != self.num_encoder_blocks:
                wanted = self.num_encoder_blocks
                raise ConfigError(f"{key}: expected {wanted} values, got {len(values)}")
            for value in values:
                _within(key, value, 1)
        for width, heads in zip(self.hidden_sizes, self.num_attention_heads, strict=True):
            if width % heads:
                raise ConfigError(
                    f"num_attention_heads: {heads} heads do not divide hidden_sizes' {width}"
                )
        for width, ratio in zip(self.hidden_sizes, self.mlp_ratios, strict=True):
            if width * ratio != int(width * ratio):
                raise ConfigError(f"mlp_ratios: {ratio} x {width} is not a whole number")
        if self.strides != (4, 2, 2, 2):
            raise ConfigError(f"strides: the decoder needs (4, 2, 2, 2), got {self.strides}")
        if self.size_divisor > _MAX_SIZE_DIVISOR:
            raise ConfigError(
                f"sr_ratios: {self.sr_ratios} need photos with sides of a multiple of "
                f"{self.size_divisor} pixels; at most {_MAX_SIZE_DIVISOR} is accepted"
            )
        if not all(size % 2 for size in self.patch_sizes):
            raise ConfigError(f"patch_sizes: must be odd, got {self.patch_sizes}")
        if self.decoder_hidden_size % 2:
            raise ConfigError(f"decoder_hidden_size: must be even, got {self.decoder_hidden_size}")
        self._validate_scalars()

    def _validate_scalars(self) -> None:
        for key in _PROBABILITIES:
            value = getattr(self, key)
            if not 0 <= value < 1:
                raise ConfigError(f"{key}: expected 0 <= value < 1, got {value}")
        _within("max_depth", self.max_depth, MIN_MAX_DEPTH)
        for key in ("initializer_range", "layer_norm_eps"):
            value = getattr(self, key)
            if not 0 < value <= _LARGEST[key]:
                raise ConfigError(f"{key}: expected 0 < value <= {_LARGEST[key]}, got {value}")
        if self.hidden_act not in ACTIVATIONS:
            raise ConfigError(f"hidden_act: expected one of {ACTIVATIONS}, got {self.hidden_act!r}")
        if self.head_in_index not in range(-4, 4):
            raise ConfigError(f"head_in_index: expected -4 to 3, got {self.head_in_index}")
        if self.layer_norm_convention not in LAYER_NORM_EPS:
            raise ConfigError(
                f"layer_norm_convention: expected one of {tuple(LAYER_NORM_EPS)}, "
                f"got {self.layer_norm_convention!r}"
            )
        if self.fusion not in FUSIONS:
            raise ConfigError(f"fusion: expected one of {FUSIONS}, got {self.fusion!r}")


def _within(key: str, value: float, least: float) -> None:
    if not least <= value <= _LARGEST[key]:
        raise ConfigError(f"{key}: expected {least} to {_LARGEST[key]}, got {value}")
