"""Training steps per second: glpn against transformers' GLPN under the same loop.

    python benchmarks/train_throughput.py [--preset b0] [--batch 4] [--size 448x576] [--rounds 5]

One step is forward, SiLog, backward and an Adam update on a random batch. The variants take turns,
so that a slow moment of the machine hits all of them; the table holds medians over the rounds.
`transformers` runs as its documentation shows (eager, float32), and once more in bfloat16.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch

from glpn import GLPNConfig, GLPNForDepthEstimation


def theirs(config: GLPNConfig) -> torch.nn.Module:
    """The reference implementation with this configuration."""
    from transformers import GLPNConfig as ReferenceConfig
    from transformers import GLPNForDepthEstimation as Reference

    depths, widths = list(config.depths), list(config.hidden_sizes)
    model: torch.nn.Module = Reference(ReferenceConfig(depths=depths, hidden_sizes=widths))
    return model


def stepper(
    model: torch.nn.Module, pixels: torch.Tensor, labels: torch.Tensor, *, half: bool
) -> Callable[[], None]:
    """One training step of a model, as a function without arguments."""
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-5)
    context = torch.autocast("cpu", torch.bfloat16) if half else nullcontext()

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with context:
            loss = model(pixels, labels=labels).loss
        loss.backward()
        optimiser.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="b0")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--size", default="448x576")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    height, width = map(int, arguments.size.split("x"))
    torch.manual_seed(0)
    config = GLPNConfig.preset(arguments.preset)
    pixels = torch.rand(arguments.batch, 3, height, width)
    labels = 1 + 8 * torch.rand(arguments.batch, height, width)
    nhwc = torch.channels_last

    def ours() -> torch.nn.Module:
        model = GLPNForDepthEstimation(config)
        model.to(memory_format=nhwc)  # type: ignore[call-overload]
        return model

    variants = {
        "transformers float32": stepper(theirs(config), pixels, labels, half=False),
        "transformers bfloat16": stepper(theirs(config), pixels, labels, half=True),
        "glpn float32": stepper(ours(), pixels.to(memory_format=nhwc), labels, half=False),
        "glpn bfloat16": stepper(ours(), pixels.to(memory_format=nhwc), labels, half=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for step in variants.values():
        step()  # allocate
    for _ in range(arguments.rounds):
        for name, step in variants.items():
            began = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - began)
    slowest = statistics.median(seconds["transformers float32"])
    rows = []
    for name, values in seconds.items():
        median = statistics.median(values)
        rate, ratio = arguments.batch / median, slowest / median
        rows.append({"variant": name, "images_per_s": round(rate, 3), "ratio": round(ratio, 2)})
        spread = f"{min(values):.2f}-{max(values):.2f} s"
        print(f"{name:22} {rate:6.2f} images/s  {ratio:5.2f}x  ({spread} a step)")
    print(json.dumps({**vars(arguments), "threads": torch.get_num_threads(), "rows": rows}))


if __name__ == "__main__":
    main()
