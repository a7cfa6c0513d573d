"""The frames of a run: opened, split, checked, and scaled to the network's scale."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
from PIL import Image

from glpn.data.datasets import open_dataset
from glpn.data.doctor import check
from glpn.data.frames import IMAGE_SUFFIXES, FrameSet, plural
from glpn.data.sample import Sample, Samples
from glpn.errors import ConfigError, DataError, MissingInput
from glpn.image.photo import read_photo
from glpn.processing.processor import GLPNImageProcessor
from glpn.processing.resize import nearest
from glpn.training.options import DataOptions, MixOptions

_CHECKED = 32  # frames per dataset that are checked before a run


@dataclass(frozen=True)
class Callbacks:
    """How long preparations report: `log` a sentence, and `pause`, which may raise to stop."""

    log: Callable[[str], None]
    pause: Callable[[], None]


@dataclass(frozen=True)
class Dataset:
    """One dataset of a run.

    Attributes:
        frames: the training frames.
        count: number of its frames in every batch.
        options: its loss and how its photos are changed.
    """

    frames: Samples
    count: int
    options: MixOptions

    @property
    def labelled(self) -> FrameSet | None:
        """The frames, if their files hold depth."""
        return self.frames if isinstance(self.frames, FrameSet) else None


def open_datasets(options: DataOptions, batch: int) -> tuple[list[Dataset], FrameSet | None]:
    """The datasets to learn from, and the frames held out, if any. No image is decoded.

    Raises:
        ConfigError: the recipe names no folder, or no frame is left for training.
        MissingInput, DataError: as for `open_dataset`.
    """
    if options.mix:
        held_out = _validation_set(options)
        mixed = [_mixed(source, options, held_out) for source in options.mix.values()]
        return mixed, held_out and spread(held_out, options.val_limit)
    train, held_out = open_frames(options)
    return [Dataset(train, batch, MixOptions(folder=train.name, count=batch))], held_out


def open_frames(options: DataOptions) -> tuple[FrameSet, FrameSet | None]:
    """The frames of a single dataset to learn from, and those held out, if any.

    Raises:
        ConfigError: the recipe names no folder, or no frame is left for training.
        MissingInput, DataError: as for `open_dataset`.
    """
    if options.train is None:
        raise ConfigError("data.train: the recipe does not set it; add data.train=FOLDER")
    train = _open(options, options.train, options.train_list, options.train_split)
    held_out = _validation_set(options)
    train = _without_listed(train, options, held_out)
    if held_out is None and options.val_share > 0:
        learnt = len(train) - max(round(options.val_share * len(train)), 1)
        if learnt < 1:
            raise ConfigError(f"data.val_share: no frame of {len(train)} is left for training")
        held_out = train.subset(range(learnt, len(train)))
        train = train.subset(range(learnt))
    return spread(train, options.limit), held_out and spread(held_out, options.val_limit)


def spread(frames: FrameSet, limit: int | None) -> FrameSet:
    """At most `limit` of the frames, evenly spaced from the first to the last."""
    if limit is None or limit >= len(frames):
        return frames
    return frames.subset(int(i) for i in np.linspace(0, len(frames) - 1, limit))


def check_frames(
    datasets: Sequence[Dataset], held_out: FrameSet | None, callbacks: Callbacks
) -> None:
    """Check some frames of each dataset.

    Raises:
        DataError: it found errors.
    """
    for dataset in datasets:
        if dataset.labelled is None:
            continue
        report = check(
            dataset.labelled, held_out, limit=_CHECKED, progress=lambda _: callbacks.pause()
        )
        for finding in report.findings:
            callbacks.log(str(finding))
        if report.errors:
            raise DataError(
                f"{dataset.labelled.name}: {'; '.join(map(str, report.errors))}; `glpn data check` "
                "gives the details, run.doctor=false trains nevertheless"
            )


def focal_ratio(sets: Sequence[Samples]) -> float | None:
    """Focal length of the frames' camera in units of the image's shorter side; None if unknown.

    It is taken from the first and the last frame of each set; None, too, if some differ by more
    than 2 %: the network then learns the metres of no single camera.
    """
    ratios = [_focal_ratio(frames[index]) for frames in sets for index in (0, len(frames) - 1)]
    known = [ratio for ratio in ratios if ratio is not None]
    if not known or len(known) < len(ratios):
        return None
    return known[0] if math.isclose(min(known), max(known), rel_tol=0.02) else None


def _focal_ratio(sample: Sample) -> float | None:
    if sample.camera is None:
        return None
    focal: float = math.sqrt(sample.camera.fx * sample.camera.fy)
    return focal / float(min(sample.depth.shape))


def _mixed(source: MixOptions, options: DataOptions, held_out: FrameSet | None) -> Dataset:
    if not source.labels:
        return Dataset(PhotoFrames.of(source.folder, source.limit), source.count, source)
    frames = open_dataset(source.folder, source.layout, frame_list=source.list, split=source.split)
    frames = _without_listed(frames, options, held_out)
    return Dataset(spread(frames, source.limit), source.count, source)


def _validation_set(options: DataOptions) -> FrameSet | None:
    """All frames that a folder, a list or a split holds out, without the limit."""
    if options.val is None and options.val_list is None and options.val_split is None:
        return None
    folder = options.val or options.train
    if folder is None:
        raise ConfigError("data.val: a mix of datasets needs a folder to validate on")
    return _open(options, folder, options.val_list, options.val_split)


def _without_listed(frames: FrameSet, options: DataOptions, held_out: FrameSet | None) -> FrameSet:
    """The frames that neither `data.val_list` nor `data.val_split` holds out; adds a note.

    Raises:
        ConfigError: none is left.
    """
    listed = options.val_list is not None or options.val_split is not None
    if not listed or held_out is None or not Path(frames.name).samefile(held_out.name):
        return frames
    kept_back = {frame.image.relative_to(held_out.name) for frame in held_out.frames}
    images = [frame.image.relative_to(frames.name) for frame in frames.frames]
    left = [index for index, image in enumerate(images) if image not in kept_back]
    if len(left) == len(frames):
        return frames
    if not left:
        raise ConfigError("data.val_list, data.val_split: no frame is left for training")
    note = f"{frames.name}: {plural(len(frames) - len(left), 'frame')} held out from training"
    return replace(frames.subset(left), notes=(*frames.notes, note))


def _open(options: DataOptions, folder: str, frame_list: str | None, split: str | None) -> FrameSet:
    layout = options.layout or options.spec()
    return open_dataset(folder, layout, frame_list=frame_list, split=split)


@dataclass(frozen=True)
class PhotoFrames:
    """Photos without depth: their samples have a depth of 0, which means unknown."""

    files: tuple[Path, ...]

    @classmethod
    def of(cls, folder: str, limit: int | None) -> PhotoFrames:
        """The photos in a folder and its subfolders, sorted by name, without hidden files.

        Raises:
            MissingInput: the folder contains no photo.
        """
        files = (p for p in Path(folder).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        paths = sorted(path for path in files if path.name[0] != ".")
        if not paths:
            raise MissingInput(f"{folder}: no photo in this folder")
        if limit is not None and limit < len(paths):
            paths = [paths[int(i)] for i in np.linspace(0, len(paths) - 1, limit)]
        return cls(tuple(paths))

    def __len__(self) -> int:
        return len(self.files)

    @property
    def names(self) -> Sequence[str]:
        """One name per photo."""
        return tuple(str(path) for path in self.files)

    def __getitem__(self, index: int, /) -> Sample:
        image = read_photo(self.files[index]).pixels
        return Sample(str(self.files[index]), image, np.zeros(image.shape[:2], np.float32))


@dataclass(frozen=True)
class JoinedFrames:
    """The frames of several datasets, numbered one after another."""

    sets: tuple[Samples, ...]

    def __len__(self) -> int:
        return sum(map(len, self.sets))

    @property
    def names(self) -> Sequence[str]:
        """One name per frame."""
        return tuple(name for frames in self.sets for name in frames.names)

    def __getitem__(self, index: int, /) -> Sample:
        ends = list(accumulate(map(len, self.sets)))
        number = bisect_right(ends, index)
        return self.sets[number][index - (ends[number] - len(self.sets[number]))]


@dataclass(frozen=True)
class MappedFrames:
    """Frames that `change` alters when they are read; other processes get it by pickling."""

    frames: Samples
    change: Callable[[Sample], Sample]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def names(self) -> Sequence[str]:
        """One name per frame."""
        return self.frames.names

    def __getitem__(self, index: int, /) -> Sample:
        return self.change(self.frames[index])


def canonical(sample: Sample, ratio: float) -> Sample:
    """The sample with the depth that one camera would see in the same image.

    A camera with a focal length of r times the image's shorter side sees the same image of a scene
    at ratio / r times the depth (Yin et al. 2023, Metric3D, section 3.1). A sample without a camera
    keeps its depth.
    """
    own = _focal_ratio(sample)
    if own is None:
        return sample
    return replace(sample, depth=sample.depth * np.float32(ratio / own), camera=None)


def scaled(sample: Sample, processor: GLPNImageProcessor) -> Sample:
    """The sample at the scale that the processor uses in prediction.

    A processor without `short_side` leaves it as it is. The image is resampled with the processor's
    filter, and depth with the nearest pixel, so that no two depths are blended.
    """
    before = (sample.depth.shape[0], sample.depth.shape[1])
    size = processor.input_size(*before)
    if processor.short_side is None or size == before:
        return sample
    resample = Image.Resampling(processor.resample)
    image = Image.fromarray(sample.image).resize(size[::-1], resample)
    camera = sample.camera and sample.camera.scaled(before, size)
    depth = nearest(sample.depth, size)
    return replace(sample, image=np.asarray(image), depth=depth, camera=camera)


@dataclass(frozen=True)
class KeptFrames:
    """Frames that are read once and stay in memory."""

    samples: tuple[Sample, ...]

    @classmethod
    def read(cls, frames: Samples, pause: Callable[[], None]) -> KeptFrames:
        """Read all frames. `pause` is called before each and may raise to stop."""
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
