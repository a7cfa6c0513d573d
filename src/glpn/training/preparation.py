"""The network, its processor and the data of a run, prepared before its first step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from glpn import weights
from glpn.data.frames import WARNING_NOTE, FrameSet
from glpn.data.probing import range_warning
from glpn.data.sample import Samples
from glpn.errors import ConfigError, UsageError
from glpn.evaluation.protocols import Protocol, protocol
from glpn.network.config import GLPNConfig
from glpn.network.model import GLPNForDepthEstimation
from glpn.processing.processor import GLPNImageProcessor
from glpn.training.batches import (
    BatchLoader,
    ReadingLoader,
    ResidentLoader,
    Sampler,
    Share,
    consecutive,
)
from glpn.training.data import (
    Callbacks,
    Dataset,
    JoinedFrames,
    KeptFrames,
    MappedFrames,
    canonical,
    check_frames,
    focal_ratio,
    open_datasets,
    scaled,
)
from glpn.training.distributed import World
from glpn.training.options import ModelOptions
from glpn.training.reading import Reader
from glpn.training.recipe import Recipe
from glpn.training.validation import Validator
from glpn.weights.foreign import encoder_state

_SEVERAL_CAMERAS = (
    "the datasets do not have one known focal length: the model will not scale its depth to the "
    "camera of a photo; data.focal_ratio=RATIO trains for one camera"
)
FULL_SIZE_HEADS = (-1, 3)  # values of head_in_index that give depth at the size of the image


def build_network(options: ModelOptions, *, seed: int) -> GLPNForDepthEstimation:
    """The network with its first weights: from a whole model, from an encoder, or random.

    Raises:
        MissingInput, ConfigError, CheckpointError: the model or encoder to start from is missing,
            damaged, or of another shape.
    """
    folder = None if options.start is None else weights.resolve(options.start)
    config = options.network() if folder is None else _config(folder, options)
    if config.head_in_index not in FULL_SIZE_HEADS:
        raise ConfigError(f"head_in_index: training needs -1 or 3, got {config.head_in_index}")
    torch.manual_seed(seed)
    network = GLPNForDepthEstimation(config)
    if folder is not None:
        state = weights.to_memory_names(weights.read_tensors(folder), prefix="")
        _load(network, state, source=str(options.start))
    elif options.encoder is not None:
        _load(network.glpn, encoder_state(options.encoder), source=options.encoder)
    return network


def build_processor(
    options: ModelOptions, *, short_side: int | None, focal_ratio: float | None = None
) -> GLPNImageProcessor:
    """The processor that prepares photos for the trained network.

    Args:
        options: a model to start from provides its own processor.
        short_side: the scale of training; if None, that of the model to start from.
        focal_ratio: ratio of the camera that took the frames, if known. The starting model's value
            does not apply: the network learns another camera's metres.

    Raises:
        UsageError: the model to start from normalises its input.
    """
    processor = GLPNImageProcessor()
    if options.start is not None:
        folder = weights.resolve(options.start)
        if (folder / weights.PROCESSOR_NAME).is_file():
            processor = GLPNImageProcessor.from_pretrained(folder)
    if processor.do_normalize or not processor.do_rescale:
        raise UsageError(f"{options.start}: training takes RGB / 255, its processor does not")
    chosen = processor.short_side if short_side is None else short_side
    learnt = {"short_side": chosen, "focal_ratio": focal_ratio}
    return GLPNImageProcessor.from_dict({**processor.to_dict(), **learnt})


def inherited_card(recipe: Recipe, name: str) -> str | None:
    """A model card that passes on the terms of the models that the recipe starts or learns from.

    Args:
        recipe: names them.
        name: the trained model's name.
    """
    named = (recipe.model.start, recipe.model.encoder, recipe.teacher.model)
    sources = {
        source: Path(source) if Path(source).exists() else weights.resolve(source)
        for source in named
        if source is not None
    }
    return weights.inherited_card(name, sources, "Trained")


def _config(folder: Path, options: ModelOptions) -> GLPNConfig:
    config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
    try:
        return config.replace(**options.config)
    except ConfigError as e:
        raise ConfigError(f"model.config: {e}") from None


def _load(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    weights.require_match(state, expected, source=source)
    # Copied, not assigned: the tensors of fresh and resumed runs then have the same layout in
    # memory, and no kernel sums in another order.
    module.load_state_dict(state)


@dataclass(frozen=True)
class TrainingData:
    """The data of a run.

    Attributes:
        datasets: the training datasets.
        sampler: draws from the first dataset and counts the epochs.
        steps: updates of the whole run.
        loader: loads the batches.
        processor: prepares photos for the trained model.
        held_out: the frames to validate on, if any.
        validator: scores the network on them.
    """

    datasets: Sequence[Dataset]
    sampler: Sampler
    steps: int
    loader: BatchLoader
    processor: GLPNImageProcessor
    held_out: FrameSet | None
    validator: Validator | None

    @property
    def labelled(self) -> tuple[FrameSet, ...]:
        """The sets of frames whose files hold depth, and the frames held out."""
        found = [dataset.labelled for dataset in self.datasets]
        return tuple(frames for frames in (*found, self.held_out) if frames is not None)

    @property
    def frames_hash(self) -> str:
        """SHA-256 (hex) of the names of all frames: of each dataset, and of those held out."""
        sets = [dataset.frames.names for dataset in self.datasets]
        sets.append(self.held_out.names if self.held_out is not None else ())
        return hashlib.sha256(json.dumps(sets).encode()).hexdigest()


def prepare_data(
    recipe: Recipe, world: World, device: torch.device, *, max_depth: float, callbacks: Callbacks
) -> TrainingData:
    """Open and check the frames and, if the recipe says so, read all of them.

    Raises:
        ConfigError, MissingInput, DataError, InvalidImage: frames are missing or unusable, or
            cannot be shared by these processes; the message names them.
    """
    recipe = replace(recipe, augment=replace(recipe.augment, max_depth=max_depth))
    datasets, held_out = open_datasets(recipe.data, recipe.loop.batch)
    labelled = [dataset.labelled for dataset in datasets if dataset.labelled is not None]
    notes = [
        note for frames in (*labelled, *([held_out] if held_out else [])) for note in frames.notes
    ]
    for frames in labelled:
        beyond = range_warning(frames, max_depth)
        notes += [f"{WARNING_NOTE}{frames.name}: {beyond}"] if beyond else []
    for note in dict.fromkeys(notes):
        callbacks.log(note)
    if recipe.run.doctor and world.first:
        check_frames(datasets, held_out, callbacks)
    ratio = recipe.data.focal_ratio
    if ratio is None:
        ratio = focal_ratio(labelled)
        if ratio is None and len(labelled) > 1:
            callbacks.log(_SEVERAL_CAMERAS)
    processor = build_processor(recipe.model, short_side=recipe.data.short_side, focal_ratio=ratio)
    samplers = consecutive([(len(d.frames), d.count) for d in datasets], recipe.loop.seed)
    share = Share(samplers, recipe.loop.accumulate, world.rank, world.size)
    validator = None
    if held_out is not None:
        rules = _rules(recipe.loop.protocol, max_depth)
        scored = _one_camera(held_out, recipe.data.focal_ratio)
        validator = Validator(scored, rules, processor, samples=recipe.run.samples)
    return TrainingData(
        datasets=datasets,
        sampler=samplers[0],
        steps=recipe.loop.steps or samplers[0].steps(recipe.loop.epochs),
        loader=_loader(recipe, datasets, share, processor, device, callbacks),
        processor=processor,
        held_out=held_out,
        validator=validator,
    )


def _rules(name: str, max_depth: float) -> Protocol:
    """The protocol, limited to the network's range."""
    rules = protocol(name)
    return rules.replace(max_depth=max_depth) if max_depth < rules.max_depth else rules


def _one_camera(frames: Samples, ratio: float | None) -> Samples:
    return frames if ratio is None else MappedFrames(frames, partial(canonical, ratio=ratio))


def _loader(
    recipe: Recipe,
    datasets: Sequence[Dataset],
    share: Share,
    processor: GLPNImageProcessor,
    device: torch.device,
    callbacks: Callbacks,
) -> BatchLoader:
    joined = datasets[0].frames
    if len(datasets) > 1:
        joined = JoinedFrames(tuple(dataset.frames for dataset in datasets))
    joined = _one_camera(joined, recipe.data.focal_ratio)
    frames: Samples = MappedFrames(joined, partial(scaled, processor=processor))
    keep, workers = recipe.data.keep, recipe.run.workers
    if keep != "disk":
        frames = KeptFrames.read(frames, callbacks.pause)
    if keep == "device":
        return ResidentLoader(frames, recipe.augment, share, device=device)
    firsts = zip(share.samplers, datasets, strict=True)
    aspects = tuple((sampler.first, dataset.options.aspect) for sampler, dataset in firsts)
    reader = Reader(
        frames,
        recipe.augment,
        recipe.loop.seed,
        clean=recipe.teacher.model is not None,
        aspects=aspects if any(aspect != (1.0, 1.0) for _, aspect in aspects) else (),
    )
    if keep == "memory":  # each process would need its own copy
        return ReadingLoader(reader, share, device=device, threads=max(workers, 1))
    return ReadingLoader(reader, share, device=device, processes=workers)
