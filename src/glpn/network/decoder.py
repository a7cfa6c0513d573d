"""GLPN's local path: four feature maps → one depth map.

Kim et al. 2022 (GLPN), section 3.3: light decoder and selective feature fusion, figures 2 and 3.
All maps here are [B, C, H, W].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn.network.config import GLPNConfig


def upsample(x: Tensor) -> Tensor:
    """Twice the size, bilinear, corners not aligned."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class SelectiveFusion(nn.Module):
    """SFF: weigh a local against a global map, position by position (GLPN, figure 3)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2 * width, width, kernel_size=3, padding=1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width // 2, kernel_size=3, padding=1)
        self.norm2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, 2, kernel_size=3, padding=1)

    def forward(self, local: Tensor, context: Tensor) -> Tensor:
        """Both [B, C, H, W] → the same."""
        x = torch.cat((local, context), dim=1)  # [B, 2C, H, W]
        x = F.relu(self.norm1(self.conv1(x)))  # [B, C, H, W]
        x = F.relu(self.norm2(self.conv2(x)))  # [B, C/2, H, W]
        gates = torch.sigmoid(self.conv3(x))  # [B, 2, H, W]
        return local * gates[:, :1] + context * gates[:, 1:]


class SumFusion(nn.Module):
    """The ablation of SFF: the plain sum of both maps; no weights."""

    def forward(self, local: Tensor, context: Tensor) -> Tensor:
        """Both [B, C, H, W] → the same."""
        return local + context


class DecoderStage(nn.Module):
    """Project one encoder map to the decoder's width, fuse it with the deeper path, double it."""

    def __init__(self, in_channels: int, width: int, *, fusion: nn.Module | None) -> None:
        super().__init__()
        same = in_channels == width
        self.project = nn.Identity() if same else nn.Conv2d(in_channels, width, kernel_size=1)
        self.fusion = fusion  # None for the deepest map, which has no deeper path

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """[B, C_in, h, w] and the deeper path's [B, C, h, w] → [B, C, 2h, 2w]."""
        x = self.project(x)  # [B, C, h, w]
        if self.fusion is not None:
            x = self.fusion(x, context)
        return upsample(x)


class Decoder(nn.Module):
    """Deepest map first: maps at 1/32, 1/16, 1/8, 1/4 in, maps at 1/16, 1/8, 1/4, 1/1 out."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        width = config.decoder_hidden_size
        deepest, *shallower = reversed(config.hidden_sizes)
        self.stages = nn.ModuleList([DecoderStage(deepest, width, fusion=None)])
        for in_channels in shallower:
            fusion = SelectiveFusion(width) if config.fusion == "selective" else SumFusion()
            self.stages.append(DecoderStage(in_channels, width, fusion=fusion))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Four maps, shallowest first → the path's four maps, deepest first."""
        context = None
        outputs = []
        for stage, x in zip(self.stages, reversed(maps), strict=True):
            context = stage(x, context)
            outputs.append(context)
        outputs[-1] = upsample(outputs[-1])
        return outputs


class DepthHead(nn.Module):
    """conv3×3 → ReLU → conv3×3 → sigmoid × max_depth: metres in (0, max_depth)."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        width = config.decoder_hidden_size
        self.config = config
        self.conv1 = nn.Conv2d(width, width, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(width, 1, kernel_size=3, padding=1)

    @property
    def max_depth(self) -> float:
        """Metres at the sigmoid's 1; follows the configuration."""
        return float(self.config.max_depth)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """The decoder's maps → metres [B, H, W] from the one that `head_in_index` picks."""
        x = F.relu(self.conv1(maps[self.config.head_in_index]))  # [B, C, H, W]
        x = self.conv2(x)  # [B, 1, H, W]
        return torch.sigmoid(x).squeeze(1) * self.max_depth
