"""The network of a run before its first step, the processor that belongs to it, and its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from glpn import weights
from glpn.errors import ConfigError, UsageError
from glpn.network.config import GLPNConfig
from glpn.network.model import GLPNForDepthEstimation
from glpn.processing.processor import GLPNImageProcessor
from glpn.training.options import ModelOptions
from glpn.training.recipe import Recipe

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
        _load(network.glpn, weights.encoder_state(options.encoder), source=options.encoder)
    return network


def build_processor(
    options: ModelOptions, *, short_side: int | None, focal_ratio: float | None = None
) -> GLPNImageProcessor:
    """The processor that prepares photos for the trained network.

    Args:
        options: a model to start from provides its own processor.
        short_side: the scale of training; if None, that of the model to start from.
        focal_ratio: of the camera that took the frames, if known. The starting model's value does
            not apply: the network learns another camera's metres.

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
        name: of the trained model.
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
