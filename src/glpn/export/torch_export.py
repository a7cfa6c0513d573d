"""A `torch.export` program (.pt2), which needs only torch to load and run."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from glpn.estimator import MAX_INPUT_PIXELS, SMALLEST_DEPTH
from glpn.export.model_source import IMAGES, PIXELS, Runner, Source
from glpn.export.onnx_image import require_exportable
from glpn.export.writer import Format
from glpn.network.model import GLPNForDepthEstimation
from glpn.processing.processor import GLPNImageProcessor

_FILTERS = {Image.Resampling.BILINEAR: "bilinear", Image.Resampling.BICUBIC: "bicubic"}

# With one tile per side, the first stage attends to a single reduced row, and torch would export a
# program for only that case.
_FEWEST_TILES = 2
_MOST_TILES = 2**16


def program_format() -> Format:
    """The format of torch's file, for torch 2.7 and later."""
    return Format((".pt2",), build, encode, opened)


def build(source: Source) -> torch.export.ExportedProgram:
    """The network traced with batch, height and width free.

    Raises:
        UsageError: as `require_exportable`.
    """
    network = GLPNForDepthEstimation.from_pretrained(source.folder, dtype=torch.float32)
    network.requires_grad_(False)
    batch = torch.export.Dim("batch")
    if source.processor is not None:
        require_exportable(source.config, source.processor)
        whole = EndToEnd(network, source.processor).eval()
        example = torch.zeros(2, 120, 160, 3, dtype=torch.uint8)
        free = torch.export.Dim.DYNAMIC
        return torch.export.export(
            whole, (example,), dynamic_shapes={IMAGES: {0: batch, 1: free, 2: free}}
        )
    divisor = source.config.size_divisor
    rows = torch.export.Dim("rows", min=_FEWEST_TILES)
    columns = torch.export.Dim("columns", min=_FEWEST_TILES)
    pixels = torch.zeros(2, source.config.num_channels, 4 * divisor, 3 * divisor)
    return torch.export.export(
        Network(network).eval(),
        (pixels,),
        dynamic_shapes={PIXELS: {0: batch, 2: divisor * rows, 3: divisor * columns}},
    )


class Network(nn.Module):
    """Map pixels [B, 3, H, W] to metres [B, H, W], as a plain tensor."""

    def __init__(self, network: GLPNForDepthEstimation) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: Tensor) -> Tensor:
        """Run the network on float32 pixels in 0..1, both sides multiples of the divisor."""
        depth: Tensor = self.network(pixel_values, return_dict=True).predicted_depth
        return depth


class EndToEnd(nn.Module):
    """Map images uint8 RGB [B, H, W, 3] to metres [B, H, W]: the estimator's steps in torch."""

    def __init__(self, network: GLPNForDepthEstimation, processor: GLPNImageProcessor) -> None:
        super().__init__()
        self.network = Network(network)
        self.processor = processor
        self.max_depth = float(network.config.max_depth)

    def forward(self, images: Tensor) -> Tensor:
        """Predict images of any size of at least one pixel."""
        height, width = images.shape[1:3]
        depth = self.network(self.pixels(images))  # [B, h, w]
        low, high = depth.amin((1, 2), keepdim=True), depth.amax((1, 2), keepdim=True)
        x = F.interpolate(depth[:, None], size=(height, width), mode="bicubic")[:, 0]
        x = torch.minimum(torch.maximum(x, low), high)  # the curve overshoots at edges
        return x.clamp(SMALLEST_DEPTH, self.max_depth)  # [B, H, W]

    def pixels(self, images: Tensor) -> Tensor:
        """`GLPNImageProcessor.pixels`, for a batch: float32 [B, 3, h, w]."""
        processor = self.processor
        size = self.input_size(*images.shape[1:3])
        filter_ = _FILTERS[Image.Resampling(processor.resample)]
        x = images.permute(0, 3, 1, 2)  # [B, 3, H, W]
        x = F.interpolate(x, size=size, mode=filter_, antialias=True).float()
        if processor.do_rescale:
            x = x * processor.rescale_factor
        if processor.do_normalize:
            mean, std = (
                torch.tensor(values.tolist())[:, None, None] for values in processor.statistics(3)
            )
            x = (x - mean) / std
        return x

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """`GLPNImageProcessor.input_size` with tensors, so that the program can compute it."""
        processor = self.processor
        divisor = processor.size_divisor
        most = min(MAX_INPUT_PIXELS, processor.max_pixels or MAX_INPUT_PIXELS)
        size = torch.tensor([height, width], dtype=torch.float64)
        if processor.short_side is not None:
            size = torch.round(size * (processor.short_side / size.min()))
        shrink = torch.sqrt(most / size.prod()).clamp(max=1)
        size = torch.floor(size * shrink)
        tiles = torch.floor(size / divisor).clamp(min=1)
        crowded = tiles.prod() * divisor**2 > most
        longest = max(most // divisor**2, 1)
        tiles = torch.where(crowded, tiles.clamp(max=longest), tiles)
        rows, columns = tiles.to(torch.int64).tolist()
        for count in (rows, columns):
            torch._check(count >= 1)  # type: ignore[no-untyped-call]
            torch._check(count <= _MOST_TILES)  # type: ignore[no-untyped-call]
        return rows * divisor, columns * divisor


def encode(program: torch.export.ExportedProgram, facts: Mapping[str, str]) -> list[bytes]:
    """The file's bytes, with each fact as one of its `extra_files`."""
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files=dict(facts))
    return [stream.getvalue()]


def opened(contents: Sequence[bytes]) -> Runner:
    """Open the file in torch, without glpn's modules."""
    module = torch.export.load(io.BytesIO(contents[0])).module()

    def run(batch: np.ndarray) -> NDArray[np.float32]:
        with torch.inference_mode():
            depth: NDArray[np.float32] = module(torch.from_numpy(batch)).numpy()
        return depth

    return run
