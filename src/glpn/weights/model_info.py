"""Describe a model or a depth file without running anything."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glpn import files, weights
from glpn.errors import CheckpointError, DataError, MissingInput
from glpn.network.config import GLPNConfig
from glpn.weights.store import PICKLE_SUFFIXES

MODEL_SUFFIXES = (".safetensors", ".onnx", *PICKLE_SUFFIXES)
_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class ModelInfo:
    """Facts about a model's folder.

    Attributes:
        folder: path of the model folder.
        config: the network's configuration.
        parameters: number of weights, buffers not counted.
        sha256: of the weights; empty if they are in several files.
        sizes: file → bytes.
        terms: the licence in the card; empty if there is none.
    """

    folder: Path
    config: GLPNConfig
    parameters: int
    sha256: str
    sizes: dict[str, int]
    terms: str

    @classmethod
    def of(cls, folder: Path) -> ModelInfo:
        """Read a folder: the headers of its weights, and the hash of their bytes.

        Raises:
            MissingInput: the configuration or the weights are missing.
            ConfigError, CheckpointError: a file is damaged.
        """
        config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
        whole = folder / weights.WEIGHTS_NAME
        shards = [whole] if whole.is_file() else sorted(folder.glob("*.safetensors"))
        if not shards:
            raise MissingInput(f"{folder}: no {weights.WEIGHTS_NAME} in this folder")
        return cls(
            folder=folder,
            config=config,
            parameters=sum(parameters(weights.read_header(shard)) for shard in shards),
            sha256=weights.file_hash(shards[0]) if len(shards) == 1 else "",
            sizes={file.name: file.stat().st_size for file in sorted(_files(folder))},
            terms=weights.stated_terms(weights.read_card(folder)),
        )

    def record(self) -> dict[str, object]:
        """The facts as JSON types."""
        return {
            "variant": self.config.variant,
            "parameters": self.parameters,
            "max_depth": self.config.max_depth,
            "layer_norm_convention": self.config.layer_norm_convention,
            "sha256": self.sha256,
            "bytes": sum(self.sizes.values()),
            "files": self.sizes,
            "terms": self.terms,
        }


def model_folder(source: str) -> Path:
    """The folder of a model, given by name, by hub id, by path, or by one of its files.

    Raises:
        MissingInput: the model does not exist.
        CheckpointError: the file is a pickle.
    """
    path = Path(source)
    if not path.is_file():
        return weights.resolve(source)
    if path.suffix in PICKLE_SUFFIXES:
        raise CheckpointError(f"{path}: a pickle: run `glpn convert {path} NEW_FOLDER` first")
    return path.parent


def parameters(header: weights.Header) -> int:
    """Number of weights in a file, buffers not counted."""
    return sum(
        math.prod(entry.shape)
        for name, entry in header.tensors.items()
        if not name.endswith(_BUFFERS)
    )


def depth_record(path: Path, *, scale: float | None) -> dict[str, object]:
    """The metadata of a depth file, and the range of its metres.

    Args:
        path: a file that `files.read` reads.
        scale: units per metre, if the file does not say.

    Raises:
        MissingInput, UsageError, DataError, MissingDependency: as `files.read`.
    """
    contents = files.read(path, scale=scale)
    try:
        json.dumps(dict(contents.metadata), allow_nan=False)
    except ValueError:
        raise DataError(f"{path}: metadata: NaN or infinity") from None
    known = contents.metres[contents.metres > 0]
    height, width = contents.metres.shape
    figures = (
        {"min": known.min(), "max": known.max(), "median": np.median(known)} if known.size else {}
    )
    return {
        "height": height,
        "width": width,
        **{name: round(float(value), 4) for name, value in figures.items()},
        "known": round(known.size / contents.metres.size, 4),
        "says": dict(contents.metadata),
    }


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.iterdir() if file.is_file())
