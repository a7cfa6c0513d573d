"""The network on torch, on the CPU or a GPU, in its inference form where it has one."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glpn.engines.hardware import cpu_features
from glpn.engines.protocol import EngineSettings, require_finite, require_pixels
from glpn.errors import UsageError, require_choice
from glpn.network import inference
from glpn.network.model import GLPNForDepthEstimation

_Predict = Callable[[Tensor], Tensor]
_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_DRAWING = threading.Lock()  # torch's random generators are shared by the whole process


class _Threads:
    """Whether torch may use several threads: not after a fork of a process in which it ran.

    A fork copies only the thread that forks. torch's other threads are missing in the child, and a
    computation that waits for them never ends.
    """

    used = False  # an engine has run in this process, or in the one that forked it
    single = False

    @classmethod
    def after_fork(cls) -> None:
        if cls.used:
            cls.single = True
            torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Threads.after_fork)


class TorchEngine:
    """An engine in float32 or bfloat16. On CUDA, convolutions follow torch's TF32 setting.

    See `glpn.engines.protocol.Engine`.

    Args:
        model: a model in eval mode; the engine may predict from copies of its weights.
        folder: the model's origin, for messages.
        precision: "float32" or "bfloat16".

    Raises:
        UsageError: the precision is unknown, or the network computes only float32 (see
            `glpn.network.inference.supports`).
    """

    name = "torch"

    def __init__(
        self, model: GLPNForDepthEstimation, *, folder: Path, precision: str = "float32"
    ) -> None:
        self.config = model.config
        self._model = model
        self._folder = folder
        self.precision = precision
        self._process = os.getpid()
        self._predict = _predictor(model, precision)

    @classmethod
    def open(cls, folder: Path, settings: EngineSettings) -> TorchEngine:
        """Load `config.json` and `model.safetensors`.

        Args:
            folder: contains both.
            settings: `threads` holds for all of torch in this process, except after a fork, where
                there is one; `concurrency` has no effect: torch runs one prediction at a time.

        Raises:
            UsageError: the device or the precision is unavailable.
            MissingInput, ConfigError, CheckpointError: a file is missing, damaged, or does not
                fit the other.
        """
        device = settings.device
        device = best_device() if device == "auto" else require_device(device)
        if settings.threads is not None and not _Threads.single:
            torch.set_num_threads(settings.threads)
        model = GLPNForDepthEstimation.from_pretrained(
            folder,
            max_depth=settings.max_depth,
            dtype=torch.float32,
            allow_new_head=False,
        )
        model = model.to(device).requires_grad_(False)
        return cls(model, folder=folder, precision=settings.precision)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict metres [B, H, W] from pixels, float32 [B, 3, H, W]."""
        return self._run(self._predict, pixels)

    @property
    def device(self) -> torch.device:
        """The device that predicts."""
        return self._model.device

    def stochastic(
        self, pixels: NDArray[np.float32], count: int, *, seed: int
    ) -> NDArray[np.float32]:
        """Predict at random: [B, 3, H, W] → [count, B, H, W]; see `StochasticEngine`.

        BatchNorm keeps its statistics, and torch's own random state is unchanged.
        """
        device = self._model.device
        own = [device] if device.type == "cuda" else []
        with _DRAWING, torch.random.fork_rng(devices=own):
            torch.manual_seed(seed)
            predict = functools.partial(_metres, self._random)
            return np.stack([self._run(predict, pixels) for _ in range(count)])

    @functools.cached_property
    def _random(self) -> GLPNForDepthEstimation:
        """A second network over the same weights, with its encoder in training mode.

        Predictions in other threads keep using the first one, which stays in eval mode.
        """
        with torch.device("meta"):
            twin = GLPNForDepthEstimation(self.config)
        twin.load_state_dict(self._model.state_dict(), assign=True)
        twin.eval().requires_grad_(False)
        twin.glpn.train()
        return twin

    def _run(self, predict: _Predict, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        require_pixels(pixels, self.config)
        self._require_own_process()
        _Threads.used = True
        batch = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
        batch = batch.to(self._model.device, memory_format=torch.channels_last)
        with torch.inference_mode():
            depth: NDArray[np.float32] = predict(batch).cpu().numpy()
        require_finite(depth, self._folder)
        return depth

    def _require_own_process(self) -> None:
        """Refuse a GPU in a forked process, where CUDA does not work.

        Raises:
            UsageError: the model is on a GPU and was opened before a fork.
        """
        if self._model.device.type != "cpu" and self._process != os.getpid():
            raise UsageError("engine torch: open the model after the fork to use a GPU")


def _predictor(model: GLPNForDepthEstimation, precision: str) -> _Predict:
    """The model's inference form, or the model itself if it has none."""
    require_choice("precision", precision, _TYPES)
    if inference.supports(model.config) and model.device.type in ("cpu", "cuda"):
        return inference.fast(model, dtype=_TYPES[precision])
    if precision != "float32":
        raise UsageError(f"precision: this network runs only in float32 here; got {precision}")
    return functools.partial(_metres, model)


def _metres(network: GLPNForDepthEstimation, pixels: Tensor) -> Tensor:
    """Map [B, 3, H, W] to [B, H, W]."""
    depth: Tensor = network(pixels, return_dict=True).predicted_depth
    return depth


def computes_bfloat16() -> bool:
    """Whether this machine has a GPU, or a CPU that multiplies bfloat16 faster than float32."""
    return best_device() == "cuda" or bool({"avx512_bf16", "amx_bf16"} & cpu_features())


def matrix_product(
    matrix: NDArray[np.float32], precision: str, threads: int
) -> Callable[[], object]:
    """The product of a matrix with itself in a precision, for `roofline`."""
    torch.set_num_threads(threads)
    factor = torch.from_numpy(matrix).to(_TYPES[precision])
    return lambda: factor @ factor


def best_device() -> str:
    """The fastest kind of device that torch finds: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def require_device(device: str) -> str:
    """Refuse a device that torch does not find.

    Raises:
        UsageError: the message lists the devices that it finds.
    """
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.append("mps")
    if torch.cuda.is_available():
        found += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if device not in found:
        raise UsageError(f"device: torch finds {', '.join(found)} here, not {device!r}")
    return device
