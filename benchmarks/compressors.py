"""What compresses the 16-bit PNG of a depth map: milliseconds of one core, and the file's size.

    python benchmarks/compressors.py [--runs 9] [--photo PHOTO.jpg]

The depth is what the bundled model says of a photograph, enlarged to 1280×960; without --photo it
is a synthetic one. ISA-L is what glpn uses; libdeflate and zlib-ng are measured where the packages
deflate and zlib-ng are installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
import zlib
from collections.abc import Callable
from functools import partial
from importlib import import_module

import numpy as np
from folder import photograph
from isal import isal_zlib

import glpn
from glpn.image.photo import read_photo

SIZE = (960, 1280)


def filtered(metres: np.ndarray) -> bytes:
    """The PNG's rows with the filter "up", as `glpn.files.png_writer` makes them."""
    rows = np.rint(metres * 1000.0).astype(">u2").view(np.uint8)
    above = np.vstack([np.zeros_like(rows[:1]), rows[:-1]])
    return np.insert(rows - above, 0, 2, axis=1).tobytes()


def strategy(number: int) -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        stream = zlib.compressobj(1, strategy=number)
        return stream.compress(data) + stream.flush()

    return compress


def compressors() -> dict[str, Callable[[bytes], bytes]]:
    found = {
        "zlib 1": lambda data: zlib.compress(data, 1),
        "zlib run length": strategy(zlib.Z_RLE),
        "zlib Huffman": strategy(zlib.Z_HUFFMAN_ONLY),
        "ISA-L 0": lambda data: isal_zlib.compress(data, 0),
        "ISA-L 1": lambda data: isal_zlib.compress(data, 1),
    }
    for name, package, function in (
        ("libdeflate 1", "deflate", "zlib_compress"),
        ("zlib-ng 1", "zlib_ng.zlib_ng", "compress"),
    ):
        try:
            compress = getattr(import_module(package), function)
        except ImportError:
            continue
        found[name] = partial(_at_level_1, compress)
    return found


def _at_level_1(compress: Callable[[bytes, int], bytes], data: bytes) -> bytes:
    return compress(data, 1)


def milliseconds(compress: Callable[[bytes], bytes], data: bytes) -> float:
    began = time.process_time()
    compress(data)
    return (time.process_time() - began) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--photo")
    options = parser.parse_args()
    photo = options.photo or photograph(0)
    metres = glpn.load(threads=1).metres(read_photo(photo).pixels, SIZE)
    data = filtered(metres)
    choices = compressors()
    times: dict[str, list[float]] = {name: [] for name in choices}
    for _ in range(options.runs):
        for name, compress in choices.items():
            times[name].append(milliseconds(compress, data))
    for name, compress in choices.items():
        size = len(compress(data)) / 1000
        print(f"{name:16} {statistics.median(times[name]):6.1f} ms {size:6.0f} kB")


if __name__ == "__main__":
    main()
