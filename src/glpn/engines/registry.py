"""The engines that there are; `open_engine` picks one and loads a model into it."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from glpn import weights
from glpn.engines import selection
from glpn.engines.hardware import usable_cores
from glpn.engines.options import EngineOptions
from glpn.engines.precision import EXACT, PRECISIONS, allowed, fitting_records
from glpn.engines.protocol import Engine
from glpn.engines.selection import Candidate
from glpn.errors import MissingDependency, UsageError

ENGINES = ("auto", "onnxruntime", "openvino", "torch")
_DEFAULTS = EngineOptions()
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")

# What the drivers of a GPU that torch could use leave on a Linux machine: NVIDIA's, NVIDIA's
# under Windows Subsystem for Linux, AMD's.
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


def open_engine(
    folder: str | Path,
    options: EngineOptions = _DEFAULTS,
    *,
    photos: int | None = None,
    concurrency: int = 1,
) -> Engine:
    """Load a model's folder into the engine that suits it, this machine and the job.

    Args:
        folder: with `config.json` and `model.safetensors`; engines other than torch also need
            `model.onnx`, and are faster with `trunk.onnx`.
        options: how to open it; `model` and `hub`, which lead to the folder, are not read again.
            The engine "auto" is torch on a GPU, else what `selection` finds among those that run
            the folder's graph, else torch. Threads set for torch are those of the whole process.
        photos: how many are to be predicted, if that is known; "auto" depends on it.
        concurrency: calls that several threads make at once, each on `threads` threads; torch
            runs them one by one.

    Raises:
        UsageError: an engine, a device, a precision or a number of threads that does not exist; or
            a reduced precision is asked for and unavailable.
        MissingDependency: the engine's package is not installed.
        MissingInput, ConfigError, CheckpointError: a file is not there, damaged, or does not fit
            the others.
    """
    folder = Path(folder)
    engine, device, threads = options.engine, options.device, options.threads
    precision = options.precision
    _require_known(engine, device, threads, precision=precision)
    if engine == "auto":
        engine, kind = _choose(folder, device, threads, precision=precision, photos=photos)
    else:
        _require_installed(engine)
        kind = allowed(folder, engine, asked=precision)
    return open_candidate(
        folder,
        Candidate(engine, kind),
        device=device,
        threads=threads,
        max_depth=options.max_depth,
        concurrency=concurrency,
    )


def _require_known(engine: str, device: str, threads: int | None, *, precision: str) -> None:
    if engine not in ENGINES:
        raise UsageError(f"engine: expected one of {', '.join(ENGINES)}; got {engine!r}")
    if not _DEVICE.fullmatch(device):
        raise UsageError(f"device: expected auto, cpu, cuda, cuda:N or mps; got {device!r}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads: expected at least 1, got {threads}")
    if precision not in PRECISIONS:
        raise UsageError(f"precision: expected one of {', '.join(PRECISIONS)}; got {precision!r}")


def open_candidate(
    folder: Path,
    candidate: Candidate,
    *,
    device: str = "cpu",
    threads: int | None = None,
    max_depth: float | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    concurrency: int = 1,
) -> Engine:
    """The engine itself, asked for no evidence: for `open_engine`, and for what measures it.

    8-bit products go by `ranges`, else by those that were measured with the weights.
    """
    engine, precision = candidate
    if engine == "torch":
        from glpn.engines.torch import TorchEngine

        return TorchEngine.open(
            folder, device=device, threads=threads, max_depth=max_depth, precision=precision
        )
    if device not in ("auto", "cpu"):
        raise UsageError(f"device: engine {engine} runs on the cpu; got {device!r}")
    cores = threads or usable_cores()
    if engine == "openvino":
        from glpn.engines.openvino.engine import OpenVinoEngine

        if precision.startswith("int8") and ranges is None:
            known = fitting_records(folder, engine).get(precision)
            ranges = known.ranges if known else None
        return OpenVinoEngine.open(
            folder,
            threads=cores,
            max_depth=max_depth,
            precision=precision,
            ranges=ranges,
            concurrency=concurrency,
        )
    from glpn.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine.open(folder, threads=cores, max_depth=max_depth)


def _choose(
    folder: Path, device: str, threads: int | None, *, precision: str, photos: int | None
) -> Candidate:
    """The engine and the precision that "auto" means."""
    if device.startswith(("cuda", "mps")) or (device == "auto" and _has_gpu()):
        _require_installed("torch")
        return Candidate("torch", allowed(folder, "torch", asked=precision))
    candidates = _candidates(folder, precision)
    if candidates:
        return selection.best(
            candidates,
            folder,
            photos=photos,
            threads=threads or usable_cores(),
            open_candidate=lambda candidate: open_candidate(folder, candidate, threads=threads),
        )
    if _is_installed("torch"):
        return Candidate("torch", allowed(folder, "torch", asked=precision))
    raise MissingDependency(
        f"{folder}: no engine can run this model: pip install 'glpn[torch]', or write its "
        f"{weights.GRAPH_NAME} for onnxruntime with `glpn export onnx` where that is installed"
    )


def _candidates(folder: Path, precision: str) -> list[Candidate]:
    """What can run the folder's graph on the CPU, the fastest by rule first."""
    if not (folder / weights.GRAPH_NAME).is_file():
        return []
    if precision == "quick":
        _require_installed("openvino")
    quick = []
    if _is_installed("openvino"):
        kind = allowed(folder, "openvino", asked=precision)
        quick = [] if kind == EXACT else [Candidate("openvino", kind)]
    if precision == "quick":
        return quick
    installed = filter(_is_installed, ("onnxruntime", "openvino"))
    return [*quick, *(Candidate(engine, EXACT) for engine in installed)]


def _has_gpu() -> bool:
    """Whether torch is here and has a GPU; torch is only imported where drivers are seen."""
    if not _is_installed("torch"):
        return False
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    windows = sys.platform == "win32" and Path(r"C:\Windows\System32\nvcuda.dll").exists()
    if not (apple or windows or any(map(os.path.exists, _GPU_DRIVERS))):
        return False
    from glpn.engines.torch import best_device

    return best_device() != "cpu"


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _require_installed(engine: str) -> None:
    extra = {"onnxruntime": "glpn"}.get(engine, f"glpn[{engine}]")
    if not _is_installed(engine):
        raise MissingDependency(f"engine {engine} is not installed: pip install '{extra}'")
