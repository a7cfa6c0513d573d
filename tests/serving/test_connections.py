"""Hosts, request lines and connections: what a hostile or slow client cannot do to others."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from glpn.serving.error_responses import Refusal
from glpn.serving.limits import require_host
from tests.corpus.bytes_of import encoded, scene
from tests.serving.conftest import JPEG, Service, read_all, status_of

PHOTO = encoded(scene(), "JPEG")
HEAD = b"POST /v1/depth HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
DRIPPING, IDLE = (
    60,
    1200,
)  # connections; the queue has 36 slots, the service of the test 900 connections


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("localhost:8000", None, None),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", None),
        ("[::1]:8000", None, None),
        ("192.168.1.7", None, None),
        ("Depth.Example.", None, None),
        (None, None, None),
        ("evil.example", None, 421),
        ("localhost.evil.example", None, 421),
        ("localhost@evil.example", None, 421),
        ("[", None, 421),
        ("", None, 421),
        ("localhost:8000", "http://evil.example", 403),
        ("localhost:8000", "http://localhost:9000", 403),
        ("localhost:8000", "null", 403),
        ("localhost:8000", "https://depth.example", None),
    ],
)
def test_foreign_hosts_and_origins_are_refused(
    host: str | None, origin: str | None, status: int | None
) -> None:
    values = {"host": host, "origin": origin}
    headers = Headers({name: value for name, value in values.items() if value is not None})
    try:
        require_host(headers, frozenset({"depth.example"}))
        refused = None
    except Refusal as refusal:
        refused = refusal.status
    assert refused == status


def test_a_star_allows_every_host() -> None:
    require_host(Headers({"host": "a.example", "origin": "http://b.example"}), frozenset({"*"}))


def test_a_foreign_host_may_only_check_health(service: Service) -> None:
    foreign = {"Host": "evil.example"}
    assert service.get("/v1/about", headers=foreign).status_code == 421
    assert service.post(PHOTO, {**JPEG, **foreign}).status_code == 421
    assert service.get("/v2/health/live", headers=foreign).status_code == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["2.0", "preface", "0.9", "named-0.9", "blank", "no-host"],
)
def test_other_versions_of_http_are_refused_at_once(service: Service, head: bytes) -> None:
    start = time.monotonic()
    response = service.say(head)
    assert status_of(response) == 400 and b'{"error": ' in response
    assert time.monotonic() - start < 8  # the deadline is 15 s


def test_a_chunk_above_the_limit_is_refused_before_it_arrives(service: Service) -> None:
    start = time.monotonic()
    with service.connect() as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 20 + b"\r\nx")
        assert status_of(connection.recv(4096)) == 413
    assert time.monotonic() - start < 8


def test_a_half_closed_client_gets_its_response(service: Service) -> None:
    with service.connect() as connection:
        connection.sendall(HEAD + f"Content-Length: {len(PHOTO)}\r\n\r\n".encode() + PHOTO)
        connection.shutdown(socket.SHUT_WR)
        assert status_of(read_all(connection)) == 200


def test_options_names_the_methods(service: Service) -> None:
    with service.client() as client:
        assert client.options("/v1/depth").headers["allow"] == "POST, OPTIONS"
        assert client.options("/v1/about").headers["allow"] == "GET, OPTIONS"
        assert client.options("/nowhere").status_code == 404


def test_models_are_listed(service: Service, model: Path) -> None:
    assert service.get("/v2/models").json() == {"models": [{"name": model.name, "ready": True}]}


def test_dripping_bodies_take_no_slot(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(DRIPPING):
            connection = stack.enter_context(service.connect())
            connection.sendall(HEAD + b"Content-Length: 90000\r\n\r\n" + bytes(100))
        assert service.post(PHOTO).status_code == 200
        assert service.get("/v2/health/live").status_code == 200


@pytest.mark.slow
def test_idle_connections_do_not_block_clients(start: Callable[..., Any]) -> None:
    """With the usual limit of 1024 open files in the service."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 200:
        pytest.skip("too few open files allowed")
    usual = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))  # noqa: E731
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 200), hard))
    try:
        with start(preexec_fn=usual) as service, ExitStack() as stack:
            for _ in range(IDLE):
                stack.enter_context(service.connect())
            assert service.post(PHOTO).status_code == 200
            assert service.get("/v2/health/live").status_code == 200
            assert not [line for line in service.log if line["level"] == "error"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.slow
def test_arriving_bodies_share_a_memory_limit(start: Callable[..., Any]) -> None:
    # One waiting request and four workers: 500 KiB for all bodies that arrive.
    with start("--max-body", "100KiB", "--queue", 1) as service, ExitStack() as stack:
        slots = 1 + 4
        for _ in range(slots):
            connection = stack.enter_context(service.connect())
            connection.sendall(HEAD + b"Content-Length: 102400\r\n\r\n" + bytes(102_000))
        connection = stack.enter_context(service.connect())
        connection.sendall(HEAD + b"Content-Length: 102400\r\n\r\n" + bytes(102_000))
        assert status_of(connection.recv(4096)) == 503
