"""How a job scales over Ray workers, and what a billion pictures take at that speed.

    python benchmarks/cluster.py [--photos 128] [--workers 1,2] [--runs 3]
    python benchmarks/cluster.py --table 8.2

Photographs of 480×640 are made, and `glpn batch` is run over them with a thread a worker. The speed
is that at which files appear while all workers are at work, so without the start of Ray.
The rounds take turns; medians are printed. The table follows from a speed per core by arithmetic,
and states the prices that it assumes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from glpn import cluster
from glpn.engines.options import EngineOptions
from glpn.jobs import JobSpec

PICTURES = 1_000_000_000
# Assumptions of the table: list prices of large clouds, rounded; put your own here.
CORE_HOUR = 0.02  # dollars for a rented core with 2 GB, on a machine that may be taken away
TERABYTE_MONTH = 20.0  # dollars of object storage
REQUESTS = {"read": 0.4, "write": 5.0}  # dollars a million
PHOTO_BYTES, DEPTH_BYTES = 150e3, 150e3  # of a JPEG and of its 16-bit PNG, 480×640
FAILURES_PER_MACHINE_HOUR = 0.05  # machines taken away, crashed, out of memory
CORES_PER_MACHINE = 64
LOST_PER_FAILURE = 60.0  # seconds of a machine: noticing, starting a worker, a batch again
CORES = (1_000, 10_000)


def write_photographs(folder: Path, count: int) -> None:
    """Smooth pictures with edges, 480×640."""
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        coarse.resize((640, 480), Image.Resampling.BICUBIC).save(folder / f"{number:05d}.jpg")


def speed(photos: Path, workers: int) -> float:
    """Images per second of one job."""
    with tempfile.TemporaryDirectory() as depth:
        model = EngineOptions(engine="onnxruntime", device="cpu", threads=1)
        job = JobSpec(model, depth, {"png16": {"scale": 1000.0}})
        found = [(path.name, str(path)) for path in sorted(photos.iterdir())]
        job, pictures = cluster.prepare(job, found)
        with cluster.session(cpus=workers):
            for result in cluster.run(job, pictures, workers=workers):
                assert not result.error, result.error
        written = sorted(path.stat().st_mtime for path in Path(depth).glob("*.png"))
    # Outputs, not answers: those come sixteen at a time.
    skip = 8 * workers  # until every worker is at work
    return (len(written) - 2 * skip - 1) / (written[-skip - 1] - written[skip])


def table(per_core: float) -> dict[str, str]:
    """What a billion pictures take, in words, from images per second and core."""
    core_hours = PICTURES / per_core / 3600
    machine_hours = core_hours / CORES_PER_MACHINE
    failures = machine_hours * FAILURES_PER_MACHINE_HOUR
    again = FAILURES_PER_MACHINE_HOUR * LOST_PER_FAILURE / 3600
    terabytes = PICTURES * DEPTH_BYTES / 1e12
    requests = PICTURES / 1e6 * (2 * REQUESTS["read"] + REQUESTS["write"])
    rows = {
        "images per second and core": f"{per_core:.3g}",
        "core hours": f"{core_hours:,.0f}",
        f"compute at ${CORE_HOUR} per core hour": f"${core_hours * CORE_HOUR:,.0f}",
        "photos read": f"{PICTURES * PHOTO_BYTES / 1e12:,.0f} TB",
        "16-bit PNGs written": f"{terabytes:,.0f} TB",
        f"storage at ${TERABYTE_MONTH:g} per TB": f"${terabytes * TERABYTE_MONTH:,.0f} per month",
        "requests to the store": f"${requests:,.0f}",
        f"machines lost, at {FAILURES_PER_MACHINE_HOUR} per hour each": f"{failures:,.0f}",
        f"repeated work, {LOST_PER_FAILURE:g} s per loss": f"{again:.2%}",
    }
    for cores in CORES:
        rate = per_core * cores
        gigabits = rate * (PHOTO_BYTES + DEPTH_BYTES) * 8 / 1e9
        rows[f"on {cores:,} cores"] = f"{PICTURES / rate / 86400:.2g} days, {gigabits:.0f} Gbit/s"
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=128)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--table", type=float, metavar="IMAGES_PER_S", help="only the table")
    arguments = parser.parse_args()
    per_core = arguments.table
    if per_core is None:
        counts = [int(text) for text in arguments.workers.split(",")]
        rates: dict[int, list[float]] = {count: [] for count in counts}
        with tempfile.TemporaryDirectory() as folder:
            write_photographs(Path(folder), arguments.photos)
            for _ in range(arguments.runs):
                for count in counts:
                    rates[count].append(speed(Path(folder), count))
        medians = {count: statistics.median(values) for count, values in rates.items()}
        for count, rate in medians.items():
            print(f"{count} workers: {rate:6.2f} images/s, × {rate / medians[counts[0]]:.2f}")
        per_core = medians[counts[0]] / counts[0]
    print("\n| a billion photos of 480×640 | |\n|---|---|")
    for what, amount in table(per_core).items():
        print(f"| {what} | {amount} |")


if __name__ == "__main__":
    main()
