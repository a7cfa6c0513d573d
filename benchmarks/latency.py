"""Latency, throughput and memory of glpn's engines beside `transformers` GLPN, eager, float32.

    python benchmarks/latency.py [--models b0,b4] [--batches 1,4] [--size 480x640] [--rounds 3]
    until python benchmarks/latency.py --within 100; do :; done     # the same in short commands

Every case runs in a process of its own, as users run it: import, open, two calls to warm up, then
calls for a few seconds. Cases alternate, round after round, and a ratio compares medians of one
round. Weights are random, none left at its initial value. "tuned" is the
same process under an allocator that keeps its memory in huge pages instead of giving it back to
the system after each call. Each process's figures go into benchmarks/results/latency.json when it
ends, so an interrupted run resumes. `--fresh` starts again, as do other versions of the packages or
another number of threads.

Reduced precision (bfloat16, 8-bit products) runs here whether or not the weights passed
`glpn precision`:
random ones tell its speed, and its deviation on trained ones is measured there. The ranges of the
8-bit products are those of another picture.
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
from typing import Any, NamedTuple

import numpy as np

USUAL = (480, 640)
RESULTS = Path(__file__).parent / "results" / "latency.json"
TUNED = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
PEER = "transformers"
RANGES = "ranges.json"  # of 8-bit products
UNFINISHED = 75  # exit status: run again; as sysexits.h calls a temporary failure
# name → engine and precision
CASES = {
    PEER: None,
    "float32 onnxruntime": ("onnxruntime", "float32"),
    "float32 openvino": ("openvino", "float32"),
    "float32 torch": ("torch", "float32"),
    "int8 openvino": ("openvino", "int8+bfloat16"),
    "bfloat16 openvino": ("openvino", "bfloat16"),
    "bfloat16 torch": ("torch", "bfloat16"),
}


class Step(NamedTuple):
    """One process to run."""

    round: int
    preset: str
    batch: int
    size: tuple[int, int]
    name: str  # of the case, with ", tuned" behind it or not

    @property
    def key(self) -> str:
        """Under which its figures are kept."""
        return f"{self.preset}, batch {self.batch}, {self.size[0]}×{self.size[1]}"

    def depth_of(self, case: str) -> str:
        """The file of its depth."""
        return f"{case} {self.batch} {self.size[0]}x{self.size[1]}.npy"


def write_model(folder: Path, preset: str) -> None:
    """Random weights that `transformers` and all engines read, with their graphs."""
    import torch

    from glpn import GLPNConfig, GLPNForDepthEstimation
    from glpn.engines.openvino.int8 import seen_ranges
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
    ranges = seen_ranges(folder, [picture(1, seed=2)], threads=1)
    (folder / RANGES).write_text(json.dumps(ranges))


def picture(batch: int, size: tuple[int, int] = USUAL, *, seed: int = 1) -> np.ndarray:
    """Smooth structure with edges and a little noise, float32 [B, 3, H, W] in 0..1."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(batch):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        image = np.array(coarse.resize(size[::-1], Image.Resampling.BICUBIC), np.float32) / 255
        image[size[0] // 2 : size[0] * 2 // 3, size[1] // 6 : size[1] // 2] *= 0.5
        image += 0.03 * rng.standard_normal(image.shape, np.float32)
        pictures.append(image.clip(0, 1).transpose(2, 0, 1))
    return np.ascontiguousarray(np.stack(pictures), np.float32)


def predictor(case: str, folder: Path, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """What the case calls: pixels [B, 3, H, W] → metres [B, H, W]."""
    if case == PEER:
        import torch
        from transformers import GLPNForDepthEstimation

        torch.set_num_threads(threads)
        model: Any = GLPNForDepthEstimation.from_pretrained(folder)
        model.eval()

        def run(pixels: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return np.asarray(model(torch.from_numpy(pixels)).predicted_depth)

        return run
    from glpn.engines.protocol import EngineSettings
    from glpn.engines.selection import Candidate, open_candidate

    ranges = json.loads((folder / RANGES).read_text())
    settings = EngineSettings(threads=threads, ranges=ranges)
    engine, precision = CASES[case] or ("torch", "float32")
    return open_candidate(folder, Candidate(engine, precision), settings)


def child(case: str, step: Step, folder: Path, *, threads: int, seconds: float) -> None:
    """Measure one case in this process, print one line of JSON."""
    from glpn import GLPNConfig
    from glpn.engines.registry import engine_row
    from glpn.engines.roofline import multiply_adds, peak

    pixels = picture(step.batch, step.size)
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
    np.save(folder / step.depth_of(case), depth)
    found = {"open_s": opened, "times_s": times, "peak_mb": peak_mb()}
    engine, precision = CASES[case] or ("torch", "float32")
    network = GLPNConfig.from_json_file(folder / "config.json")
    each = multiply_adds(network, *step.size) / peak(engine_row(engine), precision, threads=threads)
    print(json.dumps({**found, "roofline_ms": each * 1000}))


def peak_mb() -> float:
    """The most memory that this process had at a time (getrusage counts its parent's too)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def run(step: Step, folder: Path, threads: int, seconds: float) -> dict[str, Any]:
    """Measure in a process of its own, and compare its depth with the peer's."""
    case, _, tuned = step.name.partition(", ")
    asked = json.dumps([case, step, str(folder), threads, seconds])
    environment = {**os.environ, **(TUNED if tuned else {})}
    began = time.perf_counter()
    command = [sys.executable, __file__, "--child", asked]
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    depth, expected = (np.load(folder / step.depth_of(name)) for name in (case, PEER))
    deviation = np.abs(depth - expected) / expected
    found["deviation"] = {"mean": float(deviation.mean()), "max": float(deviation.max())}
    return {"round": step.round, "took_s": time.perf_counter() - began, **found}


def summary(name: str, runs: dict[str, list[dict[str, Any]]], batch: int) -> dict[str, Any]:
    """Milliseconds for an image, ratios to the peer in the same round, memory, deviation."""
    medians = {run["round"]: statistics.median(run["times_s"]) for run in runs[name]}
    ratios = {}
    for peer in (PEER, f"{PEER}, tuned"):
        theirs = {run["round"]: statistics.median(run["times_s"]) for run in runs.get(peer, [])}
        pairs = sorted(theirs[number] / medians[number] for number in theirs.keys() & medians)
        if pairs:
            middle = statistics.median(pairs)
            ratios[peer] = {"median": middle, "lowest": pairs[0], "highest": pairs[-1]}
    times = np.concatenate([run["times_s"] for run in runs[name]]) / batch * 1000
    image_ms = statistics.median(medians.values()) / batch * 1000
    roofline_ms = statistics.median(run["roofline_ms"] for run in runs[name])
    return {
        "image_ms": image_ms,
        "roofline_ms": roofline_ms,
        "fraction_of_peak": roofline_ms / image_ms,
        "quartiles_ms": np.percentile(times, [25, 75]).tolist(),
        "calls": len(times),
        "times_as_fast": ratios,
        "open_s": statistics.median(run["open_s"] for run in runs[name]),
        "peak_mb": max(run["peak_mb"] for run in runs[name]),
        "deviation": runs[name][-1]["deviation"],
        "rounds": runs[name],
    }


def circumstances(threads: int) -> dict[str, Any]:
    """What the figures of one table have in common."""
    from importlib.metadata import version

    packages = ("glpn", "transformers", "torch", "onnxruntime", "openvino")
    return {
        "machine": f"{platform.machine()}, {threads} threads",
        "versions": {name: version(name) for name in packages},
    }


class Results:
    """The file of results: the raw figures of every process, and what they come to."""

    def __init__(self, threads: int) -> None:
        self.values = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        self.now = circumstances(threads)

    def runs(self, key: str) -> dict[str, list[dict[str, Any]]]:
        """Name → what was measured before, if it was under the same circumstances."""
        table = self.values.get(key, {})
        if any(table.get(field) != value for field, value in self.now.items()):
            return {}
        return {name: row["rounds"] for name, row in table["cases"].items()}

    def has(self, step: Step) -> bool:
        """Whether it was measured."""
        return any(run["round"] == step.round for run in self.runs(step.key).get(step.name, []))

    def last_took(self, step: Step) -> float:
        """Seconds of the same in another round; a guess if there is none."""
        before = self.runs(step.key).get(step.name)
        return before[-1]["took_s"] if before else 25.0

    def add(self, step: Step, found: dict[str, Any]) -> None:
        """Keep what was found, at once."""
        runs = self.runs(step.key)
        runs.setdefault(step.name, []).append(found)
        when = time.strftime("%Y-%m-%d", time.gmtime())
        cases = {name: summary(name, runs, step.batch) for name in runs}
        self.values[step.key] = {"when": when, **self.now, "cases": cases}
        RESULTS.parent.mkdir(exist_ok=True)
        draft = RESULTS.with_suffix(".draft")
        draft.write_text(json.dumps(self.values, indent=1) + "\n")
        draft.replace(RESULTS)


def show(key: str, found: dict[str, dict[str, Any]]) -> None:
    print(f"\n{key}")
    print(
        f"{'':26} {'ms/image':>9} {'× HF':>7} {'× tuned HF':>11} {'MB':>6} "
        f"{'mean, max deviation':>22} {'of peak':>9}"
    )
    for name, row in found.items():
        ratios = [row["times_as_fast"][peer]["median"] for peer in (PEER, f"{PEER}, tuned")]
        mean, most = row["deviation"]["mean"], row["deviation"]["max"]
        print(
            f"{name:26} {row['image_ms']:9.1f} {ratios[0]:7.2f} {ratios[1]:11.2f} "
            f"{row['peak_mb']:6.0f} {mean:12.1e} {most:9.1e} {row['fraction_of_peak']:9.0%}"
        )


def work(arguments: argparse.Namespace) -> int:
    """Run what is missing; the exit status."""
    began = time.perf_counter()
    results = Results(arguments.threads)
    cases = list(dict.fromkeys([PEER, *arguments.cases.split(",")]))
    presets, batches = arguments.models.split(","), list(map(int, arguments.batches.split(",")))
    height, width = map(int, arguments.size.split("x"))
    asked = [
        Step(number, preset, batch, (height, width), f"{case}{tuned}")
        for preset in presets
        for batch in batches
        for number in range(arguments.rounds)
        for case in cases
        for tuned in ("", ", tuned")
    ]
    if arguments.fresh:
        for step in asked:
            results.values.pop(step.key, None)
    missing = [step for step in asked if not results.has(step)]
    for i, step in enumerate(missing):
        spent = time.perf_counter() - began
        if arguments.within and i and spent + results.last_took(step) > arguments.within:
            print(f"{len(missing) - i} of {len(asked)} are left: run it again", flush=True)
            return UNFINISHED
        folder = arguments.folder / step.preset
        if not (folder / RANGES).is_file():
            write_model(folder, step.preset)
        if not (folder / step.depth_of(PEER)).is_file() and step.name != PEER:
            run(step._replace(name=PEER), folder, arguments.threads, 0.0)
        results.add(step, run(step, folder, arguments.threads, arguments.seconds))
        print(f"{step.key}, round {step.round + 1}: {step.name}", flush=True)
    for key in dict.fromkeys(step.key for step in asked):
        show(key, results.values[key]["cases"])
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="b0,b4")
    parser.add_argument("--batches", default="1,4")
    parser.add_argument("--size", default="480x640", help="height and width, multiples of 32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="of calls for each process")
    parser.add_argument("--cases", default=",".join(CASES), help=f"{PEER} is always there")
    parser.add_argument("--within", type=float, help="seconds after which to stop; status 75")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    default = Path(tempfile.gettempdir()) / "glpn-latency"
    parser.add_argument("--folder", type=Path, default=default, help="of the models, kept there")
    arguments = parser.parse_args()
    if arguments.child:
        case, step, folder, threads, seconds = json.loads(arguments.child)
        child(case, Step(*step), Path(folder), threads=threads, seconds=seconds)
        return 0
    return work(arguments)


if __name__ == "__main__":
    sys.exit(main())
