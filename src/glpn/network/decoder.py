"""GLPN's local path: fuses the encoder's four feature maps, deepest first.

Kim et al. 2022 (GLPN), section 3.3: light decoder and selective feature fusion, figures 2 and 3.
`head.py` turns the result into metres.
All maps here are [B, C, H, W].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn.network.config import GLPNConfig


def upsample(x: Tensor) -> Tensor:
    """Double the size by bilinear interpolation, with align_corners=False."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class SelectiveFusion(nn.Module):
    """Selective feature fusion: weight the local and the global (`context`) map at each position.

    GLPN, figure 3.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2 * width, width, kernel_size=3, padding=1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width // 2, kernel_size=3, padding=1)
        self.norm2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, 2, kernel_size=3, padding=1)

    def forward(self, local: Tensor, context: Tensor) -> Tensor:
        """Fuse two [B, C, H, W] maps into one of the same shape."""
        x = torch.cat((local, context), dim=1)  # [B, 2C, H, W]
        x = F.relu(self.norm1(self.conv1(x)))  # [B, C, H, W]
        x = F.relu(self.norm2(self.conv2(x)))  # [B, C/2, H, W]
        gates = torch.sigmoid(self.conv3(x))  # [B, 2, H, W]
        return local * gates[:, :1] + context * gates[:, 1:]


class SumFusion(nn.Module):
    """Ablation of SFF: the sum of both maps, with no learned parameters."""

    def forward(self, local: Tensor, context: Tensor) -> Tensor:
        """Fuse two [B, C, H, W] maps into one of the same shape."""
        return local + context


class DecoderStage(nn.Module):
    """Project one encoder map to the decoder's width, fuse it with the output of the deeper stage,
    and double its size.
    """

    def __init__(self, in_channels: int, width: int, *, fusion: nn.Module | None) -> None:
        super().__init__()
        same = in_channels == width
        self.project = nn.Identity() if same else nn.Conv2d(in_channels, width, kernel_size=1)
        self.fusion = fusion  # None for the deepest map, which has no deeper stage

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Map [B, C_in, h, w], with the deeper stage's [B, C, h, w], to [B, C, 2h, 2w]."""
        x = self.project(x)  # [B, C, h, w]
        if self.fusion is not None:
            x = self.fusion(x, context)
        return upsample(x)


class Decoder(nn.Module):
    """Input maps at 1/32, 1/16, 1/8, 1/4; output maps at 1/16, 1/8, 1/4, 1/1 (deepest first)."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        width = config.decoder_hidden_size
        deepest, *shallower = reversed(config.hidden_sizes)
        self.stages = nn.ModuleList([DecoderStage(deepest, width, fusion=None)])
        for in_channels in shallower:
            fusion = SelectiveFusion(width) if config.fusion == "selective" else SumFusion()
            self.stages.append(DecoderStage(in_channels, width, fusion=fusion))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Turn four encoder maps, shallowest first, into four decoder maps, deepest first."""
        context = None
        outputs = []
        for stage, x in zip(self.stages, reversed(maps), strict=True):
            context = stage(x, context)
            outputs.append(context)
        outputs[-1] = upsample(outputs[-1])
        return outputs
