"""The network's inference form: the same weights and metres in fewer passes over memory.

`fast(model)` makes it from a `GLPNForDepthEstimation` and does not change that model, which still
serves training, attention outputs and inner maps. The inference form folds BatchNorm into the
convolution before it, computes key and value in one product, and concatenates no maps.
`inference_layers` fuses bias, activation and residual. On a CPU the head runs from the
quarter-size map (`glpn.native`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glpn import native
from glpn.errors import UsageError
from glpn.network.config import PLAIN_ACTIVATIONS, GLPNConfig
from glpn.network.decoder import SelectiveFusion, upsample
from glpn.network.head import DepthHead
from glpn.network.inference_layers import Maker, can_fuse
from glpn.network.model import GLPNForDepthEstimation, pad_to_multiple

_USUAL_ROWS = 480 * 640 // 16  # positions in the first stage; decides the layout of weights
_MAX_SCORES = 8_000_000  # 16 MB in half precision; a 480×640 photo has 5.8 million


def supports(config: GLPNConfig) -> bool:
    """Whether a network has an inference form: full-size map, an activation without weights."""
    return config.head_in_index in (-1, 3) and config.hidden_act in PLAIN_ACTIVATIONS


def fast(model: GLPNForDepthEstimation, *, dtype: torch.dtype = torch.float32) -> FastDepth:
    """The inference form of a model, on its device, with copies of its weights.

    Args:
        model: is not changed; later changes of its weights have no effect.
        dtype: float32; or bfloat16 or float16, where the processor is fast in it. The metres
            are always float32.

    Raises:
        UsageError: the head takes an inner map, see `supports`.
    """
    if not supports(model.config):
        raise UsageError(f"fast: no inference form with head_in_index {model.config.head_in_index}")
    with torch.no_grad():
        return FastDepth(model, dtype)


class FastDepth(nn.Module):
    """Maps pixels to metres, only for inference; `fast` makes it."""

    def __init__(self, model: GLPNForDepthEstimation, dtype: torch.dtype) -> None:
        super().__init__()
        self.config = model.config
        self.dtype = dtype
        on_cpu = model.device.type == "cpu"
        make = Maker(dtype, fused=on_cpu and can_fuse(dtype))
        stages: list[Any] = list(model.glpn.encoder.stages)
        rows = [_USUAL_ROWS // 4**i for i in range(len(stages))]
        act = self.config.hidden_act
        self._encoder = [_Stage(s, make, act, rows=n) for s, n in zip(stages, rows, strict=True)]
        self._decoder = [_DecoderStage(stage, make) for stage in model.decoder.stages]
        fits = self.config.decoder_hidden_size % native.CHANNEL_MULTIPLE == 0
        compiled = on_cpu and fits and native.available()
        self._head = _NativeHead(model.head) if compiled else _PlainHead(model.head, make)

    def forward(self, pixels: Tensor) -> Tensor:
        """Map [B, 3, H, W] in 0..1, of any size, to metres, float32 [B, H, W]."""
        batch, _, height, width = pixels.shape
        if batch == 0:  # oneDNN's operators take no empty maps
            return pixels.new_empty((0, height, width), dtype=torch.float32)
        x = pad_to_multiple(pixels, self.config.size_divisor)
        x = x.to(self.dtype, memory_format=torch.channels_last)
        maps = []
        for stage in self._encoder:
            x = stage(x)
            maps.append(x)
        x = self._decoder[0](maps.pop(), None)
        for decoder_stage in self._decoder[1:]:
            x = decoder_stage(maps.pop(), upsample(x))
        return self._head(x)[:, :height, :width]


class _Stage:
    """One scale of the encoder: [B, C_in, H, W] → [B, C, H/s, W/s], channels last in memory."""

    def __init__(self, stage: Any, make: Maker, activation: str, *, rows: int) -> None:
        self.embed = make.convolution(stage.embed.proj)
        self.embed_norm = make.norm(stage.embed.norm)
        self.blocks = [_Block(block, make, activation, rows=rows) for block in stage.blocks]
        self.norm = make.norm(stage.norm)

    def __call__(self, x: Tensor) -> Tensor:
        x = self.embed_norm(_last(self.embed(x)))  # [B, H, W, C]
        for block in self.blocks:
            x = block(x)
        return _second(self.norm(x))


class _Block:
    """A transformer block on [B, H, W, C]."""

    def __init__(self, block: Any, make: Maker, activation: str, *, rows: int) -> None:
        self.norm1, self.norm2 = make.norm(block.norm1), make.norm(block.norm2)
        self.attention = _Attention(block.attention, make, rows=rows)
        self.expand = make.linear(block.ffn.expand, rows=rows)
        self.depthwise = make.convolution(block.ffn.depthwise, activation=activation)
        self.shrink = make.linear(block.ffn.shrink, rows=rows)

    def __call__(self, x: Tensor) -> Tensor:
        x = self.attention(self.norm1(x), x)
        hidden = self.expand(self.norm2(x))  # [B, H, W, rC]
        hidden = _last(self.depthwise(_second(hidden)))
        return self.shrink(hidden, x)


class _Attention:
    """Attention over the reduced map, with the residual."""

    def __init__(self, attention: Any, make: Maker, *, rows: int) -> None:
        self.heads = attention.heads
        self.reduce = None
        if attention.reduce is not None:
            self.reduce = make.convolution(attention.reduce)
            self.reduce_norm = make.norm(attention.reduce_norm)
            rows //= attention.reduce.stride[0] ** 2
        self.query = make.linear(attention.query, rows=rows)
        self.key_value = make.linear(attention.key, attention.value, rows=rows)
        self.output = make.linear(attention.output, rows=rows)

    def __call__(self, x: Tensor, residual: Tensor) -> Tensor:
        """Fuse two [B, H, W, C] maps into one of the same shape."""
        context = x
        if self.reduce is not None:
            context = self.reduce_norm(_last(self.reduce(_second(x))))  # [B, H/sr, W/sr, C]
        batch, _, _, channels = x.shape
        size = channels // self.heads
        query = self.query(x).view(batch, -1, self.heads, size).transpose(1, 2)
        both = self.key_value(context).view(batch, -1, 2, self.heads, size)
        key, value = both.permute(2, 0, 3, 1, 4)  # [B, heads, M, C/heads]
        mixed = _mix(query, key, value)
        return self.output(mixed.transpose(1, 2).reshape(x.shape), residual)


def _mix(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of [B, heads, N, d] over [B, heads, M, d].

    In half precision on a CPU oneDNN's products are quicker than torch's attention, as long as the
    scores are few: they are stored.
    """
    batch, heads, positions, size = query.shape
    scores = batch * heads * positions * key.shape[2]
    if query.dtype == torch.float32 or query.is_cuda or scores > _MAX_SCORES:
        return F.scaled_dot_product_attention(query, key, value)
    flat = [x.reshape(batch * heads, -1, size) for x in (query * size**-0.5, key, value)]
    weights = torch.bmm(flat[0], flat[1].transpose(1, 2)).softmax(-1)  # [B·heads, N, M]
    return torch.bmm(weights, flat[2]).view(query.shape)


class _DecoderStage:
    """One scale of the decoder, without the doubling at its end."""

    def __init__(self, stage: Any, make: Maker) -> None:
        same = isinstance(stage.project, nn.Identity)
        self.project = None if same else make.convolution(stage.project)
        self.selective = isinstance(stage.fusion, SelectiveFusion)
        if self.selective:
            fusion = stage.fusion
            self.of_local, self.of_both = make.halves(
                fusion.conv1, norm=fusion.norm1, activation="relu"
            )
            self.conv2 = make.convolution(fusion.conv2, norm=fusion.norm2, activation="relu")
            self.conv3 = make.convolution(fusion.conv3)

    def __call__(self, local: Tensor, context: Tensor | None) -> Tensor:
        """Fuse [B, C_in, h, w] with the deeper stage's doubled [B, C, h, w] into [B, C, h, w]."""
        if self.project is not None:
            local = self.project(local)
        if context is None:
            return local
        if not self.selective:
            return local + context
        x = self.of_both(context, self.of_local(local))  # [B, C, h, w]
        gates = torch.sigmoid(self.conv3(self.conv2(x)))  # [B, 2, h, w]
        return (local * gates[:, :1]).addcmul_(context, gates[:, 1:])


class _NativeHead:
    """The head on the CPU from the quarter-size map."""

    def __init__(self, head: DepthHead) -> None:
        layers = (head.conv1.weight, head.conv1.bias, head.conv2.weight, head.conv2.bias)
        arrays = [value.detach().float().cpu().numpy() for value in layers]  # type: ignore[union-attr]
        self.weights = native.HeadWeights.of(*arrays, max_depth=head.max_depth)

    def __call__(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to metres [B, 4h, 4w]."""
        if x.dtype not in (torch.float32, torch.bfloat16):
            x = x.float()
        x = _last(x.detach())
        features = (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()
        threads = torch.get_num_threads()
        return torch.from_numpy(native.depth_head(features, self.weights, threads=threads))


class _PlainHead:
    """The head in plain torch operators."""

    def __init__(self, head: DepthHead, make: Maker) -> None:
        self.conv1 = make.convolution(head.conv1, activation="relu")
        self.conv2 = make.convolution(head.conv2)
        self.max_depth = head.max_depth

    def __call__(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to metres [B, 4h, 4w]."""
        x = self.conv2(self.conv1(upsample(upsample(x))))
        return torch.sigmoid(x.float()).squeeze(1) * self.max_depth


def _last(x: Tensor) -> Tensor:  # [B, C, H, W] → [B, H, W, C], the same memory
    return x.permute(0, 2, 3, 1)


def _second(x: Tensor) -> Tensor:  # [B, H, W, C] → [B, C, H, W], the same memory
    return x.permute(0, 3, 1, 2)
