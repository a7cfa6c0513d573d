"""The frames of a run: opened, split, limited, scaled to the network's scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from glpn.data.datasets import open_dataset
from glpn.data.frames import FrameSet
from glpn.data.sample import Sample, Samples
from glpn.errors import ConfigError
from glpn.processing.processor import GLPNImageProcessor
from glpn.processing.resize import nearest
from glpn.training.options import DataOptions


def open_frames(options: DataOptions) -> tuple[FrameSet, FrameSet | None]:
    """The frames to learn and those held back, if any; no picture is decoded.

    Raises:
        ConfigError: no folder was named.
        MissingInput, DataError: as `open_dataset`.
    """
    if options.train is None:
        raise ConfigError("data.train: the recipe leaves it open; add data.train=FOLDER")
    train = _open(options, options.train, options.train_list, options.train_split)
    held_back = None
    if options.val is not None or options.val_list is not None or options.val_split is not None:
        folder = options.val or options.train
        held_back = _open(options, folder, options.val_list, options.val_split)
    elif options.val_share > 0:
        learnt = len(train) - max(round(options.val_share * len(train)), 1)
        if learnt < 1:
            raise ConfigError(f"data.val_share: leaves no frame of {len(train)} to learn")
        held_back = train.subset(range(learnt, len(train)))
        train = train.subset(range(learnt))
    train = spread(train, options.limit)
    return train, held_back and spread(held_back, options.val_limit)


def _open(options: DataOptions, folder: str, frame_list: str | None, split: str | None) -> FrameSet:
    layout = options.layout or options.spec()
    return open_dataset(folder, layout, frame_list=frame_list, split=split)


def spread(frames: FrameSet, limit: int | None) -> FrameSet:
    """At most `limit` of the frames, from the first to the last at even distances."""
    if limit is None or limit >= len(frames):
        return frames
    return frames.subset(int(i) for i in np.linspace(0, len(frames) - 1, limit))


def focal_ratio(frames: Samples) -> float | None:
    """Focal length of the frames' camera in shorter sides of its picture; None if unknown.

    The first and the last frame are asked; None too where they differ by more than 2 %.
    """
    ratios = []
    for index in (0, len(frames) - 1):
        sample = frames[index]
        if sample.camera is None:
            return None
        ratios.append(math.sqrt(sample.camera.fx * sample.camera.fy) / min(sample.depth.shape))
    return ratios[0] if math.isclose(*ratios, rel_tol=0.02) else None


@dataclass(frozen=True)
class ScaledFrames:
    """Frames at the scale at which the network will see them in use: that of the processor.

    A processor without `short_side` leaves them as they are. Pictures are resampled by its filter,
    depth by its nearest pixel: no two depths are mixed.
    """

    frames: Samples
    processor: GLPNImageProcessor

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def names(self) -> Sequence[str]:
        """One name per frame."""
        return self.frames.names

    def __getitem__(self, index: int, /) -> Sample:
        sample = self.frames[index]
        before = (sample.depth.shape[0], sample.depth.shape[1])
        size = self.processor.input_size(*before)
        if self.processor.short_side is None or size == before:
            return sample
        resample = Image.Resampling(self.processor.resample)
        picture = Image.fromarray(sample.image).resize(size[::-1], resample)
        camera = sample.camera and sample.camera.scaled(before, size)
        depth = nearest(sample.depth, size)
        return replace(sample, image=np.asarray(picture), depth=depth, camera=camera)


@dataclass(frozen=True)
class KeptFrames:
    """Frames that were read once and stay in memory."""

    samples: tuple[Sample, ...]

    @classmethod
    def read(cls, frames: Samples, pause: Callable[[], None]) -> KeptFrames:
        """Read all; `pause` is called before each, and may raise to stop."""
        samples = []
        for index in range(len(frames)):
            pause()
            samples.append(frames[index])
        return cls(tuple(samples))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def names(self) -> Sequence[str]:
        """One name per frame."""
        return tuple(sample.name for sample in self.samples)

    def __getitem__(self, index: int, /) -> Sample:
        return self.samples[index]
