"""The nginx configuration of the docs, in front of a real service."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.corpus.bytes_of import encoded, scene
from tests.serving.conftest import JPEG, read_all, serving, status_of, wait_for

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed"),
]
CONFIG = Path(__file__).parents[2] / "examples/nginx/glpn.conf"
NAME = "depth.example.org"
PHOTO = encoded(scene(), "JPEG")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def local(text: str, *, port: int, service: int) -> str:
    """The configuration without TLS, on free ports of the loopback."""
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = text.replace("server 127.0.0.1:8000;", f"server 127.0.0.1:{service};")
    return re.sub(r"^ *ssl_certificate.*$", "", text, flags=re.M)


@pytest.fixture(scope="module")
def proxy(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of nginx before a service that allows the public name."""
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    with serving(model, folder, "--allow-host", NAME) as service:
        (folder / "glpn.conf").write_text(
            local(CONFIG.read_text(), port=port, service=service.port)
        )
        temporary = "".join(
            f"{kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{temporary}include {folder}/glpn.conf;\n}}\n"
        )
        command = [NGINX, "-c", folder / "nginx.conf", "-p", folder, "-e", folder / "error.log"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            wait_for(lambda: answers(port) or process.poll() is not None)
            assert process.poll() is None, process.stderr.read()
            yield port
        finally:
            process.terminate()
            process.wait(20)
            process.stderr.close()


def answers(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, path: str, body: bytes | None = None, host: str = NAME) -> httpx.Response:
    headers = {"Host": host, **(JPEG if body is not None else {})}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        method = "GET" if body is None else "POST"
        return client.request(method, path, content=body, headers=headers)


def test_the_page_and_a_photo_pass(proxy: int) -> None:
    assert ask(proxy, "/").status_code == 200
    assert ask(proxy, "/v1/depth?at=10,10", PHOTO).json()["height"] == 96
    assert ask(proxy, "/v2/health/live").json() == {"live": True}


def test_other_hosts_stop_at_the_service(proxy: int) -> None:
    assert ask(proxy, "/v1/about", host="evil.example").status_code == 421


def test_a_large_body_stops_at_the_proxy(proxy: int) -> None:
    head = (
        f"POST /v1/depth HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {17 * 2**20}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", proxy), timeout=20) as connection:
        connection.sendall(head.encode())
        assert status_of(read_all(connection)) == 413


def test_slow_uploads_do_not_reach_the_service(proxy: int) -> None:
    head = (
        f"POST /v1/depth HTTP/1.1\r\nHost: {NAME}\r\nContent-Type: image/jpeg\r\n"
        "Content-Length: 90000\r\n\r\n"
    )
    connections = []
    for _ in range(10):
        connection = socket.create_connection(("127.0.0.1", proxy), timeout=20)
        connection.sendall(head.encode() + b"x" * 100)
        connections.append(connection)
    time.sleep(2.5)  # the rate limit of these ten requests passes
    assert ask(proxy, "/v1/depth", PHOTO).status_code == 200
    for connection in connections:
        connection.close()
