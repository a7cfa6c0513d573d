"""What the most expensive photos within the service's default limits cost, each in a process.

    python benchmarks/worst_image.py [--engine onnxruntime] [--model glpn-b0-indoor]

Every candidate is made to be as slow or as large as its format allows. One request is answered
first, so that the engine is warm. Printed: seconds of processor time and of the clock, and the
growth of the peak resident memory, for reading only and for the whole response.
"""

from __future__ import annotations

import argparse
import io
import math
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from glpn.image.limits import SERVICE_LIMITS

REQUEST = """
import sys, time
import numpy as np
from PIL import Image
import io
import glpn
from glpn.errors import GLPNError
from glpn.image.limits import SERVICE_LIMITS
from glpn.image.photo import read_photo
from glpn.serving.limits import Limits
from glpn.serving.query import DepthQuery
from glpn.serving.responses import depth_response

path, model, engine, format, what = sys.argv[1:]
estimator = glpn.load(model, engine=engine)
small = io.BytesIO()
Image.fromarray(np.zeros((480, 640, 3), np.uint8)).save(small, "JPEG")
depth_response(estimator, small.getvalue(), DepthQuery(format=format), Limits())
data = open(path, "rb").read()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts anew
high = lambda: int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])
before, cpu, clock = high(), time.process_time(), time.perf_counter()
try:
    if what == "read":
        read_photo(data, limits=SERVICE_LIMITS, min_decode_size=estimator.min_decode_size)
    else:
        depth_response(estimator, data, DepthQuery(format=format), Limits())
    said = "ok"
except GLPNError as e:
    said = type(e).__name__
print(time.process_time() - cpu, time.perf_counter() - clock, (high() - before) / 1024, said)
"""


def side(pixels: int) -> int:
    """Side of the largest square with at most this many pixels."""
    return min(math.isqrt(pixels), SERVICE_LIMITS.max_side)


def noise(pixels: int, seed: int = 0) -> Image.Image:
    """Coarse noise: entropy coders work hardest, and the file stays below the limit on bytes."""
    edge = side(pixels)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (edge // 4, edge // 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((edge, edge), Image.Resampling.BILINEAR)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def progressive(pixels: int, scans: int, *, subsampling: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = saved(noise(pixels), "JPEG", quality=75, progressive=True, subsampling=subsampling)
    last = data.rindex(b"\xff\xda")
    count = max(scans - data.count(b"\xff\xda"), 0)
    return data[:-2] + data[last:-2] * count + b"\xff\xd9"


def png(width: int, height: int, *, bits: int, interlaced: bool) -> bytes:
    """A PNG of zeros, which a tiny file declares."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    packer = zlib.compressobj(1)
    row = bytes(1 + width * 3 * bits // 8)
    rows = height * (2 if interlaced else 1)
    data = b"".join(packer.compress(row) for _ in range(rows)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, int(interlaced))
    return b"".join(
        (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    )


def candidates() -> dict[str, tuple[Callable[[], bytes], str]]:
    """Name → the file and the format that is asked for."""
    jpeg, other = SERVICE_LIMITS.max_jpeg_pixels, SERVICE_LIMITS.max_pixels
    # Pillow's 10 scans visit 14 samples per pixel, or 8 with subsampled chroma; more scans, one.
    sharp, soft, many = (int(SERVICE_LIMITS.max_scan_samples / passes) for passes in (14, 8, 44))
    edge, long = side(other), SERVICE_LIMITS.max_side
    across = min(other // long, long)
    return {
        "JPEG": (lambda: saved(noise(jpeg), "JPEG", quality=80), "json"),
        "JPEG as GLB": (lambda: saved(noise(jpeg), "JPEG", quality=80), "glb"),
        "JPEG as 16-bit PNG": (lambda: saved(noise(jpeg), "JPEG", quality=80), "png16"),
        "JPEG as picture": (lambda: saved(noise(jpeg), "JPEG", quality=80), "vis"),
        "progressive JPEG": (lambda: progressive(min(sharp, jpeg), 10, subsampling=0), "json"),
        "progressive JPEG, 4:2:0": (
            lambda: progressive(min(soft, jpeg), 10, subsampling=2),
            "json",
        ),
        "progressive JPEG, 40 scans": (lambda: progressive(many, 40, subsampling=0), "json"),
        "PNG, 16-bit": (lambda: png(edge, edge, bits=16, interlaced=False), "json"),
        "PNG, 16-bit, interlaced": (lambda: png(edge, edge, bits=16, interlaced=True), "png16"),
        "PNG, longest side": (lambda: png(long, across, bits=8, interlaced=False), "json"),
        "PNG, sliver": (lambda: png(long, 4, bits=8, interlaced=False), "json"),
        "WEBP": (lambda: saved(noise(other), "WEBP", quality=60, method=0), "json"),
        "WEBP, lossless": (lambda: saved(noise(other // 4), "WEBP", lossless=True), "json"),
        "AVIF": (lambda: saved(noise(other), "AVIF", quality=60, speed=10), "json"),
        "TIFF, LZW": (lambda: saved(noise(other // 4), "TIFF", compression="tiff_lzw"), "json"),
        "GIF": (lambda: saved(noise(other // 2).quantize(256), "GIF"), "json"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="onnxruntime")
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--only", default="", metavar="TEXT", help="candidates that contain it")
    arguments = parser.parse_args()
    chosen = {name: made for name, made in candidates().items() if arguments.only in name}
    print(f"{'candidate':32} {'kB':>6}   read: s CPU, s, MB     answer: s CPU, s, MB")
    with tempfile.TemporaryDirectory() as scratch:
        for name, (make, format) in chosen.items():
            path = Path(scratch, "photo")
            path.write_bytes(make())
            costs = []
            for what in ("read", "answer"):
                command = [sys.executable, "-c", REQUEST, str(path)]
                command += [arguments.model, arguments.engine, format, what]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                cpu, clock, memory, said = done.stdout.split()
                costs.append(f"{float(cpu):6.2f} {float(clock):6.2f} {float(memory):6.0f} {said}")
            print(
                f"{name:32} {path.stat().st_size / 1024:6.0f}   {costs[0]:28} {costs[1]}",
                flush=True,
            )


if __name__ == "__main__":
    main()
