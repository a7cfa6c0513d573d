"""The network on ONNX Runtime: a graph that reads its weights from `model.safetensors`."""

from __future__ import annotations

from collections.abc import Mapping
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
from glpn.engines import graph
from glpn.engines.hardware import usable_cores
from glpn.engines.protocol import EngineSettings
from glpn.engines.trunk import NativeHead, open_folder
from glpn.errors import CheckpointError
from glpn.network.config import GLPNConfig

_LOAD_ERRORS = (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
    UnicodeDecodeError,  # not all error texts are UTF-8
)
_FATAL_ONLY = 4  # level of onnxruntime's log; the exception says what is wrong with a file

# Some versions since 1.24 resolve links and reject weights outside the graph's folder, as in the
# hub's cache. They accept weights from memory. Plain files are mapped, which takes less memory.
_FROM_MEMORY = "add_external_initializers_from_files_in_memory"


class OnnxRuntimeEngine:
    """An engine on the CPU that does not need torch. See `glpn.engines.protocol.Engine`.

    Args:
        session: runs `trunk.onnx` if there is a head, otherwise `model.onnx`.
        config: the configuration of the network.
        folder: named in messages.
        head: turns the trunk's features into metres.
        scale: factor for the metres of `model.onnx`.
    """

    name = "onnxruntime"
    precision = "float32"

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        config: GLPNConfig,
        *,
        folder: Path,
        head: NativeHead | None = None,
        scale: float = 1.0,
    ) -> None:
        self.config = config
        self._session = session
        self._folder = folder
        self._head = head
        self._scale = np.float32(scale)

    @classmethod
    def open(cls, folder: Path, settings: EngineSettings) -> OnnxRuntimeEngine:
        """Load `trunk.onnx` or `model.onnx`, after checking that it fits the files beside it.

        Args:
            folder: holds `config.json`, `model.safetensors` and `model.onnx`.
            settings: `precision` is float32.

        Raises:
            MissingInput: a file is missing.
            ConfigError, CheckpointError: a file is damaged or does not fit the others, or a
                weight is NaN or infinite.
        """
        threads = settings.threads or usable_cores()
        opened = open_folder(folder, max_depth=settings.max_depth)
        session = _session(opened.file, threads)
        metadata = _metadata(session)
        graph_max_depth = graph.require_fit(metadata, opened.file, opened.config)
        scale = opened.config.max_depth / graph_max_depth
        return cls(session, opened.config, folder=folder, head=opened.head(threads), scale=scale)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict metres [B, H, W] from pixels, float32 [B, 3, H, W]."""
        return graph.run_at_any_size(self._run, pixels, self.config, folder=self._folder)

    def _run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        feed = {graph.INPUT: pixels}
        if self._head is not None:
            return self._head(self._session.run([graph.FEATURES], feed)[0])
        depth: NDArray[np.float32] = self._session.run([graph.OUTPUT], feed)[0]
        return depth if self._scale == 1 else depth * self._scale


def _metadata(session: onnxruntime.InferenceSession) -> Mapping[str, str]:
    """The metadata of the graph; empty if it is damaged."""
    try:
        metadata: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError:
        return {}
    return metadata


def _session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _FATAL_ONLY
    # A memory plan for one input size stays allocated until the next size. Without plans a 480×640
    # run peaks at three fifths of the memory and takes the same time.
    options.enable_mem_pattern = False
    data = file.with_name(weights.WEIGHTS_NAME)
    if (file.is_symlink() or data.is_symlink()) and hasattr(options, _FROM_MEMORY):
        content = np.memmap(data, np.uint8, mode="r")  # must outlive the making of the session
        getattr(options, _FROM_MEMORY)([data.name], [content], [content.size])
    try:
        return onnxruntime.InferenceSession(
            str(file),
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # a fallback prints its attempts to standard output
        )
    except _LOAD_ERRORS as e:
        raise CheckpointError(
            f"{file}: onnxruntime cannot load it: it is damaged, or made for other weights than "
            f"{data}: write it anew with `glpn export onnx {file.parent}`"
        ) from e
