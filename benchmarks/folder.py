"""Images per second of a folder of photos and of the engine without the folder, in one run.

    python benchmarks/folder.py [--photos 200] [--formats png16 png16,vis] [--json folder.json]

The photos are synthetic JPEGs of 1280×960. The engine repeats one prepared input: one image after
the other on all cores and, where `glpn predict` would do so, several side by side on one core each.
The better of the two counts. It is measured before and after the folder and averaged, because a
machine's speed varies. The folder is `glpn predict DIR` in the same process, from opening the model
to the last file. The bundled weights run twice: at their own scale (192×256) and, with short_side
480, at the published 480×640.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import glpn
from glpn import weights
from glpn.cli import main as command_line
from glpn.engines.options import DEFAULT_MODEL, EngineOptions
from glpn.estimator import MAX_INPUT_PIXELS
from glpn.jobs import SharedEstimator

SCALES = (192, 480)  # pixels of the shorter side of the network's input


def write_photographs(folder: Path, count: int) -> None:
    """Smooth pictures with edges, noise and a few hundred kilobytes, as photographs are."""
    folder.mkdir()
    for i in range(count):
        Image.fromarray(photograph(i)).save(folder / f"{i:03}.jpg", quality=92)


def photograph(seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    picture = np.array(coarse.resize((1280, 960), Image.Resampling.BICUBIC), np.int16)
    picture[300:700, 200:600] //= 2
    picture += rng.normal(0, 4, picture.shape).astype(np.int16)
    return picture.clip(0, 255).astype(np.uint8)


def write_model(folder: Path, short_side: int) -> Path:
    shutil.copytree(weights.resolve(DEFAULT_MODEL), folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "short_side": short_side}))
    return folder


def alone(model: Path, photo: Path, seconds: float) -> dict[str, float]:
    """Images a second of the bare engine: in turn on all cores, and side by side."""
    whole = glpn.load(model)
    image = np.asarray(Image.open(photo))
    pixels = whole.processor.pixels(image, max_pixels=MAX_INPUT_PIXELS)[None]
    rates = {"in_turn": rate(lambda: whole.engine(pixels), seconds, lanes=1)}
    opened = SharedEstimator(EngineOptions(model), photos=200)
    engine = opened.estimator().engine
    if opened.concurrency > 1:
        rates["side_by_side"] = rate(lambda: engine(pixels), seconds, lanes=opened.concurrency)
    return rates


def rate(run: Callable[[], object], seconds: float, *, lanes: int) -> float:
    """Calls per second on `lanes` threads, the median of three stretches."""

    def stretch(until: float) -> int:
        done = 0
        while time.perf_counter() < until:
            run()
            done += 1
        return done

    run()
    rates = []
    with ThreadPoolExecutor(lanes) as pool:
        for _ in range(3):
            began = time.perf_counter()
            done = sum(pool.map(stretch, [began + seconds / 3] * lanes))
            rates.append(done / (time.perf_counter() - began))
    return statistics.median(rates)


def folder_rate(model: Path, photos: Path, formats: str) -> float:
    """Photographs a second of the whole command."""
    with tempfile.TemporaryDirectory() as output:
        options = ["-m", str(model), "-o", output, "--format", formats, "--quiet"]
        began = time.perf_counter()
        if command_line(["predict", str(photos), *options]) != 0:
            raise SystemExit("glpn predict failed")
        return len(list(photos.iterdir())) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--formats", nargs="+", default=["png16", "png16,vis"])
    parser.add_argument("--scales", type=int, nargs="+", default=SCALES)
    parser.add_argument("--seconds", type=float, default=6, help="for each rate of the engine")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        write_photographs(photos, options.photos)
        for scale in options.scales:
            model = write_model(Path(folder, f"b0-{scale}"), scale)
            before = alone(model, photos / "000.jpg", options.seconds)
            for formats in options.formats:
                rate_ = folder_rate(model, photos, formats)
                after = alone(model, photos / "000.jpg", options.seconds)
                engine = {name: (before[name] + after[name]) / 2 for name in before}
                before = after
                rows.append({"short_side": scale, "formats": formats, "folder": rate_, **engine})
                shares = ", ".join(f"{rate_ / r:.0%} of {name}" for name, r in engine.items())
                print(f"{scale:4} {formats:10} {rate_:6.2f} photos/s: {shares}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
