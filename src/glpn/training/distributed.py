"""Several processes as one: sums over all of them, including gradients and BatchNorm.

Started by `torchrun`, each process takes its share of every batch, and all compute the loss of the
whole batch. Gradients are added, not averaged, because each process has those of its own pixels.
The result equals that of one process with the same batch, except for rounding and for dropped paths
and dropout, which each process draws for itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from glpn.errors import ConfigError

_T = TypeVar("_T")


@dataclass(frozen=True)
class World:
    """The processes of a run; this one is number `rank`, on its machine `local_rank`."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> World:
        """The world that `torchrun` describes in the environment; one process without it.

        Raises:
            ConfigError: the variables are not numbers.
        """
        try:
            size = int(os.environ.get("WORLD_SIZE", "1"))
            rank, local = (int(os.environ.get(key, "0")) for key in ("RANK", "LOCAL_RANK"))
        except ValueError as e:
            raise ConfigError(f"WORLD_SIZE, RANK, LOCAL_RANK: expected numbers: {e}") from None
        return cls(rank, size, local)

    @property
    def first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, without a gradient; a new tensor."""
        values = values.detach().clone()
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def largest(self, value: int, device: torch.device) -> int:
        """The largest of all processes' values."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, device=device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor)

    def gather(self, value: _T) -> list[_T]:
        """Every process's value, in all processes, in the order of ranks."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    def add_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Give each process the sum of all processes' gradients."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self.total(torch.cat([gradient.flatten() for gradient in gradients]))
        pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view(gradient.shape))


@contextmanager
def open_world(device: torch.device) -> Iterator[World]:
    """Connect the processes that `torchrun` started; without it, there is one process."""
    world = World.from_environment()
    if world.size == 1:
        yield world
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield world
    finally:
        dist.destroy_process_group()


def synchronise_norms(module: nn.Module) -> None:
    """Replace, in place, every BatchNorm with one that sees the batches of all processes."""
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            synced = SyncedBatchNorm(child.num_features, eps=child.eps, momentum=child.momentum)
            synced.load_state_dict(child.state_dict())
            setattr(module, name, synced)
        else:
            synchronise_norms(child)


class SyncedBatchNorm(nn.BatchNorm2d):
    """BatchNorm over the batch of all processes; each process holds the same number of positions.

    torch's SyncBatchNorm rejects tensors on the CPU. This one runs on both, so tests on the CPU
    cover the code that runs on GPUs.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, H, W]; in eval mode by the running statistics."""
        if not self.training:
            return super().forward(x)
        wide = x.float()
        count = dist.get_world_size() * x.numel() // x.shape[1]
        mean = _sum_over_processes(wide.sum((0, 2, 3))) / count  # [C]
        centred = wide - mean[:, None, None]
        variance = _sum_over_processes(centred.square().sum((0, 2, 3))) / count
        self._track(mean.detach(), variance.detach() * count / max(count - 1, 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        y = centred * scale[:, None, None] + self.bias[:, None, None]
        return y.to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        share = 0.1 if self.momentum is None else self.momentum
        if self.running_mean is not None and self.running_var is not None:
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance, share)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked += 1


def _sum_over_processes(values: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(values)  # type: ignore[no-untyped-call]
    return total


class _SumOverProcesses(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _SumOverProcesses.forward(ctx, gradient)
