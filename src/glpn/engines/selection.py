"""Selection: which engine runs a model, by a rule that gives the same answer every day.

An engine that runs fast may start slowly. A job of a few images takes the engine that starts
fastest; a longer one takes reduced precision where the model allows it. `glpn bench --save`
replaces the rule by measurements from this machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from glpn import weights
from glpn.engines import registry
from glpn.engines.hardware import processor, usable_cores
from glpn.engines.options import EngineOptions
from glpn.engines.precision import PRECISIONS, REDUCED, choose_precision, saved_ranges
from glpn.engines.protocol import Engine, EngineSettings
from glpn.engines.registry import AUTO, FLOAT32, EngineRow, engine_row
from glpn.errors import GLPNError, MissingDependency, UsageError, require_choice
from glpn.files import write_file
from glpn.files.paths import require_writable_folder
from glpn.processing.processor import GLPNImageProcessor

# Below this number of 480×640 images, starting the faster engine costs more than it saves.
MIN_IMAGES_FOR_FAST_ENGINE = 20
# Number of images assumed for a job of unknown length, if saved measurements decide.
IMAGES_OF_UNKNOWN_JOB = 400

_REFERENCE_SHORT_SIDE = 480  # short side of the images that the two numbers above count
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")
_COSTS_FORMAT = "glpn-engine-costs-1"

# Files that the drivers of a GPU which torch can use leave on a Linux machine: NVIDIA's, NVIDIA's
# under Windows Subsystem for Linux, AMD's.
_GPU_DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")

_DEFAULTS = EngineOptions()


class Candidate(NamedTuple):
    """An engine that can run the model here, and the precision it computes in."""

    engine: str
    precision: str


class Cost(NamedTuple):
    """Seconds to open an engine and predict once, and seconds for each further image."""

    start: float
    image: float


def open_engine(
    folder: str | Path,
    options: EngineOptions = _DEFAULTS,
    *,
    photos: int | None = None,
    concurrency: int = 1,
) -> Engine:
    """Load a model's folder into the engine that suits it, this machine and the job.

    Args:
        folder: holds `config.json` and `model.safetensors`; engines other than torch also need
            `model.onnx`, and are faster with `trunk.onnx`.
        options: how to open it; `model` and `hub`, which lead to the folder, are not read again.
            `threads` for torch holds for the whole process.
        photos: how many photos will be predicted, if known; the engine "auto" depends on it.
        concurrency: calls that several threads make at once, each on `threads` threads; torch
            runs them one by one.

    Raises:
        UsageError: an engine, a device, a precision or a number of threads that does not exist, or
            a reduced precision that is unavailable.
        MissingDependency: the engine's package is not installed.
        MissingInput, ConfigError, CheckpointError: a file is missing, damaged, or does not fit
            the others.
    """
    folder = Path(folder)
    _require_known(options)
    if options.engine == AUTO:
        candidate = choose(folder, options, photos=photos)
    else:
        row = engine_row(options.engine)
        row.require_installed()
        kind = choose_precision(folder, row, asked=options.precision)
        candidate = Candidate(row.name, kind)
    settings = EngineSettings(
        device=options.device,
        threads=options.threads,
        max_depth=options.max_depth,
        concurrency=concurrency,
    )
    return open_candidate(folder, candidate, settings)


def open_candidate(
    folder: Path, candidate: Candidate, settings: EngineSettings | None = None
) -> Engine:
    """Open an engine in a precision without asking whether the model passed its check.

    The ranges of 8-bit products are those of the settings, else those saved with the weights.
    """
    row = engine_row(candidate.engine)
    settings = replace(settings or EngineSettings(), precision=candidate.precision)
    if candidate.precision.startswith("int8") and settings.ranges is None:
        ranges = saved_ranges(folder, row.name, candidate.precision)
        settings = replace(settings, ranges=ranges)
    return row.open(folder, settings)


def choose(folder: Path, options: EngineOptions, *, photos: int | None) -> Candidate:
    """The engine and the precision that the engine "auto" stands for.

    Raises:
        MissingDependency: no installed engine can run this model.
    """
    row = _gpu_engine(options.device)
    if row is not None:
        row.require_installed()
        return Candidate(row.name, choose_precision(folder, row, asked=options.precision))
    candidates = _candidates(folder, options.precision)
    if not candidates:
        raise MissingDependency(
            f"{folder}: no engine can run this model; write its {weights.GRAPH_NAME} for "
            "onnxruntime with `glpn export onnx` where torch is installed, or install torch",
            extra="torch",
        )
    images = None if photos is None else photos * _relative_cost(folder)
    costs = saved_costs(folder, options.threads or usable_cores())
    if all(candidate in costs for candidate in candidates):
        count = IMAGES_OF_UNKNOWN_JOB if images is None else images
        return min(candidates, key=lambda c: costs[c].start + count * costs[c].image)
    if images is not None and images < MIN_IMAGES_FOR_FAST_ENGINE:
        return next((c for c in candidates if c.precision == FLOAT32), candidates[0])
    return candidates[0]


def _candidates(folder: Path, precision: str) -> list[Candidate]:
    """Engines that can run the model on the CPU, the fastest by rule first.

    Engines that run the folder's graph come before those that need only its weights.
    """
    has_graph = (folder / weights.GRAPH_NAME).is_file()
    for runs_graph in (True, False) if has_graph else (False,):
        rows = [row for row in registry.TABLE if row.runs_graph == runs_graph]
        installed = [row for row in rows if row.is_installed()]
        if precision == REDUCED and installed:
            return _reduced_candidates(folder, rows)
        if installed:
            kinds = {row.name: choose_precision(folder, row, asked=precision) for row in installed}
            reduced = [Candidate(name, kind) for name, kind in kinds.items() if kind != FLOAT32]
            return [*reduced, *(Candidate(row.name, FLOAT32) for row in installed)]
    return []


def _reduced_candidates(folder: Path, rows: Sequence[EngineRow]) -> list[Candidate]:
    """Those of the rows that have reduced precisions, all of which must be available."""
    able = [row for row in rows if row.reduced]
    for row in able:
        row.require_installed()
    return [Candidate(row.name, choose_precision(folder, row, asked=REDUCED)) for row in able]


def _require_known(options: EngineOptions) -> None:
    require_choice("engine", options.engine, registry.engine_names())
    if not _DEVICE.fullmatch(options.device):
        raise UsageError(f"device: expected auto, cpu, cuda, cuda:N or mps; got {options.device!r}")
    if options.threads is not None and options.threads < 1:
        raise UsageError(f"threads: expected at least 1, got {options.threads}")
    require_choice("precision", options.precision, PRECISIONS)


def _gpu_engine(device: str) -> EngineRow | None:
    """The engine for a GPU that is requested, or present where the device is "auto"."""
    row = next((row for row in registry.TABLE if "cuda" in row.devices), None)
    if row is None or device.startswith(("cuda", "mps")):
        return row
    if device != "auto" or not row.is_installed() or not _may_have_gpu():
        return None
    return row if row.load_module().best_device() != "cpu" else None


def _may_have_gpu() -> bool:
    """Whether a driver is present; without one torch need not be imported to know."""
    apple = sys.platform == "darwin" and platform.machine() == "arm64"
    windows = sys.platform == "win32" and Path(r"C:\Windows\System32\nvcuda.dll").exists()
    return apple or windows or any(map(os.path.exists, _GPU_DRIVERS))


def _relative_cost(folder: Path) -> float:
    """Pixels that the network sees of a 4:3 photo, relative to 480×640."""
    try:
        short_side = GLPNImageProcessor.from_pretrained(folder).short_side
    except GLPNError:  # an engine needs no processor
        return 1.0
    return 1.0 if short_side is None else (short_side / _REFERENCE_SHORT_SIDE) ** 2


def save_costs(folder: Path, threads: int, costs: Mapping[Candidate, Cost]) -> Path:
    """Keep measurements of `glpn bench` for later runs on this machine.

    Returns:
        The file.

    Raises:
        CannotCreateOutput, OutputFailed: the cache folder cannot be written.
    """
    rows = [[*candidate, *cost] for candidate, cost in costs.items()]
    file = _costs_file(folder, threads)
    require_writable_folder(file.parent)
    write_file(file, json.dumps({"format": _COSTS_FORMAT, "rows": rows}).encode())
    return file


def saved_costs(folder: Path, threads: int) -> dict[Candidate, Cost]:
    """What `glpn bench --save` measured; empty where nothing readable was saved."""
    try:
        values = json.loads(_costs_file(folder, threads).read_bytes())
        costs = {
            Candidate(engine, precision): Cost(float(start), float(image))
            for engine, precision, start, image in values["rows"]
        }
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return costs if all(min(cost) > 0 for cost in costs.values()) else {}


def _costs_file(folder: Path, threads: int) -> Path:
    """The file for this network, machine and number of threads, in GLPN_CACHE or the user's cache.

    The weights are not part of the key: fine-tuning a model does not change its speed.
    """
    config = (folder / weights.CONFIG_NAME).read_bytes()
    parts = [config, processor().encode(), str(threads).encode()]
    key = hashlib.sha256(b"\n".join(parts)).hexdigest()
    root = os.environ.get("GLPN_CACHE")
    if root is None:
        home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
        home = home or os.path.expanduser("~/.cache")
        root = os.devnull if home.startswith("~") else os.path.join(home, "glpn")
    return Path(root) / "engines" / f"{key}.json"
