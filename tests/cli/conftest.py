"""A tiny random model, and two ways to run the command line: in this process and for real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.corpus.bytes_of import encoded, scene


class Run(NamedTuple):
    """What a run of `glpn` came to."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


RunGlpn = Callable[..., Run]  # called with the arguments of a command line


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random network with everything that both engines need."""
    import torch

    from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
    from glpn.export.onnx import write_graph
    from tests.networks import randomise

    config = GLPNConfig(
        depths=(1, 1, 1, 1),
        hidden_sizes=(8, 16, 40, 64),
        decoder_hidden_size=8,  # as the first stage: what the authors' form can express
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    network = GLPNForDepthEstimation(config)
    randomise(network)
    network.save_pretrained(folder)
    GLPNImageProcessor().save_pretrained(folder)
    write_graph(folder)
    return folder


@pytest.fixture
def glpn(capsys: pytest.CaptureFixture[str]) -> RunGlpn:
    """The command line in this process."""
    from glpn.cli import main

    def run(*arguments: object) -> Run:
        capsys.readouterr()
        code = main([os.fsdecode(a) if isinstance(a, bytes) else str(a) for a in arguments])
        return Run(code, *capsys.readouterr())

    return run


@pytest.fixture
def predict(glpn: RunGlpn, model: Path, tmp_path: Path) -> RunGlpn:
    """`glpn predict` with the tiny model on one thread, into the folder `tmp_path/out`."""

    def run(*arguments: object) -> Run:
        return glpn("predict", "-m", model, "--threads", 1, "-o", tmp_path / "out", *arguments)

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A good photograph of 96x128 pixels, in a folder of its own."""
    return write_photo(tmp_path / "photos" / "room.jpg")


def write_photo(path: Path) -> Path:
    """A good photograph of 96x128 pixels under this name."""
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(encoded(scene(), "JPEG"))
    return path


def command(*arguments: object) -> list[str | bytes]:
    """`glpn …` for `subprocess`."""
    return [
        sys.executable,
        "-m",
        "glpn",
        *(a if isinstance(a, bytes) else str(a) for a in arguments),
    ]


def run_for_real(*arguments: object, **options: Any) -> Run:
    """`glpn …` as a process of its own; options are those of `subprocess.run`."""
    done = subprocess.run(command(*arguments), capture_output=True, timeout=60, **options)
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode())
