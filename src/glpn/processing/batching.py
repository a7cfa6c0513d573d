"""Convert one image or many to a batch: an array, a tensor or a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError, MissingDependency, UsageError
from glpn.image.arrays import is_tensor

if TYPE_CHECKING:
    import torch


class PixelBatch(dict[str, Any]):
    """The result of `preprocess`: a dictionary whose items are also attributes."""

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"PixelBatch has no field {name!r}")

    def to(self, *args: Any, **kwargs: Any) -> PixelBatch:
        """Move or cast the tensors in place, as `torch.Tensor.to` does; returns the batch.

        Only floating-point tensors are cast. Items that are neither tensors nor arrays do not
        change.

        Raises:
            UsageError: it holds arrays, not tensors.
        """
        for key, value in self.items():
            if is_tensor(value):
                whole = not value.is_floating_point()
                self[key] = value.to(_device(args, kwargs)) if whole else value.to(*args, **kwargs)
            elif isinstance(value, (np.ndarray, list)):
                raise UsageError(f"{key}: only tensors move; ask for return_tensors='pt'")
        return self


def _device(args: tuple[object, ...], kwargs: dict[str, object]) -> str | int | torch.device | None:
    """The device among the arguments of `Tensor.to`, or None."""
    import torch

    named = [kwargs.get("device"), *args]
    return next((d for d in named if isinstance(d, (str, int, torch.device))), None)


def as_list(values: Any, *, single_ndim: int) -> list[Any]:
    """A flat list of a collection, nested or stacked; anything else as a list of one."""
    if isinstance(values, (list, tuple)):
        return [item for value in values for item in as_list(value, single_ndim=single_ndim)]
    is_array = isinstance(values, np.ndarray) or is_tensor(values)
    return list(values) if is_array and values.ndim == single_ndim + 1 else [values]


def as_depth(depth: Any) -> NDArray[np.float32]:
    """One depth map in metres; unknown is 0."""
    array = depth.detach().cpu().numpy() if is_tensor(depth) else np.asarray(depth)
    if array.dtype.kind != "f":
        raise DataError(f"depth map: expected metres as floats, got dtype {array.dtype}")
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"depth map: expected shape [H, W], got {array.shape}")
    return np.where(np.isfinite(array) & (array > 0), array, 0).astype(np.float32)


def gather(
    arrays: list[NDArray[np.float32]], return_tensors: str | None, *, empty: tuple[int, ...]
) -> Any:
    """Stack arrays of equal shape into an array or tensor; without any, its shape is `empty`."""
    return_tensors = getattr(return_tensors, "value", return_tensors)  # accepts enumerations
    if return_tensors is None:
        return arrays
    if return_tensors not in ("pt", "np"):
        raise UsageError(f"return_tensors: expected 'pt', 'np' or None, got {return_tensors!r}")
    shapes = dict.fromkeys(str(list(array.shape)) for array in arrays)
    if len(shapes) > 1:
        raise UsageError(
            f"images of a batch must have the same shape, got {', '.join(shapes)}; "
            f"leave return_tensors out for a list, or process them one at a time"
        )
    stacked = np.stack(arrays) if arrays else np.empty((0, *empty), np.float32)
    if return_tensors == "np":
        return stacked
    try:
        import torch
    except ImportError:
        raise MissingDependency("return_tensors='pt' needs torch", extra="torch") from None
    return torch.from_numpy(stacked)


def split_depths(outputs: Any, target_sizes: Any) -> list[tuple[Any, tuple[int, int] | None]]:
    """Each depth map [h, w] of a batch of predictions, with its target size.

    Args:
        outputs: a record or mapping with `predicted_depth` [B, h, w], tensor or array.
        target_sizes: (height, width) or None for each map; None keeps the size of all maps.

    Raises:
        UsageError: there is no such batch, the number of sizes differs, or a size is invalid.
    """
    depths = _predicted(outputs)
    count = len(depths)
    sizes = [None] * count if target_sizes is None else list(target_sizes)
    if len(sizes) != count:
        raise UsageError(f"target_sizes: expected {count}, one per depth map; got {len(sizes)}")
    return [
        (depth, None if size is None else _size(size))
        for depth, size in zip(depths, sizes, strict=True)
    ]


def _predicted(outputs: Any) -> Any:
    is_mapping = isinstance(outputs, Mapping)
    depths = (
        outputs.get("predicted_depth") if is_mapping else getattr(outputs, "predicted_depth", None)
    )
    if getattr(depths, "ndim", None) != 3:
        raise UsageError(
            f"outputs: expected a record with predicted_depth [B, H, W], "
            f"got {type(outputs).__name__} with {getattr(depths, 'shape', None)}"
        )
    return _as_floats(depths)


def _as_floats(depths: Any) -> Any:
    """Integers as float32; floats of any precision unchanged."""
    if is_tensor(depths):
        return depths if depths.is_floating_point() else depths.float()
    return depths if depths.dtype.kind == "f" else depths.astype(np.float32)


def _size(value: Iterable[int]) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in value)
    except (TypeError, ValueError):
        raise UsageError(f"target_sizes: expected (height, width), got {value!r}") from None
    return height, width
