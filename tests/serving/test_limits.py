"""Requests that the service refuses, byte by byte."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glpn.serving.server import listen
from tests.corpus.bytes_of import encoded, scene
from tests.serving.conftest import JPEG, Service, read_all, serving, status_of

PHOTO = encoded(scene(), "JPEG")
HEAD = b"POST /v1/depth HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"


@pytest.fixture(scope="module")
def small(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Takes 100 KiB and waits one second."""
    with serving(
        model, tmp_path_factory.mktemp("small"), "--max-body", "100KiB", "--deadline", 1
    ) as running:
        yield running


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"Content-Type: text/plain\r\n",
        b"Content-Type: image/jpeg\r\nContent-Encoding: gzip\r\n",
        b"Content-Type: image/jpeg\r\nContent-Encoding: identity\r\nContent-Encoding: br\r\n",
    ],
)
def test_other_content_types_are_refused_before_the_body(small: Service, headers: bytes) -> None:
    with small.connect() as connection:
        connection.sendall(
            b"POST /v1/depth HTTP/1.1\r\nHost: localhost\r\n"
            + headers
            + b"Content-Length: 50000\r\n\r\n"
        )
        assert status_of(connection.recv(4096)) == 415  # not a byte of the body was sent


def test_a_declared_length_over_the_limit_is_refused_before_the_body(small: Service) -> None:
    with small.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 102401\r\nExpect: 100-continue\r\n\r\n")
        assert status_of(connection.recv(4096)) == 413


def test_the_limit_itself_is_allowed(small: Service) -> None:
    assert small.post(PHOTO.ljust(102400, b"\0")).status_code == 200
    assert small.post(PHOTO.ljust(102401, b"\0")).status_code == 413


@pytest.mark.slow
def test_a_chunked_body_is_cut_where_it_crosses_the_limit(small: Service) -> None:
    chunk = b"2800\r\n" + bytes(0x2800) + b"\r\n"  # 10 KiB
    with small.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 11 * chunk)
        answer = connection.recv(4096)  # the body has not ended
        assert status_of(answer) == 413 and b"connection: close" in answer.lower()
        connection.settimeout(5)
        read_all(connection)


def test_a_good_chunked_body_is_read(small: Service) -> None:
    assert small.post(iter([PHOTO[:1000], PHOTO[1000:]])).status_code == 200


def test_a_length_that_is_too_short_ends_the_connection(small: Service) -> None:
    answer = small.say(HEAD + b"Content-Length: 100\r\n\r\n" + PHOTO)
    assert status_of(answer) == 422 and answer.count(b"HTTP/1.1 ") <= 2
    assert b" 200 " not in answer


@pytest.mark.slow
def test_a_length_that_is_too_long_ends_at_the_deadline(small: Service) -> None:
    start = time.monotonic()
    answer = small.say(HEAD + b"Content-Length: 90000\r\n\r\n" + PHOTO)
    assert status_of(answer) == 408
    assert 0.9 < time.monotonic() - start < 8


@pytest.mark.slow
def test_a_dripping_body_ends_at_the_deadline(small: Service) -> None:
    with small.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 90000\r\n\r\n")
        for _ in range(8):
            time.sleep(0.2)
            connection.sendall(b"x")
        assert status_of(connection.recv(4096)) == 408


@pytest.mark.slow
@pytest.mark.parametrize("beginning", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_idle_connections_and_slow_headers_are_closed(small: Service, beginning: bytes) -> None:
    with small.connect() as connection:
        connection.sendall(beginning)
        start = time.monotonic()
        while time.monotonic() - start < 8:
            connection.settimeout(0.2)
            try:
                if beginning:
                    connection.sendall(b"h")
                if not connection.recv(100):
                    break
            except TimeoutError:
                continue
            except (ConnectionResetError, BrokenPipeError):
                break
        assert 0.5 < time.monotonic() - start < 6


@pytest.mark.slow
def test_an_idle_keep_alive_connection_is_closed(small: Service) -> None:
    with small.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status_of(connection.recv(4096)) == 200
        connection.sendall(b"GET /v2")
        start = time.monotonic()
        read_all(connection)
        assert time.monotonic() - start < 6


@pytest.mark.slow
def test_a_client_that_does_not_read_is_cut_off(small: Service) -> None:
    large = encoded(np.zeros((2000, 3000, 3), np.uint8), "PNG")  # 24 MB of float32
    head = (
        "POST /v1/depth?format=npz HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        f"Content-Length: {len(large)}\r\n\r\n"
    )
    with small.connect() as connection:
        connection.sendall(head.encode() + large)
        start = connection.recv(100)
        assert status_of(start) == 200
        time.sleep(3)  # the deadline is one second
        assert len(read_all(connection)) < 24_000_000


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        HEAD + b"Content-Length: -5\r\n\r\nhello",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2**20 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: x\r\n" * 10_000 + b"\r\n",
        b"\x16\x03\x01 not HTTP\r\n\r\n",
    ],
    ids=["both", "two-lengths", "negative", "bad-chunk", "1MB-header", "10000-headers", "no-http"],
)
def test_ambiguous_and_oversized_headers_are_refused(small: Service, head: bytes) -> None:
    answer = small.say(head + b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n")
    # A client that is cut off while it sends may lose the answer; never is there a second one.
    assert status_of(answer) in (400, 431) or (not answer and len(head) > 16_384)
    assert answer.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/depth", 405),
        ("HEAD", "/v1/depth", 405),
        ("PUT", "/v1/depth", 405),
        ("POST", "/", 405),
        ("POST", "/v1/depth/", 404),
        ("GET", "/nothing", 404),
        ("GET", "/static/..%2f..%2fetc/passwd", 404),
        ("GET", "/static/../page.py", 404),
        ("GET", "/static/", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%00", 404),
        ("GET", "/%ff", 404),
        ("GET", "/docs/oauth2-redirect", 404),
    ],
)
def test_other_methods_and_paths(small: Service, method: str, path: str, status: int) -> None:
    line = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert status_of(small.say(line.encode())) == status


@pytest.mark.slow
def test_a_missing_or_wrong_key_is_refused(start: Callable[..., Any]) -> None:
    with start("--api-key-env", "TEST_KEY", env={**os.environ, "TEST_KEY": "open-sesame"}) as kept:
        assert kept.post(PHOTO).status_code == 401
        assert kept.post(PHOTO, {**JPEG, "X-API-Key": "open"}).status_code == 401
        assert kept.post(PHOTO, {**JPEG, "X-API-Key": "open-sesame"}).status_code == 200
        assert kept.get("/v2/health/live").status_code == 200
        assert "sesame" not in str(kept.log)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--api-key-env", "NO_SUCH_VARIABLE"],
        ["--max-body", "16GB"],
        ["--deadline", "nan"],
        ["--queue", "-1"],
        ["--host", "256.1.1.1"],
        ["--cors", "*"],
        ["--cors", "https://a.example/path"],
    ],
)
def test_impossible_options_are_usage_errors(
    model: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from glpn.cli import main

    assert main(["serve", "-m", str(model), "--port", "0", *arguments]) == 2
    assert arguments[0] in capsys.readouterr().err


def test_connections_have_tcp_nodelay() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_taken_port_is_a_usage_error(
    model: Path, small: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    from glpn.cli import main

    assert main(["serve", "-m", str(model), "--port", str(small.port)]) == 2
    assert "cannot listen" in capsys.readouterr().err
