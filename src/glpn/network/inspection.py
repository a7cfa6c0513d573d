"""What one photo does inside the network: encoder maps and the gates of selective fusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glpn.network.decoder import SelectiveFusion
from glpn.network.model import GLPNForDepthEstimation


@dataclass(frozen=True)
class Inspection:
    """The inner maps of one prediction, all float32.

    Attributes:
        maps: the encoder's four maps [C, h, w], at strides 4, 8, 16 and 32.
        gates: the weights of the local and the global map [2, h, w] in 0..1, one for every fusion
            (GLPN, figure 3), at strides 16, 8 and 4; empty for a model without selective fusion.
        metres: the network's output [H, W].
    """

    maps: tuple[NDArray[np.float32], ...]
    gates: tuple[NDArray[np.float32], ...]
    metres: NDArray[np.float32]


def inspect(model: GLPNForDepthEstimation, pixels: NDArray[np.float32]) -> Inspection:
    """Predict the depth of pixels [3, H, W] and keep the inner maps.

    Args:
        model: a model in eval mode.
        pixels: RGB in 0..1.
    """
    gates: list[NDArray[np.float32]] = []

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        gates.append(_array(torch.sigmoid(output[0])))

    fusions = [module for module in model.modules() if isinstance(module, SelectiveFusion)]
    hooks = [fusion.conv3.register_forward_hook(keep) for fusion in fusions]
    batch = torch.from_numpy(pixels)[None].to(model.device, model.dtype)
    try:
        with torch.inference_mode():
            output = model(batch, output_hidden_states=True)
    finally:
        for hook in hooks:
            hook.remove()
    return Inspection(
        maps=tuple(_array(x[0]) for x in output.hidden_states),
        gates=tuple(gates),
        metres=_array(output.predicted_depth[0]),
    )


def _array(x: Tensor) -> NDArray[np.float32]:
    return x.float().cpu().numpy()
