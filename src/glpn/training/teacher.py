"""Distillation: a trained GLPN supplies depth for photos that have none, and feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn import weights
from glpn.errors import ConfigError
from glpn.network.config import GLPNConfig
from glpn.network.model import GLPNForDepthEstimation
from glpn.training.options import TeacherOptions

_LEAST_DEVIATION = 1e-4  # of a feature channel; keeps the standardised map finite


class Lesson(NamedTuple):
    """What a teacher says about a batch.

    Attributes:
        depth: metres [B, H, W]; 0 where the teacher is not reliable.
        maps: [B, C, h, w], one per encoder stage, standardised by channel.
    """

    depth: Tensor
    maps: tuple[Tensor, ...]


class Teacher:
    """A frozen network.

    Args:
        options: which model, and how far its depth is trusted.
        device: where it runs.

    Raises:
        MissingInput, ConfigError, CheckpointError: the model is missing or damaged.
    """

    def __init__(self, options: TeacherOptions, device: torch.device) -> None:
        if options.model is None:
            raise ConfigError("teacher.model: no model")
        network = GLPNForDepthEstimation.from_pretrained(options.model)
        network = network.eval().requires_grad_(False)
        self._network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._limit = options.max_share * float(network.config.max_depth)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the feature map of each encoder stage."""
        widths: tuple[int, ...] = self._network.config.hidden_sizes
        return widths

    @torch.no_grad()
    def __call__(self, clean: Tensor) -> Lesson:
        """Look at pixels [B, 3, H, W] without CutDepth and colour changes."""
        output = self._network(clean, output_hidden_states=True)
        depth = output.predicted_depth.float()
        reliable = torch.where(depth < self._limit, depth, torch.zeros_like(depth))
        maps = tuple(_standardised(maps.float()) for maps in output.hidden_states)
        return Lesson(reliable, maps)


class FeatureProjections(nn.Module):
    """A 1x1 convolution per stage, from the student's features to the teacher's.

    They learn with the network and are not exported.
    """

    def __init__(self, own: Sequence[int], teacher: Sequence[int]) -> None:
        super().__init__()
        pairs = zip(own, teacher, strict=True)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, kernel_size=1) for a, b in pairs)

    def forward(self, maps: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """Mean of 1 - cosine over all positions, stages and frames."""
        total = maps[0].new_zeros((), dtype=torch.float32)
        for stage, own, other in zip(self.stages, maps, wanted, strict=True):
            similarity = F.cosine_similarity(stage(own).float(), other, dim=1)
            total = total + (1 - similarity).mean()
        return total / len(wanted)


def fill_unknown(target: Tensor, depth: Tensor) -> Tensor:
    """The target with the teacher's depth in those frames that have no known pixel at all.

    Args:
        target: metres [B, H, W], 0 = unknown.
        depth: the teacher's, likewise.
    """
    unlabelled = (target > 0).flatten(1).any(1).logical_not()  # [B]
    return torch.where(unlabelled[:, None, None], depth, target)


def check_teacher(options: TeacherOptions, student: GLPNConfig) -> None:
    """Check, before anything is read, that the student can learn the teacher's depth.

    Raises:
        MissingInput, ConfigError: the teacher is missing, or sees farther than the student can say.
    """
    if options.model is None:
        return
    folder = weights.resolve(options.model)
    config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
    if config.max_depth > student.max_depth:
        raise ConfigError(
            f"teacher.model: {options.model} measures up to {config.max_depth} m, the network up "
            f"to {student.max_depth} m; set model.config.max_depth"
        )


def _standardised(maps: Tensor) -> Tensor:
    """Mean 0 and deviation 1 of each channel over the batch."""
    centred = maps - maps.mean((0, 2, 3), keepdim=True)
    return centred / centred.std((0, 2, 3), keepdim=True).clamp_min(_LEAST_DEVIATION)
