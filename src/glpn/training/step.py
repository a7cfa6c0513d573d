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
from glpn.training.batches import Batch
from glpn.training.checkpoint import TrainState, named_parameters
from glpn.training.distributed import World
from glpn.training.losses import Teacher, batch_sums, fill_unknown, loss_from_sums
from glpn.training.optimiser import set_rate
from glpn.training.options import MixOptions, TeacherOptions
from glpn.training.recipe import Recipe

AUTOCAST = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MAX_NAMES = 16  # frames in an error message
MAX_TARGET = torch.finfo(torch.float32).max
_STEP = 2  # keeps the step's random numbers apart from the order's and the augmentation's

Forward = Callable[..., Any]  # the network, or what torch.compile made of it


@dataclass(frozen=True)
class Update:
    """The result of one step.

    Attributes:
        loss: loss of the batch, the mean over its parts.
        norm: length of the gradient before clipping.
        empty: frames of the batch without a valid pixel; they do not contribute to the loss.
        made: False if no frame had one, so that nothing was updated.
        features: distance between the feature maps and the teacher's; None without a teacher.
    """

    loss: float
    norm: float
    empty: int
    made: bool
    features: float | None = None


class Updater:
    """Makes updates.

    Args:
        state: is updated.
        forward: the network of `state`, possibly compiled.
        recipe: precision, clipping, distillation.
        datasets: options of each dataset, for its loss.
        world: the processes that share the batch.
        teacher: if the recipe names one.
    """

    def __init__(
        self,
        state: TrainState,
        forward: Forward,
        recipe: Recipe,
        datasets: Sequence[MixOptions],
        *,
        world: World,
        teacher: Teacher | None = None,
    ) -> None:
        self._state = state
        self._forward = forward
        self._datasets = datasets
        self._world = world
        self._teacher = teacher
        self._distillation: TeacherOptions = recipe.teacher
        self._precision = recipe.loop.precision
        self._clip = recipe.optimiser.clip_norm or math.inf
        max_depth = float(state.network.config.max_depth)
        self._limit = max_depth if recipe.loop.beyond_max_depth == "ignore" else MAX_TARGET
        parameters = named_parameters(state.network, state.projections).values()
        self._parameters = [p for p in parameters if p.requires_grad]

    def __call__(self, parts: Sequence[Batch], *, rate: float, seed: int) -> Update:
        """Learn from one batch, given in parts, at this learning rate.

        Raises:
            DataError: the loss or its gradient is not finite. The message names the frames;
                nothing has been updated.
        """
        state = self._state
        torch.manual_seed(_step_seed(seed, state.step, self._world.rank))
        set_rate(state.optimiser, rate)
        state.network.train()
        state.optimiser.zero_grad(set_to_none=True)
        loss = pixels = empty = features = 0.0
        for part in parts:
            values = self._backward(part, len(parts))
            loss, pixels, empty = loss + values[0], pixels + values[1], empty + values[2]
            features += values[3]
        learnt = pixels > 0 or features > 0
        norm = self._step(parts) if learnt else 0.0
        state.step += 1
        state.empty += int(empty)
        return Update(
            loss,
            norm,
            int(empty),
            learnt,
            features if self._state.projections is not None else None,
        )

    def _backward(self, part: Batch, parts: int) -> tuple[float, float, float, float]:
        """Add one part's gradient.

        Returns its share of the loss, its valid pixels, its empty frames and its share of the
        feature distance.
        """
        state = self._state
        depth, target, features = self._predict(part)
        own = batch_sums(depth.float(), target, part.sources, self._datasets)
        empty = (target > 0).flatten(1).any(1).logical_not().sum()
        totals = self._world.total(torch.cat((own.flatten(), empty[None], features[None])))
        # The value covers all processes' pixels; the gradient reaches only this process's own.
        sums = own + (totals[:-2].view_as(own) - own.detach())
        loss = loss_from_sums(sums, self._datasets) / parts
        distance = totals[-1] / (self._world.size * parts)
        if state.projections is not None:
            weight = self._distillation.features / (self._world.size * parts)
            loss = loss + weight * (features + (totals[-1] - features.detach()))
        pixels = totals[:-2].view_as(own)[:, 0].sum()
        # One transfer from the device instead of four.
        read = torch.stack((loss.detach(), pixels, totals[-2], distance.detach())).tolist()
        value, count, empties, distances = read
        if not math.isfinite(value):
            raise self._not_finite("loss", value, [part], depth)
        state.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return value, count, empties, distances

    def _predict(self, part: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The network's depth, the target, and the distance to the teacher's feature maps."""
        kind = part.pixels.device.type
        target = _learnable(part.depth, self._limit)
        features = target.new_zeros(())
        with torch.autocast(kind, AUTOCAST[self._precision], enabled=self._precision != "fp32"):
            if self._teacher is None or part.clean is None:
                return self._forward(part.pixels).predicted_depth, target, features
            taught = self._teacher(part.clean)
            output = self._forward(part.pixels, output_hidden_states=True)
            if self._state.projections is not None:
                features = self._state.projections(output.hidden_states, taught.maps)
        filling = _learnable(taught.depth, self._limit)
        return output.predicted_depth, fill_unknown(target, filling), features

    def _step(self, parts: Sequence[Batch]) -> float:
        """Update from the gradients; returns the length of the gradient."""
        state = self._state
        self._world.add_gradients(self._parameters)
        state.scaler.unscale_(state.optimiser)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        value = float(norm)
        # In fp16 an overflow is expected: the scaler skips the step and lowers its scale.
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
        """An error that names the frames whose depth is not finite, or all frames if it all is."""
        names = [name for part in parts for name in part.names]
        if depth is not None:
            sound = torch.isfinite(depth).flatten(1).all(1).tolist()
            names = [n for n, good in zip(names, sound, strict=True) if not good] or names
        every = [name for own in self._world.gather(names) for name in own]
        more = f" and {len(every) - MAX_NAMES} more" if len(every) > MAX_NAMES else ""
        return DataError(
            f"step {self._state.step + 1}: the {what} is {value}: stopped before the update; "
            f"frames: {', '.join(every[:MAX_NAMES])}{more}"
        )


def _learnable(depth: Tensor, limit: float) -> Tensor:
    """The target, with depth beyond the limit set to 0, which means unknown."""
    return torch.where((depth > 0) & (depth <= limit), depth, torch.zeros_like(depth))


def _step_seed(seed: int, step: int, rank: int) -> int:
    """The seed of everything random inside the network during one step."""
    return int(np.random.SeedSequence((seed, step, rank, _STEP)).generate_state(1, np.uint64)[0])
