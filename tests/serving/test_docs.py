"""The commands of docs/serving.md run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glpn.depth.colormaps import COLORMAPS
from glpn.depth.reading import read_depth
from glpn.serving.query import MEDIA_TYPES
from tests.cli.conftest import write_photo
from tests.corpus.images import HEIGHT, WIDTH
from tests.serving.conftest import Service

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs/serving.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)
    for line in block.splitlines()
]


def test_the_page_names_every_format_and_colour_map() -> None:
    assert all(f"`{name}`" in PAGE for name in (*MEDIA_TYPES, *COLORMAPS))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_documented_requests_are_answered(service: Service, tmp_path: Path) -> None:
    write_photo(tmp_path / "photo.jpg")
    lines = [line for line in COMMANDS if line.startswith("curl ")]
    assert len(lines) == 2
    for line in lines:
        here = shlex.split(line.replace("http://127.0.0.1:8000", service.url))
        done = subprocess.run(
            [here[0], "--noproxy", "*", "--fail", *here[1:]],
            cwd=tmp_path,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
    assert read_depth(tmp_path / "depth.png").size == (HEIGHT, WIDTH)


def test_the_documented_service_commands_start(start: Callable[..., Any]) -> None:
    lines = [shlex.split(line)[2:] for line in COMMANDS if line.startswith("glpn serve")]
    assert len(lines) == 2
    # The key, but an address of the loopback and a free port.
    options = lines[1][lines[1].index("--api-key-env") :]
    with start(*options, env={**os.environ, "GLPN_KEY": "k"}) as service:
        assert service.get("/v2/health/ready").status_code == 200
