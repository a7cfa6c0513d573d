"""What the service promises under load, one scenario at a time.

    python -m tests.load.run [SCENARIO …] [--seconds 60] [--requests 10000] [--model NAME]

steady    One client after another for SECONDS: every response is 200.
overload  64 clients at once for SECONDS: only 200 and 503, and health answers throughout.
burst     1,000 connections at once: only 200 and 503, none is dropped.
leaving   200 clients that leave in the middle: their slots and file descriptors come back.
slow      2,000 idle connections and 40 slow uploads beside normal clients: these are answered.
hostile   Hostile files beside normal clients: a normal request takes at most four medians.
drift     REQUESTS mixed requests: memory grows by at most 2 % after the first thousand.

Prints one JSON object per scenario; exit code 1 where a promise is broken. Latencies mean something
only on a machine that does nothing else. Only the loopback is used.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import resource
import time
from collections.abc import Callable

from tests.load.client import (
    HOST,
    LIVE,
    Service,
    Traffic,
    ask,
    for_seconds,
    head,
    hostile_files,
    in_turn,
    photos,
    service,
)

_IDLE, _DRIPPING = 2000, 40  # connections
_MAX_MEDIANS = 4.0  # of a normal request beside hostile ones
_MAX_DRIFT = 0.02
_WARM_UP = 1000  # requests before memory is compared
_RETURN_SECONDS = 20.0  # for slots and descriptors to come back

Figures = dict[str, object]


def normal(count: int) -> bytes:
    """A request with a photo, in turn."""
    body = _PHOTOS[count % len(_PHOTOS)]
    return head(len(body)) + body


_PHOTOS = photos()


async def steady(running: Service, seconds: float, _requests: int) -> Figures:
    """One client after another."""
    traffic = await in_turn(running.port, normal, for_seconds(seconds))
    return {**traffic.figures(), "held": set(traffic.statuses) == {200}}


async def overload(running: Service, seconds: float, _requests: int) -> Figures:
    """More clients than slots."""
    until = for_seconds(seconds)
    clients = [in_turn(running.port, normal, until) for _ in range(64)]
    health, *loads = await asyncio.gather(in_turn(running.port, lambda _: LIVE, until), *clients)
    statuses = sum((load.statuses for load in loads), Traffic().statuses)
    held = set(statuses) <= {200, 503} and statuses[200] > 0 and set(health.statuses) == {200}
    return {"statuses": dict(statuses), "health": health.figures(), "held": held}


async def burst(running: Service, _seconds: float, _requests: int, count: int = 1000) -> Figures:
    """Many connections at one moment."""
    traffic = Traffic()
    await asyncio.gather(*(traffic.ask(running.port, normal(k)) for k in range(count)))
    after = await ask(running.port, normal(0))
    held = set(traffic.statuses) <= {200, 503} and traffic.statuses[200] > 0 and after == 200
    return {**traffic.figures(), "held": held}


async def leaving(running: Service, _seconds: float, _requests: int, count: int = 200) -> Figures:
    """Clients that close at every stage of a request."""
    files = running.open_files
    for k in range(count):
        _, writer = await asyncio.open_connection(HOST, running.port)
        request = normal(k)
        writer.write(request[: (k % 10 + 1) * len(request) // 10])
        await writer.drain()
        writer.close()
    end = time.monotonic() + _RETURN_SECONDS
    while running.open_files > files and time.monotonic() < end:
        await asyncio.sleep(0.1)
    left = running.open_files  # before the next request, which opens one
    after = await ask(running.port, normal(0))
    return {"files": [files, left], "after": after, "held": after == 200 and left <= files}


async def slow(running: Service, seconds: float, _requests: int, idle: int = _IDLE) -> Figures:
    """Idle connections and slow uploads beside normal clients."""
    writers = [(await asyncio.open_connection(HOST, running.port))[1] for _ in range(idle)]
    for _ in range(_DRIPPING):
        _, writer = await asyncio.open_connection(HOST, running.port)
        writer.write(head(90_000) + b"x" * 100)
        writers.append(writer)
    until = for_seconds(seconds)
    health, traffic = await asyncio.gather(
        in_turn(running.port, lambda _: LIVE, until), in_turn(running.port, normal, until)
    )
    for writer in writers:
        writer.close()
    held = set(traffic.statuses) == set(health.statuses) == {200}
    return {**traffic.figures(), "health": health.figures(), "held": held}


async def hostile(running: Service, seconds: float, _requests: int) -> Figures:
    """Hostile files beside a normal client."""
    alone = await in_turn(running.port, normal, for_seconds(seconds / 4))
    files = hostile_files()

    def attack(count: int) -> bytes:
        body = files[count % len(files)]
        return head(len(body)) + body

    until = for_seconds(seconds)
    beside, attacked = await asyncio.gather(
        in_turn(running.port, normal, until), in_turn(running.port, attack, until)
    )
    held = (
        set(beside.statuses) == {200}
        and set(attacked.statuses) <= {200, 400, 413, 415, 422}
        and beside.median <= _MAX_MEDIANS * alone.median
    )
    return {
        "alone": alone.figures(),
        "beside": beside.figures(),
        "hostile": attacked.figures(),
        "held": held,
    }


async def drift(running: Service, _seconds: float, requests: int) -> Figures:
    """Memory over many mixed requests."""
    files = itertools.cycle(hostile_files())
    queries = itertools.cycle(["", "?at=10,10", "?format=png16", "?format=vis", "?format=npz"])
    warm_up = min(_WARM_UP, requests // 2)
    before = 0.0
    for k in range(requests):
        body = next(files) if k % 5 == 4 else _PHOTOS[k % len(_PHOTOS)]
        await ask(running.port, head(len(body), next(queries)) + body)
        if k == warm_up:
            before = running.rss_mb
    growth = running.rss_mb / before - 1
    return {"rss_mb": before, "growth": round(growth, 4), "held": growth <= _MAX_DRIFT}


SCENARIOS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (steady, overload, burst, leaving, slow, hostile, drift)
}


def run(name: str, model: str, *, seconds: float, requests: int, **sizes: int) -> Figures:
    """One scenario against a service of its own."""
    _raise_open_files()
    with service(model) as running:
        scenario = SCENARIOS[name]

        async def main() -> Figures:
            assert await ask(running.port, normal(0)) == 200  # warm
            return await scenario(running, seconds, requests, **sizes)  # type: ignore[misc]

        return asyncio.run(main())


def _raise_open_files() -> None:
    """2,000 connections need as many file descriptors in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(4096, hard)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--model", default="glpn-b0-indoor")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"expected some of {', '.join(SCENARIOS)}; got {', '.join(sorted(unknown))}")
    broken = False
    for name in options.scenarios or SCENARIOS:
        figures = run(name, options.model, seconds=options.seconds, requests=options.requests)
        print(json.dumps({name: figures}), flush=True)
        broken = broken or not figures["held"]
    return int(broken)


if __name__ == "__main__":
    raise SystemExit(main())
