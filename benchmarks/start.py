"""How long a user waits: `import glpn`, `glpn --help`, and `glpn predict` on one 480×640 photo.

    python benchmarks/start.py [--runs 9] [--model glpn-b0-indoor]

Whole processes, start to exit, medians; the photograph is synthetic, its size is what counts.
Python keeps compiled modules, as it does of an installed package, whatever the environment says.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

TARGETS = {"python -c pass": None, "import glpn": 0.15, "glpn --help": 0.4, "glpn predict": 0.6}


def photograph(path: Path) -> None:
    """Write a smooth 480×640 JPEG with a few edges."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    picture = np.array(coarse.resize((640, 480), Image.Resampling.BICUBIC))
    picture[200:330, 100:300] //= 2
    Image.fromarray(picture).save(path, quality=90)


def seconds(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--model", default="glpn-b0-indoor")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        photograph(photo)
        cli = [sys.executable, "-m", "glpn"]
        predict = ["predict", str(photo), "-o", folder, "-m", arguments.model, "--overwrite"]
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "import glpn": [sys.executable, "-c", "import glpn"],
            "glpn --help": [*cli, "--help"],
            "glpn predict": [*cli, *predict],
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = str(Path(folder, "compiled"))
        for command in commands.values():
            seconds(command, environment)  # fill the caches of files and of compiled modules
        for _ in range(arguments.runs):
            for name, command in commands.items():
                times[name].append(seconds(command, environment))
    bare = statistics.median(times["python -c pass"])
    rows = []
    for name, values in times.items():
        median = statistics.median(values)
        shown = median - bare if name == "import glpn" else median
        rows.append({"command": name, "median_s": round(median, 3), "target_s": TARGETS[name]})
        target = f" (target {TARGETS[name]} s)" if TARGETS[name] else ""
        print(f"{name:16} {shown:6.3f} s{target}  min {min(values):.3f}  max {max(values):.3f}")
    print(json.dumps({"runs": arguments.runs, "rows": rows}))


if __name__ == "__main__":
    main()
