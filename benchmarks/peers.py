"""Time and memory of other networks for metric depth beside glpn, on this CPU, from one photo.

    python benchmarks/peers.py [--only NAME ...] [--seconds 20]

The peers are built by `transformers` in the shapes of their published configurations, with random
weights: their speed does not depend on the weights, and nothing is downloaded. Each runs in a
process of its own, in float32, at the size that its image processor makes of a 480×640 photo. What
is timed is the network alone. Parameters are counted, so that a reader can compare them with the
published number. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PHOTO = (480, 640)
BACKBONES: dict[str, dict[str, Any]] = {
    "small": dict(hidden_size=384, num_attention_heads=6, out_indices=[3, 6, 9, 12]),
    "base": dict(hidden_size=768, num_attention_heads=12, out_indices=[3, 6, 9, 12]),
}
DECODERS: dict[str, dict[str, Any]] = {
    "small": dict(neck_hidden_sizes=[48, 96, 192, 384], fusion_hidden_size=64),
    "base": dict(neck_hidden_sizes=[96, 192, 384, 768], fusion_hidden_size=128),
}


def depth_anything(size: str) -> Any:
    """Depth Anything V2, metric: DINOv2 under DPT's decoder."""
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
    )

    backbone = Dinov2Config(
        **BACKBONES[size],
        image_size=518,
        patch_size=14,
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=backbone.hidden_size,
        depth_estimation_type="metric",
        max_depth=20,
        **DECODERS[size],
    )
    return DepthAnythingForDepthEstimation(config)


def zoedepth() -> Any:
    """ZoeDepth-N: BEiT-L under DPT's decoder, with metric bins."""
    from transformers import ZoeDepthConfig, ZoeDepthForDepthEstimation

    return ZoeDepthForDepthEstimation(ZoeDepthConfig())


def depth_pro() -> Any:
    """Depth Pro: three DINOv2-L over patches of several scales."""
    from transformers import DepthProConfig, DepthProForDepthEstimation

    return DepthProForDepthEstimation(DepthProConfig(use_fov_model=True))


def glpn_peer(preset: str) -> Any:
    """GLPN of `transformers`."""
    from transformers import GLPNConfig, GLPNForDepthEstimation

    from glpn import GLPNConfig as Own

    return GLPNForDepthEstimation(GLPNConfig(**Own.preset(preset).to_dict()))


class Peer(NamedTuple):
    """A network and the pixels that it sees of the photo."""

    build: Callable[[], Any]
    size: tuple[int, int]


PEERS = {
    "GLPN b4 (as published), transformers": Peer(lambda: glpn_peer("b4"), PHOTO),
    "Depth Anything V2 small, metric": Peer(lambda: depth_anything("small"), (518, 686)),
    "Depth Anything V2 base, metric": Peer(lambda: depth_anything("base"), (518, 686)),
    "ZoeDepth-N": Peer(zoedepth, (384, 512)),
    "Depth Pro": Peer(depth_pro, (1536, 1536)),
}
OWN = {"glpn b0": "b0", "glpn b4": "b4"}


def runs(call: Callable[[], object], seconds: float) -> list[float]:
    """Milliseconds of repeated calls, at least one, after one to warm up."""
    call()
    took: list[float] = []
    end = time.perf_counter() + seconds
    while not took or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        took.append((time.perf_counter() - start) * 1000)
    return took


def measure_peer(peer: Peer, threads: int, seconds: float) -> tuple[list[float], int]:
    """Times of a peer's network, and its number of parameters."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = peer.build().eval()
    pixels = torch.rand(1, 3, *peer.size)
    with torch.inference_mode():
        took = runs(lambda: model(pixels), seconds)
    return took, sum(p.numel() for p in model.parameters())


def measure_own(preset: str, threads: int, seconds: float) -> tuple[list[float], int]:
    """Times of glpn with ONNX Runtime, in float32, and the number of parameters."""
    from latency import picture, predictor

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(  # torch's memory is not that of a prediction
            [sys.executable, "-c", WRITE, folder, preset], check=True, cwd=Path(__file__).parent
        )
        call = predictor("float32 onnxruntime", Path(folder), threads)
        took = runs(lambda: call(picture(1)), seconds)
        count = (Path(folder) / "model.safetensors").stat().st_size // 4
    return took, count


WRITE = "import sys; from pathlib import Path; from latency import write_model; "
WRITE += "write_model(Path(sys.argv[1]), sys.argv[2])"


def child(name: str, threads: int, seconds: float) -> None:
    """Measure one network in this process, print one line of JSON."""
    if name in OWN:
        took, count = measure_own(OWN[name], threads, seconds)
        size = PHOTO
    else:
        took, count = measure_peer(PEERS[name], threads, seconds)
        size = PEERS[name].size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "ms": statistics.median(took),
                "n": len(took),
                "size": size,
                "parameters": count,
                "MB": peak,
            }
        )
    )


def main() -> None:
    """Measure each network in a process of its own and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=[*OWN, *PEERS])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.threads, args.seconds)
        return
    print("| network | parameters | sees | ms | peak MB |\n|---|---|---|---|---|", flush=True)
    for name in args.only or [*OWN, *PEERS]:
        command = [
            sys.executable,
            __file__,
            "--child",
            name,
            "--seconds",
            str(args.seconds),
            "--threads",
            str(args.threads),
        ]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        row = json.loads(done.stdout.splitlines()[-1])
        height, width = row["size"]
        millions = row["parameters"] / 1e6
        print(
            f"| {name} | {millions:.1f}M | {height}×{width} | {row['ms']:.0f} | {row['MB']:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
