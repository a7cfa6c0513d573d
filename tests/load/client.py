"""A service in a process of its own, and clients that cost little. Only the loopback is used."""

from __future__ import annotations

import asyncio
import io
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import psutil
from PIL import Image

HOST = "127.0.0.1"
_TIMEOUT = 120.0  # seconds for one response


@dataclass
class Service:
    """A running `glpn serve`."""

    port: int
    process: subprocess.Popen[str]

    @property
    def rss_mb(self) -> float:
        """Resident memory."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    @property
    def open_files(self) -> int:
        """Open file descriptors."""
        return psutil.Process(self.process.pid).num_fds()


@contextmanager
def service(model: str, *options: str) -> Iterator[Service]:
    """A service for the block; SIGTERM ends it, and it must exit with 0."""
    command = [sys.executable, "-m", "glpn", "serve", "-m", model, "--port", "0", *options]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                log.seek(0)
                raise RuntimeError(log.read())
            yield Service(int(line.rsplit(":", 1)[1]), process)
            process.terminate()
            if process.wait(90) != 0:
                raise RuntimeError(f"the service exited with {process.returncode}")
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def photos(size: tuple[int, int] = (240, 320), count: int = 8) -> list[bytes]:
    """JPEGs of smooth noise, all different."""
    rng = np.random.default_rng(0)
    files = []
    for _ in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        buffer = io.BytesIO()
        coarse.resize(size[::-1], Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def head(length: int, query: str = "") -> bytes:
    """The head of a request for depth."""
    return (
        f"POST /v1/depth{query} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def ask(port: int, request: bytes) -> int:
    """The status of one response on a new connection; 0 where the connection broke."""
    try:
        async with asyncio.timeout(_TIMEOUT):  # type: ignore[attr-defined]  # Python 3.11
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(request)
                response = await reader.readuntil(b"\r\n\r\n")
                length = response.lower().partition(b"content-length:")[2].split()[0]
                await reader.readexactly(int(length))
                return int(response[9:12])
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError, IndexError):
        return 0


@dataclass
class Traffic:
    """Responses of one kind of client."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    async def ask(self, port: int, request: bytes) -> None:
        """One request, timed."""
        began = time.perf_counter()
        status = await ask(port, request)
        self.statuses[status] += 1
        self.seconds.append(time.perf_counter() - began)

    @property
    def median(self) -> float:
        """Seconds."""
        return float(np.median(self.seconds)) if self.seconds else 0.0

    @property
    def slowest(self) -> float:
        """Seconds."""
        return max(self.seconds, default=0.0)

    def figures(self) -> dict[str, object]:
        """Statuses and latencies as JSON types."""
        return {
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "median_ms": round(1000 * self.median, 1),
            "p99_ms": round(1000 * float(np.percentile(self.seconds or [0.0], 99)), 1),
            "slowest_ms": round(1000 * self.slowest, 1),
        }


async def in_turn(port: int, make: Callable[[int], bytes], until: Callable[[int], bool]) -> Traffic:
    """One client that sends its next request after each response."""
    traffic, count = Traffic(), 0
    while not until(count):
        await traffic.ask(port, make(count))
        count += 1
    return traffic


def for_seconds(seconds: float) -> Callable[[int], bool]:
    """A condition that becomes true after a time."""
    end = time.perf_counter() + seconds
    return lambda _count: time.perf_counter() > end


def hostile_files() -> list[bytes]:
    """Files that cost more than they should, or are not photos at all."""
    rng = random.Random(0)
    small = io.BytesIO()
    Image.new("RGB", (1, 1)).save(small, "PNG")
    wide = io.BytesIO()
    Image.new("L", (65_000, 1)).save(wide, "PNG")
    large = io.BytesIO()
    Image.new("RGB", (6000, 4000)).save(large, "PNG")
    photo = photos(count=1)[0]
    return [
        b"",
        rng.randbytes(100_000),
        small.getvalue(),
        wide.getvalue(),
        large.getvalue(),
        photo[: len(photo) // 2],
        photo[:2] + b"\xff\xf0\x00\x04ab" + photo[2:],
        b"GIF89a" + rng.randbytes(1000),
    ]
