"""One update: forward and backward over the parts of a batch, then the optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glpn.errors import DataError
from glpn.network.loss import log_difference_sums, silog_from_sums
from glpn.training.feed import Batch
from glpn.training.optimiser import set_rate
from glpn.training.parallel import World
from glpn.training.state import TrainState

AUTOCAST = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_CHANCE = 2  # sets the step's random numbers apart from the order's and the augmentation's
_NAMED = 16  # frames in an error message


@dataclass(frozen=True)
class Update:
    """What one step did.

    Attributes:
        loss: SiLog of the batch, the mean over its parts.
        norm: length of the gradient before clipping.
        empty: frames of the batch without a valid pixel; they carry no loss.
        made: False where no frame had one, and nothing was updated.
    """

    loss: float
    norm: float
    empty: int
    made: bool


class Updater:
    """Makes updates.

    Args:
        state: what is updated.
        forward: the network of `state`, compiled perhaps.
        world: the processes that share the batch.
        precision: "fp32", "bf16" or "fp16".
        clip_norm: longest gradient; 0 is any.
    """

    def __init__(
        self,
        state: TrainState,
        forward: Callable[[Tensor], Any],
        world: World,
        *,
        precision: str,
        clip_norm: float,
    ) -> None:
        self._state = state
        self._forward = forward
        self._world = world
        self._precision = precision
        self._clip = clip_norm or math.inf
        self._parameters = [p for p in state.network.parameters() if p.requires_grad]

    def __call__(self, parts: Sequence[Batch], *, rate: float, seed: int) -> Update:
        """Learn from one batch, which `parts` are of, at this rate.

        Raises:
            DataError: the loss or its gradient is not finite; the frames are named, and nothing
                has been updated.
        """
        state = self._state
        torch.manual_seed(_chance(seed, state.step, self._world.rank))
        set_rate(state.optimiser, rate)
        state.network.train()
        state.optimiser.zero_grad(set_to_none=True)
        loss = pixels = empty = 0.0
        for part in parts:
            share, counted, hollow = self._backward(part, len(parts))
            loss, pixels, empty = loss + share, pixels + counted, empty + hollow
        if pixels > 0:
            norm = self._step(parts)
        state.step += 1
        state.empty += int(empty)
        return Update(loss, norm if pixels > 0 else 0.0, int(empty), pixels > 0)

    def _backward(self, part: Batch, parts: int) -> tuple[float, float, float]:
        """Add one part's gradient; its share of the loss, its valid pixels, its empty frames."""
        state = self._state
        kind = part.pixels.device.type
        with torch.autocast(kind, AUTOCAST[self._precision], enabled=self._precision != "fp32"):
            depth = self._forward(part.pixels).predicted_depth
        target = _learnable(part.depth, state.network.config.max_depth)
        own = log_difference_sums(depth.float(), target)
        empty = (target > 0).flatten(1).any(1).logical_not().sum()
        totals = self._world.total(torch.cat((own, empty[None])))
        # The value is that of all processes' pixels, the gradient flows to this one's own.
        loss = silog_from_sums(own + (totals[:3] - own.detach())) / parts
        # One transfer from the device, not three.
        value, count, empties = torch.stack((loss.detach(), totals[0], totals[3])).tolist()
        if not math.isfinite(value):
            raise self._not_finite("loss", value, [part], depth)
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return value, count, empties

    def _step(self, parts: Sequence[Batch]) -> float:
        """Update from the gradients; returns their length."""
        state = self._state
        self._world.add_gradients(self._parameters)
        state.scaler.unscale_(state.optimiser)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        value = float(norm)
        # In fp16 an overflow is part of the method: the scaler skips the step and scales less.
        if not math.isfinite(value) and not state.scaler.is_enabled():
            raise self._not_finite("gradient", value, parts)
        if value > self._clip:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, self._clip, norm)
        state.scaler.step(state.optimiser)
        state.scaler.update()
        if state.average is not None:
            state.average.update(state.network, state.step)
        return value if math.isfinite(value) else 0.0

    def _not_finite(
        self, what: str, value: float, parts: Sequence[Batch], depth: Tensor | None = None
    ) -> DataError:
        """The error that names the frames: those whose own depth is not finite, or else all."""
        names = [name for part in parts for name in part.names]
        if depth is not None:
            sound = torch.isfinite(depth).flatten(1).all(1).tolist()
            names = [n for n, good in zip(names, sound, strict=True) if not good] or names
        every = [name for own in self._world.gather(names) for name in own]
        more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
        return DataError(
            f"step {self._state.step + 1}: the {what} is {value}: stopped before the update; "
            f"frames: {', '.join(every[:_NAMED])}{more}"
        )


def _learnable(depth: Tensor, max_depth: float) -> Tensor:
    """The target with everything the network cannot say set to 0, which means unknown."""
    return torch.where((depth > 0) & (depth <= max_depth), depth, torch.zeros_like(depth))


def _chance(seed: int, step: int, rank: int) -> int:
    """The seed of all that is random inside the network during one step."""
    return int(np.random.SeedSequence((seed, step, rank, _CHANCE)).generate_state(1, np.uint64)[0])
