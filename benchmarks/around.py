"""What surrounds the network in a folder's job, each with and without its remedy, in one run.

    python benchmarks/around.py [--photos 200] [--rounds 3]

Milliseconds of one core, compiled and by Pillow or numpy: a photograph of 1280×960 as the network's
input of 480×640 and 256×192 metres at 1280×960. Folder: `glpn predict DIR`
over JPEGs of 1280×960, each time in a process of its own, alternately with glibc's freed blocks
kept and with glibc as it comes: seconds and page faults.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from folder import photograph, write_photographs

from glpn import GLPNImageProcessor
from glpn.native import enlarge, shrink
from glpn.processing.resize import resize_depth

JOB = """
import resource, sys, time
import glpn.jobs.folder_job
from glpn.cli import main
photos, depth, kept = sys.argv[1:]
if kept == "no":
    glpn.jobs.folder_job.keep_large_blocks = lambda: False
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
assert main(["predict", photos, "-o", depth, "--format", "png16", "-q"]) == 0
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(f"{time.perf_counter() - began:.2f} s, {faults} page faults")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    compare_kernels()
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch, "photos")
        write_photographs(photos, arguments.photos)
        for turn in range(arguments.rounds):
            for kept in ("yes", "no"):
                where = Path(scratch, f"{kept}{turn}")
                command = [sys.executable, "-c", JOB, str(photos), str(where), kept]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                print(f"folder, blocks kept: {kept}: {output.strip()}", flush=True)


def compare_kernels() -> None:
    photo = photograph(0)
    processor = GLPNImageProcessor(short_side=480)
    small = np.random.default_rng(0).uniform(1, 5, (192, 256)).astype(np.float32)
    jobs: dict[str, tuple[Any, Callable[[], object]]] = {
        "scaling": (shrink, lambda: processor.pixels(photo)),
        "enlargement": (enlarge, lambda: resize_depth(small, photo.shape[:2])),
    }
    for name, (kernel, job) in jobs.items():
        compiled = milliseconds(job)
        available, kernel.available = kernel.available, lambda: False
        plain = milliseconds(job)
        kernel.available = available
        print(f"{name}: compiled {compiled:.2f} ms, without {plain:.2f} ms", flush=True)


def milliseconds(run: Callable[[], object]) -> float:
    """Of this thread's processor time, median of 30 calls."""
    run()
    times = []
    for _ in range(30):
        began = time.thread_time()
        run()
        times.append(time.thread_time() - began)
    return 1000 * statistics.median(times)


if __name__ == "__main__":
    main()
