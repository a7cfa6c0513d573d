"""What `glpn serve` bears: capacity, 0.8 of it for minutes, four times it, and its end under load.

    python benchmarks/serving.py [STEP …] [--minutes 5] [--size 480x640] [-o serving.json]

Needs glpn[serve]. Photographs differ in content and, every fourth, in shape. With -o, what a step
finds is kept there for the later ones, so that they can run one at a time. All, without a STEP:

capacity  engine: the library's own rate in this process, as `glpn predict` runs a folder: a picture
          a core where the engine gains by it. single: one client, one request at a time; its median
          is what `steady` is judged by. capacity: eight clients, each asking again as soon as it is
          answered; at least 0.95 of the engine's rate. Five rounds of all three, SECONDS each in
          all; the medians count, of the share too.
steady    Requests come evenly spaced (as wrk2 and vegeta send them) at 0.8 of capacity for MINUTES;
          100 % answered 200 and p99 at most four times the single median.
random    The same with exponential gaps, for a minute; reported, not judged: by queueing theory,
          two servers at 0.8 have a p99 of some six service times then.
overload  The same, evenly spaced, at four times capacity; only 200 and 503, at least 0.9 of
          capacity (the mean of right before and after) answered 200, /v2/health/live within 100 ms
          each time.
ends      A service under load gets SIGTERM, again and again; every request it
          accepted, one whose body it had begun to read, is answered whole.

The clients run in a process of their own beside the service and take their share of the same cores.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

STEPS = ("capacity", "steady", "random", "overload", "ends")
CLIENTS = 8
SHARE, OVER = 0.8, 4.0
ROUNDS = 5  # of the capacity; the medians count
BESIDE = 5.0  # seconds before and after a load in which the capacity is looked at once more
LIVE_EVERY = 0.25  # seconds
PATH = "/v1/depth?at=10,10"


def photographs(size: tuple[int, int], count: int = 12) -> list[bytes]:
    """JPEGs that differ; every fourth is upright, so that not all can share a batch."""
    rng = np.random.default_rng(0)
    pictures = []
    for k in range(count):
        height, width = size if k % 4 else size[::-1]
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        buffer = io.BytesIO()
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        pictures.append(buffer.getvalue())
    return pictures


@contextmanager
def service(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running `glpn serve` and its address."""
    command = [sys.executable, "-m", "glpn", "serve", "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[-1]
    finally:
        process.kill()
        process.wait()


class Web:
    """A client that costs little, since it shares the service's cores: kept connections, no parsing
    beyond the status and the length."""

    def __init__(self, url: str) -> None:
        self.host, port = url.removeprefix("http://").split(":")
        self.port = int(port)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> tuple[int, float]:
        """(status, seconds) of one picture; 0 where the connection broke."""
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
        return await self._ask(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def live(self) -> tuple[int, float]:
        """The same of the service's sign of life."""
        return await self._ask(b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")

    async def _ask(self, request: bytes) -> tuple[int, float]:
        began = time.perf_counter()
        try:
            reader, writer = await self._connection()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split()[0]))
        except (OSError, asyncio.IncompleteReadError):
            return 0, time.perf_counter() - began
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head[9:12]), time.perf_counter() - began

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """An idle one that the server has not closed since, as HTTP clients take, or a new one."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return await self._open()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port)


async def closed(url: str, bodies: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    """Clients that each wait for their answer: images per second and the median latency."""
    times: list[float] = []
    web = Web(url)
    await web.post(bodies[0])
    began = time.perf_counter()

    async def one(first: int) -> None:
        k = first
        while time.perf_counter() - began < seconds:
            status, taken = await web.post(bodies[k % len(bodies)])
            assert status == 200, status
            times.append(taken)
            k += clients

    await asyncio.gather(*(one(k) for k in range(clients)))
    took = time.perf_counter() - began
    return {"per_s": len(times) / took, "median_ms": 1000 * statistics.median(times)}


async def arrivals(
    url: str, bodies: list[bytes], gaps: Iterator[float], seconds: float
) -> dict[str, object]:
    """Requests after each gap, answered or not, and a look at /v2/health/live beside."""
    answers: list[tuple[int, float]] = []
    lives: list[float] = []
    web, probe = Web(url), Web(url)
    began = time.perf_counter()

    async def request(k: int) -> None:
        answers.append(await web.post(bodies[k % len(bodies)]))

    async def look() -> None:
        while True:
            status, taken = await probe.live()
            lives.append(taken if status == 200 else math.inf)
            await asyncio.sleep(LIVE_EVERY)

    looking = asyncio.create_task(look())
    running: list[asyncio.Task[None]] = []
    due = began
    while due < began + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        running.append(asyncio.create_task(request(len(running))))
        due += next(gaps)
    await asyncio.gather(*running)
    took = time.perf_counter() - began
    looking.cancel()
    good = [taken for status, taken in answers if status == 200]
    return {
        "statuses": dict(Counter(str(status) for status, _ in answers)),
        "good_per_s": len(good) / took,
        "median_ms": 1000 * statistics.median(good),
        "p99_ms": 1000 * float(np.percentile(good, 99)),
        "live_max_ms": 1000 * max(lives),
    }


async def end_under_load(process: subprocess.Popen[str], url: str, body: bytes) -> dict[str, int]:
    """SIGTERM while clients ask; what became of the requests that the service had accepted."""
    host, port = url.removeprefix("http://").split(":")
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: image/jpeg\r\nConnection: close\r\n"
    )
    whole = f"{head}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    outcome: Counter[str] = Counter()

    async def one() -> None:
        while True:
            accepted = False
            try:
                reader, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                return  # it listens no more
            try:
                writer.write(whole)
                first = await reader.readuntil(b"\r\n\r\n")
                accepted = b" 100 " in first  # its place is taken and it asks for the body
                writer.write(body)
                rest = first if not accepted else await reader.read()
                outcome["answered" if b" 200 " in rest or b" 503 " in rest else "lost"] += 1
            except (OSError, asyncio.IncompleteReadError):
                outcome["lost" if accepted else "not accepted"] += 1
            finally:
                writer.close()

    clients = [asyncio.create_task(one()) for _ in range(CLIENTS)]
    await asyncio.sleep(random.Random(process.pid).uniform(0.3, 1.0))
    process.send_signal(signal.SIGTERM)
    await asyncio.gather(*clients)
    code = await asyncio.to_thread(process.wait, 60)
    return {**outcome, "exit_code": code}


def gaps_of(rate: float, at_random: bool) -> Iterator[float]:
    """Seconds from one request to the next."""
    rng = random.Random(0)
    while True:
        yield rng.expovariate(rate) if at_random else 1 / rate


class Library:
    """The library itself, decoding and enlarging included, as `glpn predict` runs a folder."""

    def __init__(self, bodies: list[bytes], options: argparse.Namespace) -> None:
        from glpn.engines.options import EngineOptions
        from glpn.jobs import SharedEstimator

        model = EngineOptions(options.model, threads=options.threads)
        network = SharedEstimator(model, photos=len(bodies))
        self.bodies = bodies
        self.estimator = network.estimator()
        self.threads = network.concurrency + 2  # as many as `glpn predict` has
        self.rate(0)

    def rate(self, seconds: float) -> float:
        """Images per second."""
        from glpn.concurrency import map_ordered

        began = time.perf_counter()
        more = takewhile(lambda _: time.perf_counter() - began < seconds, cycle(self.bodies))
        bodies = more if seconds else self.bodies
        count = sum(1 for _ in map_ordered(self.estimator, bodies, threads=self.threads))
        return count / (time.perf_counter() - began)


Figures = dict[str, Any]


def capacity(bodies: list[bytes], _known: Figures, options: argparse.Namespace) -> Figures:
    """Library, one client, eight clients by turns: machines are faster now and slower then."""
    library = Library(bodies, options)
    rounds: list[tuple[float, Figures, Figures]] = []
    seconds = options.seconds / ROUNDS
    with service(*serve_options(options)) as (_, url):
        asyncio.run(closed(url, bodies, CLIENTS, 2))  # every thread has run once
        for _ in range(ROUNDS):
            alone = library.rate(seconds)
            single, full = (asyncio.run(closed(url, bodies, n, seconds)) for n in (1, CLIENTS))
            rounds.append((alone, single, full))

    return {
        "engine_per_s": statistics.median(alone for alone, _, _ in rounds),
        "single": {
            key: statistics.median(one[key] for _, one, _ in rounds) for key in rounds[0][1]
        },
        **{key: statistics.median(all_[key] for _, _, all_ in rounds) for key in rounds[0][2]},
        "share": statistics.median(all_["per_s"] / alone for alone, _, all_ in rounds),
        "shares": [round(all_["per_s"] / alone, 3) for alone, _, all_ in rounds],
    }


def load(
    share: float, seconds: float, at_random: bool, known: Figures, options: argparse.Namespace
) -> Figures:
    """So many times the capacity, for so long."""
    bodies = photographs(options.size)
    gaps = gaps_of(share * known["capacity"]["per_s"], at_random)
    with service(*serve_options(options)) as (_, url):
        asyncio.run(closed(url, bodies, CLIENTS, 2))  # every thread has run once
        before = asyncio.run(closed(url, bodies, CLIENTS, BESIDE))
        gc.collect()
        gc.freeze()  # a pause here would be counted as one of the service
        figures = asyncio.run(arrivals(url, bodies, gaps, seconds))
        after = asyncio.run(closed(url, bodies, CLIENTS, BESIDE))
    return {**figures, "capacity_beside": (before["per_s"] + after["per_s"]) / 2}


def ends(bodies: list[bytes], options: argparse.Namespace) -> Figures:
    outcome: Counter[str] = Counter()
    for _ in range(options.sigterms):
        with service(*serve_options(options)) as (process, url):
            end = asyncio.run(end_under_load(process, url, bodies[1]))
        outcome["exited with 0"] += end.pop("exit_code") == 0
        outcome.update(end)
    return {"sigterms": options.sigterms, "lost": 0, **outcome}


def serve_options(options: argparse.Namespace) -> list[str]:
    return ["-m", options.model, "--threads", str(options.threads)]


def run_step(step: str, known: Figures, options: argparse.Namespace) -> Figures:
    if step == "capacity":
        return capacity(photographs(options.size), known, options)
    if step == "ends":
        return ends(photographs(options.size), options)
    share = OVER if step == "overload" else SHARE
    seconds = {"steady": 60 * options.minutes, "random": 60.0, "overload": options.seconds}[step]
    return load(share, seconds, step == "random", known, options)


def held(known: Figures) -> Figures:
    """What was promised, of the steps that ran."""
    verdict: Figures = {}
    if capacity := known.get("capacity"):
        share = capacity["share"]
        verdict["throughput at least 0.95 of the engine's"] = (share >= 0.95, share)
    if steady := known.get("steady"):
        ratio = steady["p99_ms"] / known["capacity"]["single"]["median_ms"]
        verdict["steady: all answered"] = (set(steady["statuses"]) == {"200"}, steady["statuses"])
        verdict["steady: p99 at most 4 single medians"] = (ratio <= 4, ratio)
    if over := known.get("overload"):
        share = over["good_per_s"] / over["capacity_beside"]
        verdict["overload: only 200, 503"] = (
            set(over["statuses"]) <= {"200", "503"},
            over["statuses"],
        )
        verdict["overload: goodput at least 0.9 of capacity"] = (share >= 0.9, share)
        verdict["overload: live within 100 ms"] = (over["live_max_ms"] <= 100, over["live_max_ms"])
    if ended := known.get("ends"):
        verdict["ends: no accepted request lost"] = (ended["lost"] == 0, ended["lost"])
        exits = ended["exited with 0"]
        verdict["ends: exit code 0"] = (exits == ended["sigterms"], exits)
    return verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"some of {', '.join(STEPS)}")
    parser.add_argument("--minutes", type=float, default=5, help="of steady")
    parser.add_argument("--seconds", type=float, default=20, help="of the parts of other steps")
    parser.add_argument("--size", type=size_of, default="480x640")
    parser.add_argument("--sigterms", type=int, default=20)
    parser.add_argument("--model", default="glpn-b0-indoor")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    if unknown := set(options.steps) - set(STEPS):
        parser.error(f"expected some of {', '.join(STEPS)}; got {', '.join(sorted(unknown))}")
    known: Figures = {}
    if options.output and options.output.exists():
        known = json.loads(options.output.read_text())
    for step in options.steps or STEPS:
        if step not in ("capacity", "ends") and "capacity" not in known:
            parser.error(f"{step} needs the capacity: run that step before, with the same -o")
        known[step] = run_step(step, known, options)
        print(json.dumps({step: known[step]}), flush=True)
        if options.output:
            options.output.write_text(json.dumps(known, indent=2) + "\n")
    for promise, (kept, figure) in held(known).items():
        print(f"{'held' if kept else 'NOT HELD'}: {promise}: {figure}")


def size_of(text: str) -> tuple[int, int]:
    height, width = map(int, text.split("x"))
    return height, width


if __name__ == "__main__":
    main()
