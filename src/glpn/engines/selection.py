"""Selection: which engine suits a machine and a job; what was measured once is remembered.

An engine that runs fast may start slowly. So a job of a few photographs takes what starts fast, and
a long one what runs fast: by rule, or by a measurement of some seconds that is kept in the user's
cache. What a busy machine says is not believed, nor kept: it may be wrong by a factor. A cache that
cannot be read or written is as if it were not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from glpn import __version__, weights
from glpn.engines.hardware import processor
from glpn.errors import GLPNError
from glpn.processing.processor import GLPNImageProcessor

if TYPE_CHECKING:
    from glpn.engines.protocol import Engine

# In pictures of the measured size; the bundled models see photographs at a sixth of it.
FEW = 20  # are not worth the start of an engine which runs faster
MANY = 400  # are worth a measurement, which takes some four seconds

_SIZE = (480, 640)  # of the measured input
_CALLS = 5
_ENOUGH = 0.5  # seconds of calls, after which an engine is known
_OWN = 0.75  # share of its cores that an engine must have had; others had the rest
_KIND = "fastest call"  # of costs; others are not comparable
_CORES = 2  # that every engine keeps busy, if it may have them


class Candidate(NamedTuple):
    """An engine that can run the model here, in a precision that it may run in."""

    engine: str
    precision: str


class Cost(NamedTuple):
    """Seconds to open an engine and predict once, and seconds for each further image."""

    start: float
    image: float


def best(
    candidates: Sequence[Candidate],
    folder: Path,
    *,
    photos: int | None,
    threads: int,
    open_candidate: Callable[[Candidate], Engine],
) -> Candidate:
    """The candidate that finishes a job first.

    Args:
        candidates: at least one, those that run fastest by rule first.
        folder: the model's.
        photos: how many are expected; None is unknown, but not few.
        threads: CPU threads.
        open_candidate: makes one ready; called only for a measurement.
    """
    if len(candidates) == 1:
        return candidates[0]
    pictures = None if photos is None else photos * _share(folder)
    key = _key(folder, threads)
    costs = _remembered(key)
    if not all(_name(c) in costs for c in candidates):
        if pictures is not None and pictures < FEW:
            return min(candidates, key=lambda c: c.engine != "onnxruntime")
        if pictures is None or pictures < MANY:
            return candidates[0]
        measured = {_name(c): measure(partial(open_candidate, c)) for c in candidates}
        costs = {name: cost for name, (cost, _) in measured.items()}
        if min(cores for _, cores in measured.values()) < _OWN * min(threads, _CORES):
            return candidates[0]
        remember(folder, threads, costs)
    count = MANY if pictures is None else pictures
    return min(candidates, key=lambda c: costs[_name(c)].start + count * costs[_name(c)].image)


def _share(folder: Path) -> float:
    """Of the measured input's pixels, those that the network sees of a photograph in 4:3."""
    try:
        short_side = GLPNImageProcessor.from_pretrained(folder).short_side
    except GLPNError:  # an engine needs no processor
        return 1.0
    return 1.0 if short_side is None else (short_side / min(_SIZE)) ** 2


def measure(make: Callable[[], Engine]) -> tuple[Cost, float]:
    """Open an engine and run it on a 480×640 image for about half a second.

    Returns:
        Its cost, the image's that of the fastest call: what else runs here only adds to it. And
        how many cores this process had meanwhile.
    """
    began = time.perf_counter()
    engine = make()
    pixels = np.full((1, engine.config.num_channels, *_SIZE), 0.5, np.float32)
    engine(pixels)
    start = time.perf_counter() - began
    times: list[float] = []
    began_all, own = time.perf_counter(), time.process_time()
    while len(times) < _CALLS and sum(times) < _ENOUGH:
        began = time.perf_counter()
        engine(pixels)
        times.append(time.perf_counter() - began)
    cores = (time.process_time() - own) / (time.perf_counter() - began_all)
    return Cost(start, min(times)), cores


def remember(folder: Path, threads: int, costs: dict[str, Cost]) -> None:
    """Keep what was measured, under names of candidates; silently nothing where that fails."""
    file = _file(_key(folder, threads))
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(costs))
        draft.replace(file)


def _remembered(key: str) -> dict[str, Cost]:
    """What was measured before; empty where nothing readable is there."""
    try:
        values = json.loads(_file(key).read_bytes())
        costs = {name: Cost(*map(float, cost)) for name, cost in values.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return costs if all(cost.start > 0 and cost.image > 0 for cost in costs.values()) else {}


def _name(candidate: Candidate) -> str:
    return " ".join(candidate)


def _key(folder: Path, threads: int) -> str:
    """What the costs depend on: the network, the machine, the threads, the packages."""
    config = (folder / weights.CONFIG_NAME).read_bytes()
    told = [
        _KIND,
        __version__,
        processor(),
        str(threads),
        *map(_version, ("onnxruntime", "openvino", "torch")),
    ]
    return hashlib.sha256(b"\n".join([config, *(text.encode() for text in told)])).hexdigest()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _file(key: str) -> Path:
    """Where a measurement is kept: in GLPN_CACHE, else in the user's cache."""
    root = os.environ.get("GLPN_CACHE")
    if root is None:
        home = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
        home = home or os.path.expanduser("~/.cache")
        root = os.devnull if home.startswith("~") else os.path.join(home, "glpn")
    return Path(root) / "engines" / f"{key}.json"
