"""`glpn serve` as a process of its own on a free port of the loopback, with a tiny model."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli import conftest as cli

model = cli.model  # the fixture
JPEG = {"Content-Type": "image/jpeg"}


class Service:
    """A running service."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self.line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)$", self.line.strip())
        assert found, self.line + log.read_text()
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        """Without the environment's proxies."""
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False, **options)

    def post(self, body: Any, headers: dict[str, str] = JPEG, **query: Any) -> httpx.Response:
        """Post one photo."""
        with self.client() as client:
            return client.post("/v1/depth", content=body, headers=headers, params=query)

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Get one path."""
        with self.client() as client:
            return client.get(path, **options)

    def metric(self, name: str) -> float:
        """One value of `/metrics`."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").text, re.M)
        return float(found[1]) if found else 0.0

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def say(self, data: bytes) -> bytes:
        """Send bytes as they are, and read to the end of the connection."""
        with self.connect() as connection:
            # It may refuse in the middle; what it said is there to read.
            with suppress(ConnectionResetError, BrokenPipeError):
                connection.sendall(data)
            return read_all(connection)

    @property
    def log(self) -> list[dict[str, Any]]:
        """Standard error, a JSON object a line."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        time.sleep(0.05)


def read_all(connection: socket.socket) -> bytes:
    """Everything up to the end of the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def status_of(answer: bytes) -> int:
    """Of the first answer; 0 where there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


@contextmanager
def serving(model: Path, folder: Path, *options: object, **popen: Any) -> Iterator[Service]:
    """A service for the block; ended by SIGTERM with exit code 0."""
    log = folder / "log.jsonl"
    arguments = ("serve", "-m", model, "--port", 0, "--threads", 1, *options)
    with log.open("w") as stderr:
        process = subprocess.Popen(
            cli.command(*arguments), stdout=subprocess.PIPE, stderr=stderr, text=True, **popen
        )
    with process:
        try:
            yield Service(process, log)
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def service(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With the default limits."""
    with serving(model, tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def start_bundled(tmp_path: Path) -> Callable[..., Any]:
    """`serving` of the bundled model in float32, with options of the test's own."""
    options = ("--precision", "float32", "--engine", "onnxruntime")
    return lambda *more: serving(Path("glpn-b0-indoor"), tmp_path, *options, *more)


@pytest.fixture
def start(model: Path, tmp_path: Path) -> Callable[..., Any]:
    """`serving` with options of the test's own."""
    return lambda *options, **popen: serving(model, tmp_path, *options, **popen)
