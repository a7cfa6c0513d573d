"""The network on ONNX Runtime: `model.onnx`, which reads its weights from `model.safetensors`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
)

from glpn import weights
from glpn.config import GLPNConfig
from glpn.engines import graph, require_finite, require_pixels
from glpn.errors import CheckpointError, MissingInput

_LOAD_ERRORS = (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
)
_FATAL_ONLY = 4  # of onnxruntime's log: what is wrong with a file, the exception says

# Some versions from 1.24 on refuse weights outside the graph's folder, links resolved, as they lie
# in the hub's cache. Those versions take them from memory; plain files they map, which is smaller.
_FROM_MEMORY = "add_external_initializers_from_files_in_memory"


class OnnxRuntimeEngine:
    """An engine that needs no torch; runs on the CPU. See `glpn.engines.Engine`."""

    name = "onnxruntime"

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        config: GLPNConfig,
        *,
        folder: Path,
        scale: float = 1.0,
    ) -> None:
        self.config = config
        self._session = session
        self._folder = folder
        self._scale = np.float32(scale)

    @classmethod
    def open(
        cls, folder: Path, *, threads: int, max_depth: float | None = None
    ) -> OnnxRuntimeEngine:
        """Load `model.onnx`, after checking that it fits the files beside it.

        Args:
            folder: with `config.json`, `model.safetensors` and `model.onnx`.
            threads: CPU threads.
            max_depth: metres at the sigmoid's 1; the configuration's if None.

        Raises:
            MissingInput: a file is not there.
            ConfigError, CheckpointError: a file is damaged or does not fit the others, or a
                weight is NaN or infinite.
        """
        config = GLPNConfig.from_json_file(folder / weights.CONFIG_NAME)
        if max_depth is not None:
            config = config.replace(max_depth=max_depth)
        file = folder / weights.GRAPH_NAME
        if not file.is_file():
            raise MissingInput(f"{file}: no such file; `glpn export onnx {folder}` writes it")
        weights.read_arrays(folder)  # refuses NaN and infinity, which ReLU and sigmoid would hide
        session = _session(folder, threads)
        metadata = session.get_modelmeta().custom_metadata_map
        graph_max_depth = graph.require_fit(metadata, folder, config)
        return cls(session, config, folder=folder, scale=config.max_depth / graph_max_depth)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict depth: float32 [B, 3, H, W] → metres [B, H, W]."""
        require_pixels(pixels, self.config)
        batch, _, height, width = pixels.shape
        if batch == 0:  # onnxruntime cannot reshape what is empty
            return np.empty((0, height, width), np.float32)
        padded = _pad_to_multiple(pixels, self.config.size_divisor)
        feed = {graph.INPUT: np.ascontiguousarray(padded, np.float32)}
        depth: NDArray[np.float32] = self._session.run([graph.OUTPUT], feed)[0]
        reduction = padded.shape[2] // depth.shape[1]  # 1 unless `head_in_index` picks another map
        depth = depth[:, : -(-height // reduction), : -(-width // reduction)]
        require_finite(depth, self._folder)
        return depth if self._scale == 1 else depth * self._scale


def _session(folder: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _FATAL_ONLY
    # Plans made for one input size hold their memory until the next size: without them a 480×640
    # run peaks at three fifths of the memory, in the same time.
    options.enable_mem_pattern = False
    file, data = folder / weights.GRAPH_NAME, folder / weights.WEIGHTS_NAME
    if (file.is_symlink() or data.is_symlink()) and hasattr(options, _FROM_MEMORY):
        content = np.memmap(data, np.uint8, mode="r")  # must outlive the making of the session
        getattr(options, _FROM_MEMORY)([data.name], [content], [content.size])
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as e:
        raise CheckpointError(
            f"{file}: onnxruntime cannot load it: it is damaged, or made for other weights than "
            f"{data}: write it anew with `glpn export onnx {folder}`"
        ) from e


def _pad_to_multiple(pixels: NDArray[np.float32], multiple: int) -> NDArray[np.float32]:
    """Repeat the last row and column until both sides are multiples."""
    height, width = pixels.shape[2:]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return pixels
    return np.pad(pixels, ((0, 0), (0, 0), (0, down), (0, right)), mode="edge")
