"""Nothing waits for a named pipe, for standard input that nobody needs, or for a full pipe."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.request import urlopen

import pytest
from PIL import Image

from tests.cli import sets
from tests.cli.conftest import RunGlpn, command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes and signals")

MODEL_FILES = (
    *("checksums.json", "config.json", "preprocessor_config.json", "model.safetensors"),
    *("model.onnx", "trunk.onnx", "errors.json", "precision.json", "README.md"),
)
DATASET_FILES = ("rgb/000.jpg", "depth/000.png", "K.txt", "dataset.toml", "val.txt")


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """Fail instead of waiting forever."""

    def stop(*_: int | FrameType | None) -> None:
        raise TimeoutError("the test waits for something")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.mark.parametrize("name", MODEL_FILES)
def test_a_named_pipe_in_a_model_folder_ends_the_run(
    glpn: RunGlpn,
    model: Path,
    tmp_path: Path,
    name: str,
) -> None:
    folder, photo = tmp_path / "model", tmp_path / "photo.png"
    shutil.copytree(model, folder)
    Image.new("RGB", (64, 64)).save(photo)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    for verb in (("predict", photo, "-m", folder, "--json"), ("info", folder)):
        assert glpn(*verb).code in (0, 65, 66)


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASET_FILES)
def test_a_named_pipe_in_a_dataset_ends_the_run(
    glpn: RunGlpn,
    model: Path,
    tmp_path: Path,
    name: str,
) -> None:
    data = sets.plain(tmp_path / "data")
    (data / name).unlink(missing_ok=True)
    os.mkfifo(data / name)
    reading = ("--data", data, "--scale", 25.5)
    assert glpn("evaluate", "-m", model, *reading, "--threads", 1).code in (0, 65, 66)
    assert glpn("data", "check", data).code in (0, 65, 66)


@pytest.mark.parametrize(
    ("verb", "output"),
    [("video", "a"), ("points", "a.ply"), ("explain", "a.png"), ("predict", "a")],
)
def test_a_named_pipe_instead_of_a_file_is_refused(
    glpn: RunGlpn,
    tmp_path: Path,
    verb: str,
    output: str,
) -> None:
    os.mkfifo(tmp_path / "pipe")
    run = glpn(verb, tmp_path / "pipe", "-o", tmp_path / output)
    assert run.code in (65, 66) and "pipe: " in run.err


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, "damaged model"])
def test_a_run_that_ends_leaves_standard_input_unread(
    model: Path,
    tmp_path: Path,
    ending: Any,
) -> None:
    photo, out = tmp_path / "photo.png", tmp_path / "out"
    Image.new("RGB", (64, 64)).save(photo)
    if ending == "damaged model":
        model = shutil.copytree(model, tmp_path / "model")
        (model / "model.safetensors").write_bytes(b"damaged")
    arguments = ("predict", photo, "-", "-m", model, "-o", out, "--json")
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with subprocess.Popen(command(*arguments), **pipes, stderr=subprocess.DEVNULL) as process:
        if isinstance(ending, signal.Signals):
            assert b"predicted" in process.stdout.readline()
            time.sleep(0.3)  # now a thread waits for standard input
            process.send_signal(ending)
        expected = 65 if ending == "damaged model" else 128 + ending
        assert process.wait(10) == expected  # standard input is still open


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that takes no more bytes, because nobody reads it."""
    reader, writer = os.pipe()
    _fill(writer)
    yield writer
    os.close(reader)
    os.close(writer)


def _fill(writer: int) -> None:
    os.set_blocking(writer, False)
    for size in (65536, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(size))
    os.set_blocking(writer, True)


@pytest.mark.slow
@pytest.mark.parametrize("streams", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_sigterm_ends_a_run_whose_output_nobody_reads(
    model: Path,
    tmp_path: Path,
    full_pipe: int,
    streams: tuple[str, ...],
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    arguments = ("predict", tmp_path, "-", "-m", model, "-o", tmp_path / "out")
    pipes: dict[str, Any] = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
    pipes |= dict.fromkeys(streams, full_pipe)
    with subprocess.Popen(command(*arguments), stdin=subprocess.PIPE, **pipes) as process:
        _wait_for_output_folder(tmp_path / "out")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM


def _wait_for_output_folder(folder: Path) -> None:
    while not folder.is_dir():
        time.sleep(0.02)
    time.sleep(0.3)  # now it waits for standard input or for the reader of its output


@pytest.mark.slow
def test_the_service_answers_while_nobody_reads_its_log(
    model: Path,
) -> None:
    reader, writer = os.pipe()
    address: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": writer}
    arguments = command("serve", "-m", model, "--port", 0, "--threads", 1)
    with subprocess.Popen(arguments, **address) as process:
        url = process.stdout.readline().split()[-1].decode()
        _fill(writer)
        for _ in range(2):
            assert urlopen(f"{url}/v2/health/live", timeout=10).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    os.close(reader)
    os.close(writer)
