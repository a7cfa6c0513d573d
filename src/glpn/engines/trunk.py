"""A run time computes the trunk (`trunk.onnx`), `glpn.native` the head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glpn import native, weights
from glpn.engines.graph import has_trunk
from glpn.errors import MissingInput
from glpn.network.config import GLPNConfig


class NativeHead:
    """The network's head over the features of `trunk.onnx`.

    Args:
        arrays: the weights under their names on disk.
        config: the configuration of the network.
        threads: CPU threads.
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[np.floating]], config: GLPNConfig, *, threads: int
    ) -> None:
        weight1, bias1, weight2, bias2 = (
            np.asarray(arrays[f"head.head.{name}"], np.float32)
            for name in ("0.weight", "0.bias", "2.weight", "2.bias")
        )
        self._weights = native.HeadWeights.of(
            weight1, bias1, weight2, bias2, max_depth=config.max_depth
        )
        self._threads = threads

    def __call__(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map features [B, h, w, C], float32 or bfloat16 as uint16, to metres [B, 4h, 4w]."""
        return native.depth_head(features, self._weights, threads=self._threads)


@dataclass(frozen=True)
class GraphFolder:
    """A model's folder, as a run time for graphs needs it.

    Attributes:
        file: the graph to run: `trunk.onnx` if the native head fits it, else `model.onnx`.
        config: the configuration of the network.
        arrays: the weights under their names on disk.
    """

    file: Path
    config: GLPNConfig
    arrays: Mapping[str, NDArray[np.floating]]

    def head(self, threads: int) -> NativeHead | None:
        """The head that follows a trunk; None for a whole graph. The graph must fit the weights."""
        if self.file.name != weights.TRUNK_NAME:
            return None
        return NativeHead(self.arrays, self.config, threads=threads)


def open_folder(folder: Path, *, max_depth: float | None) -> GraphFolder:
    """Read everything but the graph from a model's folder.

    The whole graph runs if the folder has no trunk, if no kernel was compiled for this machine, or
    if the network's head does not fit the kernel.

    Args:
        folder: holds `config.json`, `model.safetensors` and `model.onnx`.
        max_depth: metres at the sigmoid's 1; the configuration's if None.

    Raises:
        MissingInput: a file is missing.
        ConfigError, CheckpointError: a file is damaged, or a weight is NaN or infinite.
    """
    weights.require_intact(folder)
    config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
    if max_depth is not None:
        config = config.replace(max_depth=max_depth)
    file = folder / weights.GRAPH_NAME
    if not file.is_file():
        raise MissingInput(f"{file}: no such file; `glpn export onnx {folder}` writes it")
    arrays = weights.read_arrays(folder)  # rejects NaN and infinity, which ReLU would hide
    trunk = folder / weights.TRUNK_NAME
    if trunk.is_file() and has_trunk(config) and native.available():
        file = trunk
    return GraphFolder(file, config, arrays)
