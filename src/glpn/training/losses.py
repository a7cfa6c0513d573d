"""Training losses against labels and against a teacher network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn import weights
from glpn.errors import ConfigError
from glpn.network.config import GLPNConfig
from glpn.network.loss import log_difference_sums, silog_from_sums
from glpn.network.model import GLPNForDepthEstimation
from glpn.processing.processor import GLPNImageProcessor
from glpn.training.options import MixOptions, TeacherOptions

_EDGE_STRIDES = (1, 2, 4, 8)  # Ranftl et al. 2020 (MiDaS), equation 11: four scales
_EDGE_SUMS = 2 * len(_EDGE_STRIDES)
_LEAST_DEPTH = 1e-3  # metres; keeps logarithms and 1 / depth finite


def batch_sums(
    prediction: Tensor, target: Tensor, sources: Sequence[int], datasets: Sequence[MixOptions]
) -> Tensor:
    """Return all sums over pixels or frames from which the loss of a batch is computed.

    Adding the sums of two processes gives the sums of both together.

    Args:
        prediction: metres [B, H, W].
        target: metres [B, H, W], 0 = unknown.
        sources: index of each frame's dataset in `datasets`; frames of one dataset are adjacent.
        datasets: options of each dataset.

    Returns:
        [D, 13], one row per dataset: 3 sums for SiLog, 2 for the scale-and-shift invariant error, 8
        for the edge errors. Sums that the options do not need are 0.
    """
    rows = []
    for number, options in enumerate(datasets):
        own = _of_source(prediction, target, sources, number)
        rows.append(_dataset_sums(*own, options))
    return torch.stack(rows)


def loss_from_sums(sums: Tensor, datasets: Sequence[MixOptions]) -> Tensor:
    """Return the loss of the frames that `batch_sums` describes.

    Each dataset is weighted by its share of the batch and by its `weight`.
    """
    batch = sum(options.count for options in datasets)
    total: Tensor | None = None
    for row, options in zip(sums.unbind(), datasets, strict=True):
        silog, invariant, edges = row[:3], row[3:5], row[5:]
        loss = silog_from_sums(silog)
        if options.loss == "scale-shift":
            loss = invariant[0] / invariant[1].clamp_min(1)
        if options.edges:
            slopes, pairs = edges.view(2, -1)
            loss = loss + options.edges * (slopes / pairs.clamp_min(1)).sum() / len(slopes)
        loss = loss * (options.weight * options.count / batch)
        total = loss if total is None else total + loss
    if total is None:
        raise ValueError("loss_from_sums: no dataset")
    return total


def invariant_sums(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the scale-and-shift invariant error summed over frames, and the number of frames, [2].

    The disparities (1 / depth) of both maps are normalised by their own median and mean absolute
    deviation (Ranftl et al. 2020, MiDaS, equations 5 and 6). The error is the mean absolute
    difference.

    Args:
        prediction: metres [B, H, W].
        target: metres [B, H, W], 0 = unknown. Frames without a known pixel do not count.
    """
    errors = []
    for own, true in zip(prediction, target, strict=True):
        known = true > 0
        if bool(known.any()):
            aligned = _aligned(own[known]) - _aligned(true[known])
            errors.append(aligned.abs().mean())
    if not errors:
        return torch.stack((prediction.sum() * 0, prediction.new_zeros(())))
    return torch.stack((torch.stack(errors).sum(), prediction.new_tensor(float(len(errors)))))


def edge_sums(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the sums of differences between adjacent pixels, and half the numbers of pairs, [8].

    Ranftl et al. 2020 (MiDaS), equation 11: log(prediction / target) should be constant. The first
    four values are the sums of its absolute differences between adjacent known pixels at four
    scales. The last four are half the number of these pairs, about one per pixel, because a pixel
    has a neighbour across and one below.

    Args:
        prediction: metres [B, H, W].
        target: metres [B, H, W], 0 = unknown.
    """
    known = target > 0
    true = torch.where(known, target, torch.ones_like(target))
    error = prediction.clamp_min(_LEAST_DEPTH).log() - true.log()
    error = torch.where(known, error, torch.zeros_like(error))
    slopes, pairs = [], []
    for stride in _EDGE_STRIDES:
        e, k = error[:, ::stride, ::stride], known[:, ::stride, ::stride]
        across, down = k[:, :, 1:] & k[:, :, :-1], k[:, 1:] & k[:, :-1]
        slopes.append((e.diff(dim=2).abs() * across).sum() + (e.diff(dim=1).abs() * down).sum())
        pairs.append((across.sum() + down.sum()).to(error.dtype) / 2)
    return torch.stack((*slopes, *pairs))


def _dataset_sums(prediction: Tensor, target: Tensor, options: MixOptions) -> Tensor:
    silog = log_difference_sums(prediction, target)
    invariant, edges = silog.new_zeros(2), silog.new_zeros(_EDGE_SUMS)
    if options.loss == "scale-shift":
        invariant = invariant_sums(prediction, target)
    if options.edges:
        edges = edge_sums(prediction, target)
    return torch.cat((silog, invariant, edges))


def _of_source(
    prediction: Tensor, target: Tensor, sources: Sequence[int], number: int
) -> tuple[Tensor, Tensor]:
    """Return the frames of one dataset; they are adjacent in the batch."""
    count = sources.count(number)
    if count == len(sources):
        return prediction, target
    first = sources.index(number) if count else 0
    return prediction[first : first + count], target[first : first + count]


def _aligned(depth: Tensor) -> Tensor:
    disparity = 1 / depth.clamp_min(_LEAST_DEPTH)
    centred = disparity - disparity.median()
    return centred / centred.abs().mean().clamp_min(_LEAST_DEPTH)


# Lower bound of the standard deviation of a feature channel; keeps the standardised map finite.
_LEAST_DEVIATION = 1e-4


class TeacherOutput(NamedTuple):
    """The outputs of a teacher for a batch.

    Attributes:
        depth: metres [B, H, W]; 0 where the teacher is not reliable.
        maps: feature maps [B, C, h, w], one per encoder stage; each channel is standardised.
    """

    depth: Tensor
    maps: tuple[Tensor, ...]


class Teacher:
    """A frozen network that gets the student's crops, resized to the scale of its own training.

    Args:
        options: the teacher's model, and the largest depth that is used.
        student: the student's image processor. If both processors have a `short_side`, crops are
            resized by the ratio; if both have a `focal_ratio`, metres are converted.
        device: device of the network.

    Raises:
        MissingInput, ConfigError, CheckpointError: the model is missing, damaged or unsuitable.
    """

    def __init__(
        self, options: TeacherOptions, student: GLPNImageProcessor, device: torch.device
    ) -> None:
        if options.model is None:
            raise ConfigError("teacher.model: not set")
        network = GLPNForDepthEstimation.from_pretrained(options.model)
        network = network.eval().requires_grad_(False)
        self._network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._limit = options.max_share * float(network.config.max_depth)
        own = _processor(options.model)
        if own.short_side is not None and student.short_side is None:
            raise ConfigError(
                f"data.short_side: not set; the teacher {options.model} expects photos with a "
                f"shorter side of {own.short_side} pixels, so the student needs a value too"
            )
        self._scale = _ratio(own.short_side, student.short_side)
        self._metres = _ratio(student.focal_ratio, own.focal_ratio)

    @torch.no_grad()
    def __call__(self, clean: Tensor) -> TeacherOutput:
        """Run the teacher on pixels [B, 3, H, W] that have no CutDepth or colour augmentation."""
        size = clean.shape[-2:]
        if self._scale != 1:
            own = [max(round(side * self._scale), 1) for side in size]
            clean = F.interpolate(clean, own, mode="bilinear", antialias=True)
        output = self._network(clean, output_hidden_states=True)
        depth = output.predicted_depth.float()
        if self._scale != 1:
            depth = F.interpolate(depth[:, None], size, mode="bilinear")[:, 0]
        depth = torch.where(depth < self._limit, depth * self._metres, torch.zeros_like(depth))
        maps = tuple(_standardised(stage.float()) for stage in output.hidden_states)
        return TeacherOutput(depth, maps)


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
            maps: the student's maps, [B, C, h, w] each.
            wanted: the teacher's maps; the student's maps are averaged to their size.
        """
        total = maps[0].new_zeros((), dtype=torch.float32)
        for stage, own, other in zip(self.stages, maps, wanted, strict=True):
            if own.shape[-2:] != other.shape[-2:]:
                own = F.adaptive_avg_pool2d(own, (other.shape[-2], other.shape[-1]))
            similarity = F.cosine_similarity(stage(own).float(), other, dim=1)
            total = total + (1 - similarity).mean()
        return total / len(wanted)


def fill_unknown(target: Tensor, depth: Tensor) -> Tensor:
    """Return the target; frames without any known pixel get the teacher's depth instead.

    Args:
        target: metres [B, H, W], 0 = unknown.
        depth: the teacher's metres [B, H, W], 0 = unknown.
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
            f"teacher.model: the range of {options.model} is {config.max_depth} m, but the "
            f"student's is only {student.max_depth} m; increase model.config.max_depth"
        )
    return config


def _processor(model: str) -> GLPNImageProcessor:
    folder = weights.resolve(model)
    if not (folder / weights.PROCESSOR_NAME).is_file():
        return GLPNImageProcessor()
    processor = GLPNImageProcessor.from_pretrained(folder)
    if processor.do_normalize or not processor.do_rescale:
        raise ConfigError(
            f"teacher.model: {model} expects normalised or unscaled pixels; training needs a "
            "teacher that takes RGB / 255"
        )
    return processor


def _ratio(first: float | None, second: float | None) -> float:
    """first / second; 1 if one of them is unknown."""
    return 1.0 if first is None or second is None else first / second


def _standardised(maps: Tensor) -> Tensor:
    """Return the maps with mean 0 and standard deviation 1 of each channel over the batch."""
    centred = maps - maps.mean((0, 2, 3), keepdim=True)
    return centred / centred.std((0, 2, 3), keepdim=True).clamp_min(_LEAST_DEVIATION)
