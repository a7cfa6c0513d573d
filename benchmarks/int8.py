"""What 8 bits cost and bring: an exported network in float32 beside the same with an int8 encoder.

    python benchmarks/int8.py PHOTOS [--model glpn-b0-indoor] [--runs 12]

PHOTOS is a folder of photographs to calibrate on; every fourth is held out and measures the
deviation. Milliseconds are medians, the two alternating, on all cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from glpn.export.model_source import Source
from glpn.export.onnx_file import onnx_format, opened
from glpn.export.quantize import export_quantized
from glpn.export.writer import export

SIZES = ((192, 256), (480, 640))


def milliseconds(contents: dict[str, bytes], size: tuple[int, int], runs: int) -> dict[str, float]:
    pixels = np.random.default_rng(0).random((1, 3, *size), np.float32)
    networks = {name: opened([content]) for name, content in contents.items()}
    times: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(runs + 2):
        for name, run in networks.items():
            began = time.perf_counter()
            run(pixels)
            times[name].append(time.perf_counter() - began)
    return {name: round(1e3 * statistics.median(taken[2:]), 1) for name, taken in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--runs", type=int, default=12)
    given = parser.parse_args()
    source = Source.of(given.model)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in ("float32", "int8")}
        export(onnx_format(portable=True), source, files["float32"])
        report = export_quantized(source, files["int8"], photos=given.photos)
        if report is None:
            raise SystemExit("int8: refused by the accuracy check")
        contents = {name: file.read_bytes() for name, file in files.items()}
    print(json.dumps({"held": len(report.rows), "mean": report.mean, "largest": report.largest}))
    print(json.dumps({"bytes": {name: len(content) for name, content in contents.items()}}))
    for size in SIZES:
        print(json.dumps({"size": size, "ms": milliseconds(contents, size, given.runs)}))


if __name__ == "__main__":
    main()
