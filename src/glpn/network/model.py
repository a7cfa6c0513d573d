"""GLPNModel and GLPNForDepthEstimation: encoder → decoder → output records."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from glpn.errors import UsageError
from glpn.network.config import GLPNConfig
from glpn.network.decoder import Decoder
from glpn.network.encoder import Encoder
from glpn.network.head import DepthHead
from glpn.network.initialisation import initialise
from glpn.network.loss import silog_loss
from glpn.network.outputs import DepthEstimatorOutput, GLPNModelOutput
from glpn.network.pretrained import PretrainedModel


def pad_to_multiple(pixels: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples: any size can be encoded."""
    height, width = pixels.shape[-2:]
    down, right = -height % multiple, -width % multiple
    return F.pad(pixels, (0, right, 0, down), mode="replicate")


class GLPNModel(PretrainedModel):
    """The encoder alone: maps pixels to feature maps."""

    prefix = "glpn."

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(self.config)
        initialise(self, self.config.initializer_range)
        if self.config.gradient_checkpointing:
            self.gradient_checkpointing_enable()

    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: object,
    ) -> GLPNModelOutput | tuple[Any, ...]:
        """Encode a batch.

        Args:
            pixel_values: [B, 3, H, W], RGB in 0..1; any size (padded to multiples of 32).
            output_attentions: also return the attention probabilities.
            output_hidden_states: also return the four maps.
            return_dict: False gives a tuple instead of the record.
            **kwargs: ignored, as transformers does; `Trainer` passes the batch's size.

        Raises:
            InvalidImage: the tensor's shape is not [B, 3, H, W].
        """
        pixels = self._as_input(pixel_values)
        padded = pad_to_multiple(pixels, self.config.size_divisor)
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
    """The whole network: maps pixels to metres (Kim et al. 2022, figure 2)."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__(config)
        self.glpn = GLPNModel(self.config)
        self.decoder = Decoder(self.config)
        self.head = DepthHead(self.config)

    def forward(
        self,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        **kwargs: object,
    ) -> DepthEstimatorOutput | tuple[Any, ...]:
        """Predict depth for a batch.

        Args:
            pixel_values: [B, 3, H, W], RGB in 0..1; any size, the depth comes at that size.
            labels: metres [B, H, W]; 0, NaN and infinity are unknown.
            output_attentions: also return the attention probabilities.
            output_hidden_states: also return the encoder's four maps.
            return_dict: False gives a tuple instead of the record.
            **kwargs: ignored, as transformers does; `Trainer` passes the batch's size.

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
