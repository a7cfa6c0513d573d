"""OpenVINO compiles once for each size, keeps the latest, and always gives the same bits."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glpn import GLPNConfig, GLPNForDepthEstimation
from glpn.engines.openvino import compiled_models
from glpn.engines.openvino import engine as openvino
from glpn.engines.protocol import EngineSettings
from glpn.export.onnx import write_graph
from tests.networks import photograph, randomise

SIZES = [(64, 96), (96, 64), (64, 64)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random network, small enough to compile fast."""
    folder = tmp_path_factory.mktemp("model")
    network = GLPNForDepthEstimation(GLPNConfig(depths=(1, 1, 1, 1)))
    randomise(network)
    network.save_pretrained(folder)
    write_graph(folder)
    return folder


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The (height, width) of every compiled model, in a list."""
    sizes = []
    original = compiled_models.CompiledModels.compile

    def counted(self: Any, shape: tuple[int, ...]) -> Any:
        sizes.append(shape[2:])
        return original(self, shape)

    monkeypatch.setattr(compiled_models.CompiledModels, "compile", counted)
    return sizes


def open_exact(folder: Path) -> openvino.OpenVinoEngine:
    return openvino.OpenVinoEngine.open(folder, EngineSettings(threads=1))


def test_a_batch_has_the_bits_of_its_pictures_alone(folder: Path) -> None:
    engine = open_exact(folder)
    pixels = photograph(64, 96, batch=3).numpy()
    together = engine(pixels)
    for image, depth in zip(pixels, together, strict=True):
        assert np.array_equal(engine(image[None])[0], depth)


@pytest.mark.slow
def test_bits_do_not_depend_on_the_sizes_that_came_before(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "_MAX_COMPILED", 2)  # so that some are dropped and compiled again
    engine = open_exact(folder)
    pictures = [photograph(*size).numpy() for size in SIZES]
    alone = [open_exact(folder)(pixels) for pixels in pictures]
    for _ in range(2):
        for pixels, expected in zip(pictures, alone, strict=True):
            assert np.array_equal(engine(pixels), expected)


@pytest.mark.slow
def test_a_size_is_compiled_once_while_few_sizes_come_and_old_ones_are_dropped(
    folder: Path, compiled: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino, "_MAX_COMPILED", 2)
    engine = open_exact(folder)
    for size in [SIZES[0], SIZES[1], SIZES[0], SIZES[2], SIZES[0], SIZES[1]]:
        engine(photograph(*size).numpy())
    assert compiled == [SIZES[0], SIZES[1], SIZES[2], SIZES[1]]  # the least lately used goes


@pytest.mark.slow
def test_other_sizes_share_one_compiled_model(
    folder: Path, compiled: list[tuple[int, ...]]
) -> None:
    exact, engine = open_exact(folder), open_exact(folder)
    engine.prepare_sizes([SIZES[0], SIZES[0]])
    sizes = [(64, 64), SIZES[0], (128, 64), (32, 160), SIZES[0]]
    pictures = [photograph(*size, batch=2).numpy() for size in sizes]
    depths = [engine(pixels) for pixels in pictures]
    assert compiled == [(-1, -1), SIZES[0]]
    for pixels, depth in zip(pictures, depths, strict=True):
        np.testing.assert_allclose(depth, exact(pixels), rtol=1e-4)


@pytest.mark.slow
def test_compiling_one_size_does_not_delay_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_exact(folder)
    engine(photograph(*SIZES[1]).numpy())
    begun, go_on = threading.Event(), threading.Event()
    original = compiled_models.CompiledModels.compile

    def slow(self: Any, shape: tuple[int, ...]) -> Any:
        begun.set()
        assert go_on.wait(60)
        return original(self, shape)

    monkeypatch.setattr(compiled_models.CompiledModels, "compile", slow)
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(engine, photograph(*SIZES[0]).numpy()) for _ in range(2)]
        assert begun.wait(60)
        assert engine(photograph(*SIZES[1]).numpy()).shape == (1, *SIZES[1])
        assert not any(future.done() for future in waiting)
        go_on.set()
        assert all(future.result().shape == (1, *SIZES[0]) for future in waiting)


def test_a_failed_compilation_is_tried_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_exact(folder)
    with monkeypatch.context() as patch:
        patch.setattr(compiled_models.CompiledModels, "compile", lambda self, shape: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            engine(photograph(*SIZES[0]).numpy())
    assert engine(photograph(*SIZES[0]).numpy()).shape == (1, *SIZES[0])


@pytest.mark.slow
def test_threads_may_call_it_first_at_the_same_time() -> None:
    """OpenVINO's own first call from eight threads hangs three times in four."""
    script = """
        import os, sys, threading
        import openvino
        import glpn.engines.openvino.engine

        sys.setswitchinterval(1e-6)
        together = threading.Barrier(8)

        def call():
            together.wait()
            openvino.Type.f32.to_dtype()

        threads = [threading.Thread(target=call, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        os._exit(any(thread.is_alive() for thread in threads))
    """
    for _ in range(3):
        child = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], timeout=60)
        assert child.returncode == 0
