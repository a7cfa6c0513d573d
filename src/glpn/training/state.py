"""The state of a run between two steps, into and out of a checkpoint.

There is no state of random number generators: order, augmentation and dropped paths are functions
of the seed and the step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import glpn
from glpn.errors import CheckpointError
from glpn.network.model import GLPNForDepthEstimation
from glpn.training.checkpoint import Checkpoint
from glpn.training.ema import Average


@dataclass
class TrainState:
    """Everything that changes from step to step.

    Attributes:
        network, average, optimiser, scaler: what learns; `average` None where it is off.
        step: updates done.
        validated: the step of the last validation, -1 before the first.
        best: the best score so far, smaller is better; `stale` validations came after it.
        empty: frames met so far that had no valid pixel.
        saved: `step` and `validated` of the last checkpoint: what it holds is on the disk.
    """

    network: GLPNForDepthEstimation
    average: Average | None
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    validated: int = -1
    best: float = math.inf
    stale: int = 0
    empty: int = 0
    saved: tuple[int, int] | None = None

    @property
    def exported(self) -> GLPNForDepthEstimation:
        """The network that is validated and exported: the average, where there is one."""
        return self.network if self.average is None else self.average.network

    def checkpoint(self, **values: Any) -> Checkpoint:
        """All of it, with further JSON values."""
        tensors = _prefixed("network", self.network.state_dict())
        if self.average is not None:
            tensors |= _prefixed("average", self.average.network.state_dict())
        for name, parameter in self.network.named_parameters():
            moments = self.optimiser.state.get(parameter, {})
            tensors |= _prefixed(f"optimiser.{name}", moments)
        return Checkpoint(
            self.step,
            tensors,
            {
                "glpn": glpn.__version__,
                "torch": torch.__version__,
                "step": self.step,
                "validated": self.validated,
                "best": None if math.isinf(self.best) else self.best,
                "stale": self.stale,
                "empty": self.empty,
                "scaler": self.scaler.state_dict(),
                **values,
            },
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become what a checkpoint holds.

        Raises:
            CheckpointError: it is of another network.
        """
        tensors = dict(checkpoint.tensors)
        try:
            self.network.load_state_dict(_taken("network", tensors))
            if self.average is not None:
                self.average.network.load_state_dict(_taken("average", tensors))
        except RuntimeError as e:
            raise CheckpointError(f"step {checkpoint.step}: of another network: {e}") from None
        for name, parameter in self.network.named_parameters():
            moments = _taken(f"optimiser.{name}", tensors)
            if moments:
                self.optimiser.state[parameter] = {
                    key: _laid_out_like(parameter, value) for key, value in moments.items()
                }
        values = checkpoint.values
        self.scaler.load_state_dict(values["scaler"])
        self.step, self.validated = values["step"], values["validated"]
        self.best = math.inf if values["best"] is None else values["best"]
        self.stale, self.empty = values["stale"], values["empty"]
        self.saved = (self.step, self.validated)


def _prefixed(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}:{name}": value for name, value in state.items()}


def _taken(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one prefix, without it."""
    start = f"{prefix}:"
    return {
        name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)
    }


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """A moment in its parameter's memory format, so that sums are taken in the same order."""
    if value.shape != parameter.shape:  # the count of updates
        return value.to(parameter.device)
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
