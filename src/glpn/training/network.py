"""The network of a run as it is before the first step, and the processor that goes with it."""

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

_WHOLE_SIZE = (-1, 3)  # values of head_in_index whose depth has the size of the image


def build_network(options: ModelOptions, *, seed: int) -> GLPNForDepthEstimation:
    """The network with its first weights: a whole model's, an encoder's and random ones, or random.

    Raises:
        MissingInput, ConfigError, CheckpointError: what it should start from is not there,
            damaged, or of another shape.
    """
    folder = None if options.start is None else weights.resolve(options.start)
    config = options.network() if folder is None else _config(folder, options)
    if config.head_in_index not in _WHOLE_SIZE:
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
    """How photographs will be prepared for the trained network.

    Args:
        options: a model to start from brings its processor.
        short_side: the scale of training; that of the model to start from if None.
        focal_ratio: of the camera that took the frames, if there is one: not that of the model to
            start from, which learns another camera's metres now.

    Raises:
        UsageError: the model to start from normalises its input in its own way.
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


def _config(folder: Path, options: ModelOptions) -> GLPNConfig:
    config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
    try:
        return config.replace(**options.config)
    except ConfigError as e:
        raise ConfigError(f"model.config: {e}") from None


def _load(module: nn.Module, state: Mapping[str, Tensor], *, source: str) -> None:
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    weights.require_match(state, expected, source=source)
    # Copied, not assigned: whether a run is fresh or resumed, its tensors lie in memory alike, and
    # so no kernel has a reason to sum in another order.
    module.load_state_dict(state)
