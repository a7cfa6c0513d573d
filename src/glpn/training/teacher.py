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
from glpn.processing.processor import GLPNImageProcessor
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
    """A frozen network that sees the student's windows at its own scale.

    Args:
        options: which model, and how far its depth is trusted.
        student: prepares photos for the student. If both processors have a `short_side`, windows
            are scaled by their ratio; if both have a `focal_ratio`, metres are converted.
        device: where the network runs.

    Raises:
        MissingInput, ConfigError, CheckpointError: the model is missing, damaged or unsuitable.
    """

    def __init__(
        self, options: TeacherOptions, student: GLPNImageProcessor, device: torch.device
    ) -> None:
        if options.model is None:
            raise ConfigError("teacher.model: no model")
        network = GLPNForDepthEstimation.from_pretrained(options.model)
        network = network.eval().requires_grad_(False)
        self._network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._limit = options.max_share * float(network.config.max_depth)
        own = _processor(options.model)
        if own.short_side is not None and student.short_side is None:
            raise ConfigError(
                f"data.short_side: {options.model} sees photos at {own.short_side} pixels on their "
                "shorter side; set the student's, so that the scales can be matched"
            )
        self._scale = _ratio(own.short_side, student.short_side)
        self._metres = _ratio(student.focal_ratio, own.focal_ratio)

    @torch.no_grad()
    def __call__(self, clean: Tensor) -> Lesson:
        """Look at pixels [B, 3, H, W] without CutDepth and colour changes."""
        size = clean.shape[-2:]
        if self._scale != 1:
            own = [max(round(side * self._scale), 1) for side in size]
            clean = F.interpolate(clean, own, mode="bilinear", antialias=True)
        output = self._network(clean, output_hidden_states=True)
        depth = output.predicted_depth.float()
        if self._scale != 1:
            depth = F.interpolate(depth[:, None], size, mode="bilinear")[:, 0]
        depth = torch.where(depth < self._limit, depth * self._metres, torch.zeros_like(depth))
        return Lesson(depth, tuple(_standardised(maps.float()) for maps in output.hidden_states))


class FeatureProjections(nn.Module):
    """A 1x1 convolution per stage, from the student's features to the teacher's.

    They learn with the network and are not exported.
    """

    def __init__(self, own: Sequence[int], teacher: Sequence[int]) -> None:
        super().__init__()
        pairs = zip(own, teacher, strict=True)
        self.stages = nn.ModuleList(nn.Conv2d(a, b, kernel_size=1) for a, b in pairs)

    def forward(self, maps: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
        """Mean of 1 - cosine over all positions, stages and frames.

        Args:
            maps: of the student, [B, C, h, w] each.
            wanted: of the teacher; the student's maps are averaged to their size.
        """
        total = maps[0].new_zeros((), dtype=torch.float32)
        for stage, own, other in zip(self.stages, maps, wanted, strict=True):
            if own.shape[-2:] != other.shape[-2:]:
                own = F.adaptive_avg_pool2d(own, (other.shape[-2], other.shape[-1]))
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


def teacher_config(options: TeacherOptions, student: GLPNConfig) -> GLPNConfig | None:
    """The teacher's configuration; None without a teacher.

    Raises:
        MissingInput: the teacher is missing.
        ConfigError: its range is larger than the student's.
    """
    if options.model is None:
        return None
    config = GLPNConfig.from_json_file(weights.resolve(options.model) / weights.CONFIG_NAME)
    if config.max_depth > student.max_depth:
        raise ConfigError(
            f"teacher.model: {options.model} measures up to {config.max_depth} m, the network up "
            f"to {student.max_depth} m; set model.config.max_depth"
        )
    return config


def _processor(model: str) -> GLPNImageProcessor:
    folder = weights.resolve(model)
    if not (folder / weights.PROCESSOR_NAME).is_file():
        return GLPNImageProcessor()
    processor = GLPNImageProcessor.from_pretrained(folder)
    if processor.do_normalize or not processor.do_rescale:
        raise ConfigError(f"teacher.model: {model} does not take RGB / 255, as training does")
    return processor


def _ratio(first: float | None, second: float | None) -> float:
    """first / second; 1 if one of them is unknown."""
    return 1.0 if first is None or second is None else first / second


def _standardised(maps: Tensor) -> Tensor:
    """Mean 0 and deviation 1 of each channel over the batch."""
    centred = maps - maps.mean((0, 2, 3), keepdim=True)
    return centred / centred.std((0, 2, 3), keepdim=True).clamp_min(_LEAST_DEVIATION)
