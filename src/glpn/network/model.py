"""GLPNModel and GLPNForDepthEstimation: encoder → decoder → output records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn import weights
from glpn.errors import InvalidImage, UsageError
from glpn.network.config import GLPNConfig
from glpn.network.decoder import Decoder, DepthHead
from glpn.network.encoder import Encoder, EncoderStage
from glpn.network.loss import silog_loss

_Self = TypeVar("_Self", bound="PretrainedModel")


class _Record:
    """Fields by name, by key and by position; positions and keys skip fields that are None."""

    def keys(self) -> tuple[str, ...]:
        """Names of the fields that hold something."""
        return tuple(f.name for f in fields(self) if getattr(self, f.name) is not None)  # type: ignore[arg-type]

    def to_tuple(self) -> tuple[Any, ...]:
        """The values of `keys()`, in order."""
        return tuple(getattr(self, name) for name in self.keys())

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(key)
            return getattr(self, key)
        return self.to_tuple()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __contains__(self, key: object) -> bool:
        return key in self.keys()


@dataclass
class GLPNModelOutput(_Record):
    """What the encoder returns.

    Attributes:
        last_hidden_state: [B, C4, H/32, W/32].
        hidden_states: four maps [B, C_i, H/4·2^-i, W/4·2^-i], if asked.
        attentions: one [B, heads, N, N/sr²] a block, if asked.
    """

    last_hidden_state: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class DepthEstimatorOutput(_Record):
    """What GLPNForDepthEstimation returns.

    Attributes:
        loss: scalar SiLog, if labels were given.
        predicted_depth: metres [B, H, W].
        hidden_states, attentions: as in GLPNModelOutput, if asked.
    """

    loss: Tensor | None = None
    predicted_depth: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


for _record in (GLPNModelOutput, DepthEstimatorOutput):
    torch.export.register_dataclass(_record)


def pad_to_multiple(pixels: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples: any size can be encoded."""
    height, width = pixels.shape[-2:]
    down, right = -height % multiple, -width % multiple
    return F.pad(pixels, (0, right, 0, down), mode="replicate")


class PretrainedModel(nn.Module):
    """Loading, saving and initialising, shared by the two public models."""

    _prefix = ""  # this model's names on disk, inside the names of the whole network

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        if not isinstance(config, GLPNConfig):
            raise UsageError(f"config: expected a GLPNConfig, got {type(config).__name__}")
        self.config = config

    @classmethod
    def from_pretrained(
        cls: type[_Self],
        source: str | Path,
        *,
        max_depth: float | None = None,
        dtype: torch.dtype | str | None = None,
        **hub: Any,
    ) -> _Self:
        """Load a bundled name, a folder or a hub id; the model comes in eval mode.

        Args:
            source: folder with `config.json` and `model.safetensors`, a bundled model's name, or
                a hub id.
            max_depth: metres at the sigmoid's 1, where the file's own value is wrong (the
                published KITTI checkpoint says 10 and means 80).
            dtype: floating type of the weights. If None, float16 and bfloat16 files are widened to
                float32 (halves are slow and inexact on a CPU) and others stay as they are; "auto"
                keeps the file's own.
            **hub: revision, cache_dir, local_files_only, token.

        Raises:
            MissingInput: no such folder or hub id.
            ConfigError, CheckpointError: the files are damaged or do not fit each other.
        """
        folder = weights.resolve(source, **hub)
        config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
        if max_depth is not None:
            config = config.replace(max_depth=max_depth)
        with torch.device("meta"):
            model = cls(config)
        state = weights.to_memory_names(weights.read_tensors(folder), prefix=cls._prefix)
        expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        weights.require_match(state, expected, source=str(source))
        model.load_state_dict(state, assign=True)
        if dtype is None and model.dtype in (torch.float16, torch.bfloat16):
            dtype = torch.float32
        if isinstance(dtype, torch.dtype):
            model = model.to(dtype)
        elif dtype not in (None, "auto"):
            raise UsageError(f'dtype: expected a torch.dtype, "auto" or None; got {dtype!r}')
        return model.eval().requires_grad_(True)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` in the Hugging Face names, atomically.

        Raises:
            CannotCreateOutput, OutputFailed: the folder cannot be made or written.
        """
        state = weights.to_disk_names(self.state_dict(), prefix=self._prefix)
        weights.write_model(Path(folder), self.config, state)

    def push_to_hub(self, repo_id: str, **hub: Any) -> str:
        """Upload what `save_pretrained` writes; returns the commit's address.

        Args:
            repo_id: "user/name".
            **hub: token, private, revision, commit_message, endpoint.
        """
        return weights.push(self.save_pretrained, repo_id, **hub)

    def gradient_checkpointing_enable(self, enable: bool = True) -> None:
        """Recompute each block's activations in the backward pass instead of keeping them."""
        for module in self.modules():
            if isinstance(module, EncoderStage):
                module.checkpointing = enable

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        self.gradient_checkpointing_enable(False)

    def num_parameters(self) -> int:
        """How many weights the model has, buffers not counted."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' floating type."""
        return next(self.parameters()).dtype

    def _choose(self, name: str, value: bool | None) -> bool:
        return bool(getattr(self.config, name) if value is None else value)

    def _require_pixels(self, pixels: Tensor) -> None:
        channels = self.config.num_channels
        if pixels.ndim != 4 or pixels.shape[1] != channels or 0 in pixels.shape[2:]:
            raise InvalidImage(
                f"pixel_values: expected shape [batch, {channels}, height, width], "
                f"got {tuple(pixels.shape)}"
            )


def initialise(model: nn.Module, std: float) -> None:
    """Weights for training from scratch, in place.

    Linear layers truncated normal; encoder convolutions normal by fan-out; LayerNorm 1 and 0. The
    decoder keeps torch's defaults, as the authors' code does.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=std)
            nn.init.zeros_(module.bias)
        elif isinstance(module, Encoder):
            for layer in module.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
                    _divide_by_groups(layer)
                    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]


def _divide_by_groups(layer: nn.Conv2d) -> None:
    """Correct the fan-out, which torch counts as if every output saw every input."""
    with torch.no_grad():
        layer.weight *= layer.groups**0.5


class GLPNModel(PretrainedModel):
    """The encoder alone: pixels → feature maps."""

    _prefix = "glpn."

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        initialise(self, config.initializer_range)

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> GLPNModelOutput | tuple[Any, ...]:
        """Encode a batch.

        Args:
            pixel_values: [B, 3, H, W], RGB in 0..1; any size (padded to multiples of 32).
            output_attentions: also return the attention probabilities.
            output_hidden_states: also return the four maps.
            return_dict: False gives a tuple instead of the record.

        Raises:
            InvalidImage: the tensor's shape is not [B, 3, H, W].
        """
        self._require_pixels(pixel_values)
        padded = pad_to_multiple(pixel_values, self.config.size_divisor)
        wanted = self._choose("output_attentions", output_attentions)
        maps, attentions = self.encoder(padded, weights=wanted)
        output = GLPNModelOutput(
            last_hidden_state=maps[-1],
            hidden_states=(
                tuple(maps) if self._choose("output_hidden_states", output_hidden_states) else None
            ),
            attentions=tuple(attentions) if wanted else None,
        )
        return output if self._choose("return_dict", return_dict) else output.to_tuple()


class GLPNForDepthEstimation(PretrainedModel):
    """The whole network: pixels → metres (Kim et al. 2022, figure 2)."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__(config)
        self.glpn = GLPNModel(config)
        self.decoder = Decoder(config)
        self.head = DepthHead(config)

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> DepthEstimatorOutput | tuple[Any, ...]:
        """Predict depth for a batch.

        Args:
            pixel_values: [B, 3, H, W], RGB in 0..1; any size, the depth comes at that size.
            labels: metres [B, H, W]; 0, NaN and infinity are unknown.
            output_attentions: also return the attention probabilities.
            output_hidden_states: also return the encoder's four maps.
            return_dict: False gives a tuple instead of the record.

        Raises:
            InvalidImage: the tensor's shape is not [B, 3, H, W].
            UsageError: labels have another shape than the prediction.
        """
        encoded = self.glpn(
            pixel_values,
            output_attentions=output_attentions,
            output_hidden_states=True,
            return_dict=True,
        )
        depth = self.head(self.decoder(encoded.hidden_states))  # [B, H, W], padded
        depth = self._crop(depth, pixel_values)
        wanted = self._choose("output_hidden_states", output_hidden_states)
        output = DepthEstimatorOutput(
            loss=None if labels is None else self._loss(depth, labels),
            predicted_depth=depth,
            hidden_states=encoded.hidden_states if wanted else None,
            attentions=encoded.attentions,
        )
        return output if self._choose("return_dict", return_dict) else output.to_tuple()

    def _crop(self, depth: Tensor, pixels: Tensor) -> Tensor:
        """Cut the padding off; the smaller maps of `head_in_index` are rounded up."""
        reduction = (16, 8, 4, 1)[self.config.head_in_index]
        height, width = (-(-side // reduction) for side in pixels.shape[-2:])
        return depth[:, :height, :width]

    def _loss(self, depth: Tensor, labels: Tensor) -> Tensor:
        if labels.shape != depth.shape:
            raise UsageError(
                f"labels: expected shape {tuple(depth.shape)}, got {tuple(labels.shape)}"
            )
        return silog_loss(depth, labels)
