"""`glpn.pipeline`: the estimator behind the call of `transformers.pipeline("depth-estimation")`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glpn.depth.depth import Depth
from glpn.engines.options import DEFAULT_MODEL
from glpn.errors import MissingDependency, MissingInput, UsageError
from glpn.estimator import DepthEstimator, is_many, load

TASK = "depth-estimation"
TENSOR_KINDS = ("pt", "np")

# What code written for transformers also says, and what decides nothing here: photographs are
# predicted one at a time, in float32, by code that the checkpoint does not bring along.
_WITHOUT_EFFECT = frozenset(
    {"batch_size", "dtype", "num_workers", "torch_dtype", "trust_remote_code", "use_fast"}
)


def pipeline(
    task: str = TASK,
    model: str | Path = DEFAULT_MODEL,
    *,
    device: Any = "auto",
    return_tensors: str = "pt",
    **options: Any,
) -> DepthPipeline:
    """A callable that stands in for `transformers.pipeline("depth-estimation")`.

    Args:
        task: "depth-estimation".
        model: as for `glpn.load`.
        device: as for `glpn.load`, a `torch.device`, or, as transformers counts them, -1 for the
            CPU and 0, 1, … for CUDA devices.
        return_tensors: "pt" gives the metres as a torch tensor, as transformers does; "np" as an
            array, without torch.
        **options: those of `glpn.load`; batch_size, dtype, num_workers, torch_dtype,
            trust_remote_code and use_fast are accepted and change nothing.

    Raises:
        UsageError: the task is another one, or the kind of tensor unknown.
        MissingDependency: tensors are wanted and torch is not installed.
    """
    if task != TASK:
        raise UsageError(f"task: glpn knows {TASK!r}, got {task!r}")
    if return_tensors not in TENSOR_KINDS:
        raise UsageError(
            f"return_tensors: expected one of {', '.join(TENSOR_KINDS)}; got {return_tensors!r}"
        )
    if return_tensors == "pt" and find_spec("torch") is None:
        raise MissingDependency(
            "pipeline gives torch tensors: pip install 'glpn[torch]', or say return_tensors='np'"
        )
    kept = {name: value for name, value in options.items() if name not in _WITHOUT_EFFECT}
    estimator = load(model, device=_device(device), **kept)
    return DepthPipeline(estimator, return_tensors=return_tensors)


class DepthPipeline:
    """Photographs in, `{"predicted_depth": metres, "depth": picture}` out.

    Args:
        estimator: what predicts.
        return_tensors: as for `pipeline`.
    """

    task = TASK

    def __init__(self, estimator: DepthEstimator, *, return_tensors: str) -> None:
        self.estimator = estimator
        self.return_tensors = return_tensors

    def __call__(self, inputs: Any = None, *, images: Any = None, **options: Any) -> Any:
        """Estimate depth.

        Args:
            inputs: one photograph, as for `glpn.load(...)`; or a list or an iterator of them.
            images: the same under its older name.
            **options: timeout, and the names without effect of `pipeline`, change nothing.

        Returns:
            For a photograph a dictionary: `predicted_depth`, float32 metres [H, W], and `depth`,
            a PIL picture in 8-bit grey from the nearest (0) to the farthest (255). For a list a
            list of them, for an iterator an iterator.

        Raises:
            UsageError: no photograph, or an unknown option.
            MissingInput: a URL, which is never fetched; or no such file.
            InvalidImage: a photograph cannot be read.
        """
        unknown = sorted(options.keys() - _WITHOUT_EFFECT - {"timeout"})
        if unknown:
            raise UsageError(f"pipeline: unknown option {unknown[0]!r}")
        asked = images if inputs is None else inputs
        if asked is None:
            raise UsageError("pipeline: expected a photograph, or a list of them")
        if not is_many(asked):
            return self._result(asked)
        results = map(self._result, asked)
        return results if isinstance(asked, Iterator) else list(results)

    def _result(self, image: Any) -> dict[str, Any]:
        if isinstance(image, str) and image.startswith(("http://", "https://")):
            raise MissingInput(f"{image}: glpn fetches no pictures; download it and give its path")
        depth: Depth = self.estimator(image)
        return {"predicted_depth": self._tensor(depth), "depth": grey_picture(depth)}

    def _tensor(self, depth: Depth) -> Any:
        metres = depth.metres.copy()  # a Depth's own are read-only
        if self.return_tensors == "np":
            return metres
        import torch

        return torch.from_numpy(metres)


def grey_picture(depth: Depth) -> Image.Image:
    """The 8-bit picture of transformers' pipeline: nearest black, farthest white, cut to whole."""
    metres = depth.metres
    low, high = metres.min(), metres.max()
    share = (metres - low) / max(high - low, np.float32(1e-9))
    return Image.fromarray((share * 255).astype(np.uint8))


def _device(device: Any) -> str:
    """The device under the name that `glpn.load` knows."""
    if isinstance(device, int):
        return "cpu" if device < 0 else f"cuda:{device}"
    return "auto" if device is None else str(device)
