"""Fuzz the readers of untrusted bytes.

    python -m tests.fuzz.run [TARGET ...] [--seconds 900] [--seed 0]

With atheris installed, a run is guided by coverage; otherwise seeds are mutated at random. A run
fails when anything other than `GLPNError` leaves a reader, when one input takes more than 5 seconds
of processor time, or when the peak of memory grows by more than 1 GB. The input is then written to
`fuzz-TARGET-HASH.bin` in the working directory: turn it into a test that makes it.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import time
import warnings
from pathlib import Path
from random import Random

from glpn.errors import GLPNError
from tests.fuzz.targets import TARGETS, Target

MAX_SECONDS = 5.0
MAX_MEGABYTES = 1_000
_MAX_INPUT_BYTES = 2**20


class Finding(AssertionError):
    """An input that a reader does not withstand."""


def check(target: Target, data: bytes) -> None:
    """Read one input.

    Raises:
        Finding: another exception than GLPNError, a warning, too much time or memory.
    """
    peak, began = _peak_megabytes(), time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            target.read(data)
    except GLPNError as e:
        if len(str(e)) > 2_000:
            raise Finding(f"a message of {len(str(e))} characters") from e
    except Exception as e:
        raise Finding(f"{type(e).__name__}: {e}") from e
    if (seconds := time.process_time() - began) > MAX_SECONDS:
        raise Finding(f"{seconds:.1f} s of processor time")
    if (grown := _peak_megabytes() - peak) > MAX_MEGABYTES:
        raise Finding(f"the peak of memory grew by {grown:.0f} MB")


def fuzz(target: Target, *, seconds: float, seed: int = 0, inputs: int | None = None) -> int:
    """Mutate seeds at random for some time, or `inputs` times; returns how many were read.

    Raises:
        Finding: as `check`; its `data` is the input.
    """
    random = Random(seed)
    seeds = list(target.seeds())
    for data in (*seeds, b"", *target.tokens):
        _check_and_keep(target, data)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end and count != inputs:
        _check_and_keep(target, _mutated(random, random.choice(seeds), target))
        count += 1
    return count


def _check_and_keep(target: Target, data: bytes) -> None:
    try:
        check(target, data)
    except Finding as e:
        e.data = data  # type: ignore[attr-defined]
        raise


def _mutated(random: Random, data: bytes, target: Target) -> bytes:
    """One to six changes: bytes flipped, cut, repeated, swapped for a token."""
    mutated = bytearray(data)
    for _ in range(random.randint(1, 6)):
        at = random.randint(0, len(mutated))
        length = random.choice((1, 1, 2, 4, 8, random.randint(0, 64)))
        kind = random.randrange(6)
        if kind == 0 and mutated:
            mutated[at % len(mutated)] = random.randrange(256)
        elif kind == 1:
            del mutated[at : at + length]
        elif kind == 2:
            mutated[at:at] = mutated[at : at + length] * random.choice((1, 2, 50))
        elif kind == 3:
            mutated[at : at + length] = random.randbytes(length)
        elif kind == 4 and target.tokens:
            token = random.choice(target.tokens)
            mutated[at : at + random.choice((0, len(token)))] = token
        elif kind == 5:
            number = random.choice((0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
            order = random.choice(("little", "big"))
            mutated[at : at + 4] = number.to_bytes(4, order)
    return bytes(mutated[:_MAX_INPUT_BYTES])


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _with_atheris(target: Target, seconds: float) -> None:
    """Guided by coverage; atheris ends the process."""
    import atheris

    corpus = Path("fuzz-corpus")
    corpus.mkdir(exist_ok=True)
    for data in target.seeds():
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    atheris.instrument_all()
    options = [sys.argv[0], f"-max_total_time={seconds:.0f}", str(corpus)]
    atheris.Setup(options, lambda data: check(target, data))
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=float, default=900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--atheris", action="store_true", help="guide one target by coverage")
    arguments = parser.parse_args()
    code = 0
    for name in arguments.targets or TARGETS:
        if arguments.atheris:
            _with_atheris(TARGETS[name], arguments.seconds)
        try:
            count = fuzz(TARGETS[name], seconds=arguments.seconds, seed=arguments.seed)
            print(f"{name}: {count} inputs in {arguments.seconds:g} s, no finding", flush=True)
        except Finding as e:
            data: bytes = e.data  # type: ignore[attr-defined]
            path = Path(f"fuzz-{name}-{hashlib.sha256(data).hexdigest()[:8]}.bin")
            path.write_bytes(data)
            print(f"{name}: {e}; the input is {path}", flush=True)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
