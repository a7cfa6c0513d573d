"""Latency, throughput and memory of glpn's engines beside `transformers` GLPN, eager, float32.

    python benchmarks/latency.py [--models b0,b4] [--batches 1,4] [--rounds 3] [--threads 2]

Every case runs in a process of its own, as users run it: import, open, two calls to warm up, then
calls for a few seconds. Cases alternate, round after round, and a ratio compares medians of one
round. Pictures are 480×640; weights are random, none left at its initial value. "tuned" is the
same process under an allocator that keeps its memory in huge pages instead of giving it back to
the system after each call. Everything measured goes into benchmarks/results/latency.json; what an
earlier run found of other models and batches stays there.

Quick (bfloat16) runs here whether or not these weights would pass `glpn gate`: random ones tell
its speed, and its deviation on trained ones is measured there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIZE = (480, 640)
RESULTS = Path(__file__).parent / "results" / "latency.json"
TUNED = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
PEER = "transformers"
# name → engine and precision
CASES = {
    PEER: None,
    "exact onnxruntime": ("onnxruntime", "float32"),
    "exact openvino": ("openvino", "float32"),
    "exact torch": ("torch", "float32"),
    "quick openvino": ("openvino", "bfloat16"),
    "quick torch": ("torch", "bfloat16"),
}


def write_model(folder: Path, preset: str) -> None:
    """Random weights that `transformers` and all engines read, with their graphs."""
    import torch

    from glpn import GLPNConfig, GLPNForDepthEstimation
    from glpn.export.onnx import write_graph

    network = GLPNForDepthEstimation(GLPNConfig.preset(preset))
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif value.is_floating_point():
            value += 0.05 * torch.randn(value.shape, generator=generator)
    network.save_pretrained(folder)
    write_graph(folder)


def picture(batch: int) -> np.ndarray:
    """Smooth structure with edges and a little noise, float32 [B, 3, H, W] in 0..1."""
    from PIL import Image

    rng = np.random.default_rng(1)
    pictures = []
    for _ in range(batch):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        image = np.array(coarse.resize(SIZE[::-1], Image.Resampling.BICUBIC), np.float32) / 255
        image[200:330, 100:300] *= 0.5
        image += 0.03 * rng.standard_normal(image.shape, np.float32)
        pictures.append(image.clip(0, 1).transpose(2, 0, 1))
    return np.ascontiguousarray(np.stack(pictures), np.float32)


def predictor(case: str, folder: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """What the case calls: pixels [B, 3, H, W] → metres [B, H, W]."""
    if case == PEER:
        import torch
        from transformers import GLPNForDepthEstimation

        torch.set_num_threads(threads)
        model = GLPNForDepthEstimation.from_pretrained(folder).eval()

        def run(pixels: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return model(torch.from_numpy(pixels)).predicted_depth.numpy()

        return run
    from glpn.engines import open_candidate
    from glpn.engines.choice import Candidate

    return open_candidate(folder, Candidate(*CASES[case]), threads=threads)


def child(case: str, folder: Path, batch: int, *, threads: int, seconds: float) -> None:
    """Measure one case in this process, print one line of JSON."""
    pixels = picture(batch)
    began = time.perf_counter()
    predict = predictor(case, folder, threads)
    opened = time.perf_counter() - began
    depth = predict(pixels)
    predict(pixels)
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        began = time.perf_counter()
        predict(pixels)
        times.append(time.perf_counter() - began)
    np.save(folder / f"{case} {batch}.npy", depth)
    print(json.dumps({"open_s": opened, "times_s": times, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """The most memory that this process had at a time (getrusage counts its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def measure(
    folder: Path, batch: int, *, rounds: int, threads: int, seconds: float, cases: list[str]
) -> dict[str, object]:
    """All cases of one model and one batch, alternating; name → what was found."""
    runs: dict[str, list[dict]] = {
        f"{case}{tuned}": [] for case in cases for tuned in ("", ", tuned")
    }
    for _ in range(rounds):
        for name, found in runs.items():
            case, _, tuned = name.partition(", ")
            command = [sys.executable, __file__, "--child", case, "--folder", str(folder)]
            command += ["--batches", str(batch), "--threads", str(threads)]
            command += ["--seconds", str(seconds)]
            environment = {**os.environ, **(TUNED if tuned else {})}
            done = subprocess.run(command, check=True, capture_output=True, env=environment)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    expected = np.load(folder / f"{PEER} {batch}.npy")
    return {name: summary(name, runs, folder, batch, expected) for name in runs}


def summary(
    name: str, runs: dict[str, list[dict]], folder: Path, batch: int, expected: np.ndarray
) -> dict[str, object]:
    """Milliseconds for an image, ratios to the peer, memory, deviation."""
    case = name.partition(", ")[0]
    medians = [statistics.median(run["times_s"]) for run in runs[name]]
    ratios = {}
    for peer in (PEER, f"{PEER}, tuned"):
        theirs = [statistics.median(run["times_s"]) for run in runs[peer]]
        pairs = sorted(a / b for a, b in zip(theirs, medians, strict=True))
        ratios[peer] = {
            "median": statistics.median(pairs),
            "lowest": pairs[0],
            "highest": pairs[-1],
        }
    times = np.concatenate([run["times_s"] for run in runs[name]]) / batch * 1000
    depth = np.load(folder / f"{case} {batch}.npy")
    deviation = np.abs(depth - expected) / expected
    return {
        "image_ms": statistics.median(medians) / batch * 1000,
        "quartiles_ms": np.percentile(times, [25, 75]).tolist(),
        "calls": len(times),
        "times_as_fast": ratios,
        "open_s": statistics.median(run["open_s"] for run in runs[name]),
        "peak_mb": max(run["peak_mb"] for run in runs[name]),
        "deviation": {"mean": float(deviation.mean()), "max": float(deviation.max())},
        "rounds": runs[name],
    }


def keep(key: str, found: dict[str, object], threads: int) -> None:
    """Put one model's and batch's figures into the results."""
    from importlib.metadata import version

    packages = ("glpn", "transformers", "torch", "onnxruntime", "openvino")
    values = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    values[key] = {
        "when": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": f"{platform.machine()}, {threads} threads",
        "versions": {name: version(name) for name in packages},
        "cases": found,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(values, indent=1) + "\n")


def show(key: str, found: dict[str, dict]) -> None:
    print(f"\n{key}: 480×640")
    print(
        f"{'':26} {'ms/image':>9} {'× HF':>7} {'× tuned HF':>11} {'MB':>6} "
        f"{'mean, max deviation':>22}"
    )
    for name, row in found.items():
        ratios = [row["times_as_fast"][peer]["median"] for peer in (PEER, f"{PEER}, tuned")]
        mean, most = row["deviation"]["mean"], row["deviation"]["max"]
        print(
            f"{name:26} {row['image_ms']:9.1f} {ratios[0]:7.2f} {ratios[1]:11.2f} "
            f"{row['peak_mb']:6.0f} {mean:12.1e} {most:9.1e}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="b0,b4")
    parser.add_argument("--batches", default="1,4")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="of calls for each case")
    parser.add_argument("--cases", default=",".join(CASES), help=f"{PEER} is always there")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="keep the models there, to use them again")
    arguments = parser.parse_args()
    options = {"threads": arguments.threads, "seconds": arguments.seconds}
    batches = [int(text) for text in arguments.batches.split(",")]
    if arguments.child:
        child(arguments.child, arguments.folder, batches[0], **options)
        return
    cases = list(dict.fromkeys([PEER, *arguments.cases.split(",")]))
    with tempfile.TemporaryDirectory() as temporary:
        for preset in arguments.models.split(","):
            folder = (arguments.folder or Path(temporary)) / preset
            if not (folder / "model.onnx").is_file():
                write_model(folder, preset)
            for batch in batches:
                found = measure(folder, batch, rounds=arguments.rounds, cases=cases, **options)
                keep(f"{preset}, batch {batch}", found, arguments.threads)
                show(f"{preset}, batch {batch}", found)


if __name__ == "__main__":
    main()
