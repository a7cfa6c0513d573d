"""Source: the model to export, and the facts stored in every exported file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glpn import __version__, weights
from glpn.engines import graph as contract
from glpn.errors import UsageError
from glpn.network.config import GLPNConfig
from glpn.processing.processor import GLPNImageProcessor

IMAGES = "images"  # the input of an end-to-end file
PIXELS = contract.INPUT  # the input of a file that contains the bare network
DEPTH = contract.OUTPUT

# Runs a file: images uint8 [B, H, W, 3] or pixels float32 [B, 3, h, w] → metres [B, H, W].
Runner = Callable[[np.ndarray], NDArray[np.float32]]


@dataclass(frozen=True)
class Variant:
    """Options of an ONNX file that depend on its run time.

    Attributes:
        opset: ONNX operator set; the default of glpn if None.
        size: fixed (height, width) of the input, with a batch of one; any size if None.
        half: store the weights in float16. Inputs and outputs stay float32.
    """

    opset: int | None = None
    size: tuple[int, int] | None = None
    half: bool = False

    def require_size(self, divisor: int) -> None:
        """Refuse a size that the network does not accept.

        Raises:
            UsageError: a side is not a positive multiple of the divisor.
        """
        if self.size is not None and not all(
            side > 0 and side % divisor == 0 for side in self.size
        ):
            height, width = self.size
            raise UsageError(
                f"--size: expected sides that are multiples of {divisor}, got {height}x{width}"
            )


@dataclass(frozen=True)
class Source:
    """A model's folder, read and checked.

    Attributes:
        folder: holds `config.json` and `model.safetensors`.
        config: the network's configuration.
        header: the header of the weights file.
        processor: scales images; None to export the network without its processing.
    """

    folder: Path
    config: GLPNConfig
    header: weights.Header
    processor: GLPNImageProcessor | None

    @classmethod
    def of(cls, model: str | Path, *, end_to_end: bool = False) -> Source:
        """Read a model.

        Args:
            model: any model that `glpn.load` takes.
            end_to_end: also export resizing and rescaling, so that images of any size become
                metres at the same size.

        Raises:
            MissingInput: the model or one of its files does not exist.
            ConfigError, CheckpointError: a file is damaged or does not match the others.
        """
        folder = weights.resolve(model)
        config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
        file = folder / weights.WEIGHTS_NAME
        header = weights.read_header(file)
        weights.require_match(header.tensors, weights.expected_shapes(config), source=str(file))
        processor = GLPNImageProcessor.from_pretrained(folder) if end_to_end else None
        return cls(folder, config, header, processor)

    @property
    def divisor(self) -> int:
        """The number that divides both sides of an input."""
        return self.config.size_divisor if self.processor is None else 1

    @property
    def input(self) -> str:
        """The name of the exported file's input."""
        return PIXELS if self.processor is None else IMAGES

    def facts(self) -> dict[str, str]:
        """The facts stored in the file, for every format."""
        facts = {
            "glpn_version": __version__,
            "model": self.folder.resolve().name,
            "weights_sha256": weights.file_hash(self.folder / weights.WEIGHTS_NAME),
            "unit": "metres",
            "max_depth": repr(float(self.config.max_depth)),
        }
        terms = weights.stated_terms(weights.read_card(self.folder))
        facts |= {"terms": terms} if terms else {}
        if self.processor is None:
            return {**facts, "size_divisor": str(self.config.size_divisor)}
        facts["size_divisor"] = "1"  # images of any size are accepted
        if self.processor.focal_ratio is not None:
            facts["focal_ratio"] = repr(self.processor.focal_ratio)
        return facts
