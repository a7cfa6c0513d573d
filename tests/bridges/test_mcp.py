"""`glpn mcp` in a session of the official client: real processes, real messages, real metres."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import glpn
from glpn.errors import UsageError
from tests.cli import conftest as cli
from tests.cli.conftest import write_photo

pytest.importorskip("mcp", reason="mcp is not installed")
pytestmark = pytest.mark.slow
model = cli.model  # the fixture


@pytest.fixture
def call(model: Any, tmp_path: Path) -> Any:
    """Call tools in one session with `glpn mcp --root tmp_path`; returns their results."""
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    command, *args = map(str, cli.command("mcp", "-m", model, "--root", tmp_path, "--threads", 1))

    async def talk(requests: Any) -> Any:
        parameters = StdioServerParameters(command=command, args=args, env=dict(os.environ))
        async with (
            stdio_client(parameters, errlog=sys.__stderr__) as streams,
            ClientSession(*streams) as client,
        ):
            await client.initialize()
            tools = [tool.name for tool in (await client.list_tools()).tools]
            return tools, [await client.call_tool(name, values) for name, values in requests]

    return lambda *requests: anyio.run(talk, requests)


def test_an_assistant_reads_metres_and_lengths(call: Any, model: Any, tmp_path: Path) -> None:
    write_photo(tmp_path / "room.jpg")
    depth = glpn.load(model, threads=1)(tmp_path / "room.jpg", fov=60)
    given = {"photo": "room.jpg", "field_of_view": 60}
    ends = {"start": [1, 2], "end": [20, 9]}
    tools, results = call(
        ("photo_depth", {**given, "at": [[9, 4]]}),
        ("photo_length", {**given, **ends}),
        ("photo_length", {**given, **ends, "known_lengths": [[1, 2, 20, 9, 1.5]]}),
    )
    assert tools == ["photo_depth", "photo_length"]
    found, length, taped = (json.loads(result.content[0].text) for result in results)
    assert (found["height"], found["width"]) == depth.size
    assert found["at"] == [{"x": 9, "y": 4, "metres": pytest.approx(depth.at(9, 4), abs=6e-4)}]
    assert found["near_metres"] <= found["median_metres"] <= found["far_metres"]
    assert found["camera"] == depth.camera.source
    assert length["metres"] == pytest.approx(depth.between((1, 2), (20, 9)), abs=6e-4)
    assert taped["metres"] == 1.5
    assert "1 known length" in taped["note"]


def test_mistakes_are_explained_to_the_assistant(call: Any, tmp_path: Path) -> None:
    write_photo(tmp_path / "room.jpg")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    ends = {"photo": "room.jpg", "start": [1, 2], "end": [20, 9]}
    two = [[1, 2, 20, 9, 1.5], [3, 2, 3, 20, 2.5]]
    _, results = call(
        ("photo_depth", {"photo": "../room.jpg"}),
        ("photo_depth", {"photo": "absent.jpg"}),
        ("photo_depth", {"photo": "broken.jpg"}),
        ("photo_length", {"photo": "room.jpg", "start": [0, 0], "end": [9999, 0]}),
        ("photo_length", {**ends, "known_lengths": two, "focal_pixels": 90}),
        ("photo_length", {**ends, "known_lengths": two, "field_of_view": 60}),
    )
    assert all(result.is_error for result in results)
    texts = [result.content[0].text for result in results]
    both = "known_lengths: two solve the focal length, which is given; leave focal_pixels and"
    expected = (
        *("expected a photo below", "absent.jpg: no such file", "broken.jpg", "is outside"),
        *(both, both),
    )
    assert all(words in text for words, text in zip(expected, texts, strict=True)), texts


def test_a_missing_folder_is_named(
    capsys: pytest.CaptureFixture[str], model: Any, tmp_path: Path
) -> None:
    from glpn.cli import main

    assert main(["mcp", "-m", str(model), "--root", str(tmp_path / "nowhere")]) == 66
    assert "nowhere: no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    from glpn.serving.model_context import PhotoTools

    tools = PhotoTools(glpn.load(), tmp_path)
    with pytest.raises(UsageError, match="no name of a file") as caught:
        tools.photo_depth(name)
    assert len(str(caught.value)) < 120


def test_sigterm_ends_a_server_that_waits_for_input(model: Any, tmp_path: Path) -> None:
    line = cli.command("mcp", "-m", model, "--root", tmp_path, "--threads", 1)
    client = {"protocolVersion": "2025-03-26", "capabilities": {}}
    wrong = {"name": "photo_depth", "arguments": {"photo": "absent.jpg"}}
    messages = (
        {"id": 1, "method": "initialize", "params": {**client, "clientInfo": _CLIENT}},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": wrong},
    )
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(line, **pipes) as server:
        for message in messages:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        server.stdin.flush()
        assert b'"id":1' in server.stdout.readline()
        assert b"absent.jpg: no such file" in server.stdout.readline()
        server.terminate()
        assert server.wait(10) == 143  # its standard input is still open
        assert server.stderr.read() == b"stopped\n"  # a mistake of the client is no log record


_CLIENT = {"name": "a test", "version": "1"}
