"""The depth head: turns the decoder's last map [B, C, H, W] into metres [B, H, W].

Kim et al. 2022 (GLPN), section 3.3. `native/head.c` computes the same from the map before the last.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn.network.config import GLPNConfig


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
        """Maximum depth in metres, where the sigmoid is 1; read from the configuration."""
        return float(self.config.max_depth)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Predict metres [B, H, W] from the decoder map that `head_in_index` selects."""
        x = F.relu(self.conv1(maps[self.config.head_in_index]))  # [B, C, H, W]
        x = self.conv2(x)  # [B, 1, H, W]
        return torch.sigmoid(x).squeeze(1) * self.max_depth
