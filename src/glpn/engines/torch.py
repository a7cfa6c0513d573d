"""The network on torch, eager, on the CPU or a GPU."""

from __future__ import annotations

import functools
import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from glpn.engines import require_finite, require_pixels
from glpn.errors import UsageError
from glpn.model import GLPNForDepthEstimation

_DRAWING = threading.Lock()  # torch's generators belong to the whole process


class TorchEngine:
    """An engine in float32; on CUDA convolutions follow torch's TF32 setting.

    See `glpn.engines.Engine`.
    """

    name = "torch"

    def __init__(self, model: GLPNForDepthEstimation, *, folder: Path) -> None:
        self.config = model.config
        self._model = model
        self._folder = folder

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        device: str = "auto",
        threads: int | None = None,
        max_depth: float | None = None,
    ) -> TorchEngine:
        """Load `config.json` and `model.safetensors`.

        Args:
            folder: holds both.
            device: "auto", "cpu", "cuda", "cuda:1" or "mps".
            threads: CPU threads, for all of torch in this process; unchanged if None.
            max_depth: metres at the sigmoid's 1; the configuration's if None.

        Raises:
            UsageError: the device is not there.
            MissingInput, ConfigError, CheckpointError: a file is not there, damaged, or does not
                fit the other.
        """
        place = best_device() if device == "auto" else require_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        model = GLPNForDepthEstimation.from_pretrained(
            folder, max_depth=max_depth, dtype=torch.float32
        )
        return cls(model.to(place).requires_grad_(False), folder=folder)

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict depth: float32 [B, 3, H, W] → metres [B, H, W]."""
        return self._run(self._model, pixels)

    def stochastic(
        self, pixels: NDArray[np.float32], count: int, *, seed: int
    ) -> NDArray[np.float32]:
        """Predict at random: [B, 3, H, W] → [count, B, H, W]; see `StochasticEngine`.

        BatchNorm keeps its statistics, and torch's own random state is left as it was.
        """
        device = self._model.device
        own = [device] if device.type == "cuda" else []
        with _DRAWING, torch.random.fork_rng(devices=own):
            torch.manual_seed(seed)
            return np.stack([self._run(self._random, pixels) for _ in range(count)])

    @functools.cached_property
    def _random(self) -> GLPNForDepthEstimation:
        """The network over the same weights, its encoder as in training.

        A network of its own, so that predictions in other threads stay as they are.
        """
        with torch.device("meta"):
            twin = GLPNForDepthEstimation(self.config)
        twin.load_state_dict(self._model.state_dict(), assign=True)
        twin.eval().requires_grad_(False)
        twin.glpn.train()
        return twin

    def _run(
        self, network: GLPNForDepthEstimation, pixels: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        require_pixels(pixels, self.config)
        batch = torch.from_numpy(np.ascontiguousarray(pixels, np.float32))
        batch = batch.to(network.device, memory_format=torch.channels_last)
        with torch.inference_mode():
            output = network(batch, return_dict=True)
        depth: NDArray[np.float32] = output.predicted_depth.cpu().numpy()
        require_finite(depth, self._folder)
        return depth


def best_device() -> str:
    """The fastest kind of device that torch finds here: "cuda", "mps" or "cpu"."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def require_device(device: str) -> str:
    """Refuse a device that torch does not find here.

    Raises:
        UsageError: with the devices that it does find.
    """
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.append("mps")
    if torch.cuda.is_available():
        found += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if device not in found:
        raise UsageError(f"device: torch finds {', '.join(found)} here, not {device!r}")
    return device
