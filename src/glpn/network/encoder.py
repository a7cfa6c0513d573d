"""Mix Transformer encoder: maps pixels [B, 3, H, W] to feature maps at 1/4, 1/8, 1/16 and 1/32.

Xie et al. 2021, "SegFormer", section 3.1; the global path of GLPN (section 3.2). Between modules a
map is [B, H, W, C]: LayerNorm and linear layers read it as it lies, and the convolutions see the
same memory as channels-last NCHW.
"""

from __future__ import annotations

import math
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from glpn.network.activations import make_activation
from glpn.network.config import GLPNConfig, Stage


def _convolve(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """Apply a convolution to a [B, H, W, C] map and return one."""
    y: Tensor = convolution(x.permute(0, 3, 1, 2))
    return y.permute(0, 2, 3, 1)


def drop_path(x: Tensor, rate: float, *, training: bool) -> Tensor:
    """Stochastic depth: drop whole samples of a residual branch (Huang et al. 2016)."""
    if rate == 0.0 or not training:
        return x
    keep = 1.0 - rate
    mask = x.new_empty((x.shape[0],) + (1,) * (x.ndim - 1)).bernoulli_(keep)
    return x * mask / keep


class PatchEmbedding(nn.Module):
    """Overlapping patches: a strided convolution, then LayerNorm (SegFormer, section 3.1)."""

    def __init__(self, config: GLPNConfig, stage: Stage) -> None:
        super().__init__()
        self.proj = nn.Conv2d(
            stage.in_channels,
            stage.width,
            kernel_size=stage.patch_size,
            stride=stage.stride,
            padding=stage.patch_size // 2,
        )
        self.norm = nn.LayerNorm(stage.width, eps=config.embed_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, H, W, C_in] to [B, H/s, W/s, C]."""
        x = _convolve(self.proj, x)  # [B, H/s, W/s, C]
        y: Tensor = self.norm(x)
        return y


class Attention(nn.Module):
    """Multi-head attention of all positions over a map reduced by `sr_ratio` (SegFormer, eq. 1-2).

    Without `weights` the scores are never stored: memory grows with the pixels, not their square.
    """

    def __init__(self, config: GLPNConfig, stage: Stage) -> None:
        super().__init__()
        width = stage.width
        self.heads = stage.heads
        self.dropout = config.attention_probs_dropout_prob
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.output_dropout = nn.Dropout(config.hidden_dropout_prob)
        self.reduce: nn.Conv2d | None = None
        self.reduce_norm: nn.LayerNorm | None = None
        if stage.sr_ratio > 1:
            self.reduce = nn.Conv2d(width, width, stage.sr_ratio, stride=stage.sr_ratio)
            self.reduce_norm = nn.LayerNorm(width, eps=config.embed_norm_eps)

    def forward(self, x: Tensor, *, weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """Attend over [B, H, W, C]; `weights` also returns probabilities [B, heads, N, N/sr²]."""
        context = x
        if self.reduce is not None and self.reduce_norm is not None:
            context = self.reduce_norm(_convolve(self.reduce, x))  # [B, H/sr, W/sr, C]
        query = self._split(self.query(x))  # [B, heads, N, C/heads]
        key = self._split(self.key(context))  # [B, heads, M, C/heads]
        value = self._split(self.value(context))
        dropout = self.dropout if self.training else 0.0
        probabilities = None
        if weights:
            scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
            probabilities = F.dropout(scores.softmax(-1), dropout)  # [B, heads, N, M]
            mixed = probabilities @ value
        else:
            mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        mixed = mixed.transpose(1, 2).reshape(x.shape)  # [B, H, W, C]
        return self.output_dropout(self.output(mixed)), probabilities

    def _split(self, x: Tensor) -> Tensor:  # [B, H, W, C] → [B, heads, HW, C/heads]
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height * width, self.heads, channels // self.heads)
        return x.transpose(1, 2)


class FeedForward(nn.Module):
    """Mix-FFN: expand → depthwise 3×3 → activation → shrink (SegFormer, eq. 3)."""

    def __init__(self, config: GLPNConfig, stage: Stage) -> None:
        super().__init__()
        hidden = int(stage.width * stage.mlp_ratio)
        self.expand = nn.Linear(stage.width, hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, kernel_size=3, padding=1, groups=hidden)
        self.shrink = nn.Linear(hidden, stage.width)
        self.activation = make_activation(config.hidden_act)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, H, W, C] to the same shape."""
        x = self.expand(x)  # [B, H, W, rC]
        x = _convolve(self.depthwise, x)
        x = self.dropout(self.activation(x))
        y: Tensor = self.dropout(self.shrink(x))  # [B, H, W, C]
        return y


class Block(nn.Module):
    """Pre-norm transformer block: x + attention(LN x), then x + feed-forward(LN x)."""

    def __init__(self, config: GLPNConfig, stage: Stage, drop_path_rate: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(stage.width, eps=config.block_norm_eps)
        self.attention = Attention(config, stage)
        self.norm2 = nn.LayerNorm(stage.width, eps=config.block_norm_eps)
        self.ffn = FeedForward(config, stage)
        self.drop_path_rate = drop_path_rate

    def forward(self, x: Tensor, weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """Map [B, H, W, C] to the same shape; also return the second result of `Attention`."""
        mixed, probabilities = self.attention(self.norm1(x), weights=weights)
        x = x + drop_path(mixed, self.drop_path_rate, training=self.training)
        x = x + drop_path(self.ffn(self.norm2(x)), self.drop_path_rate, training=self.training)
        return x, probabilities


class EncoderStage(nn.Module):
    """One scale: patch embedding, `depth` blocks, LayerNorm."""

    def __init__(self, config: GLPNConfig, stage: Stage) -> None:
        super().__init__()
        self.embed = PatchEmbedding(config, stage)
        self.blocks = nn.ModuleList([Block(config, stage, rate) for rate in stage.drop_paths])
        self.norm = nn.LayerNorm(stage.width, eps=config.block_norm_eps)
        self.checkpointing: dict[str, Any] | None = None  # options of torch.utils.checkpoint

    def forward(self, x: Tensor, *, weights: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Map [B, H, W, C_in] to [B, H/s, W/s, C]; on request, also return the probabilities."""
        x = self.embed(x)  # [B, H/s, W/s, C]
        attentions = []
        for block in self.blocks:
            if self.checkpointing is not None and self.training:
                x, probabilities = checkpoint(block, x, weights, **self.checkpointing)
            else:
                x, probabilities = block(x, weights)
            if probabilities is not None:
                attentions.append(probabilities)
        return self.norm(x), attentions


class Encoder(nn.Module):
    """Map pixels [B, C, H, W], sides multiples of 32, to maps [B, C_i, H/4·2^-i, W/4·2^-i].

    Also returns the attention probabilities, one [B, heads, N, N/sr²] a block, on request.
    """

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        self.stages = nn.ModuleList([EncoderStage(config, stage) for stage in config.stages])

    def forward(
        self, pixels: Tensor, *, weights: bool = False
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Map pixels to the four maps; on request, also return the probabilities of all blocks."""
        x = pixels.permute(0, 2, 3, 1)  # [B, H, W, 3]
        maps, attentions = [], []
        for stage in self.stages:
            x, probabilities = stage(x, weights=weights)
            maps.append(x.permute(0, 3, 1, 2))
            # Reuse the returned map, so that gradients with respect to it are available.
            x = maps[-1].permute(0, 2, 3, 1)
            attentions += probabilities
        return maps, attentions
