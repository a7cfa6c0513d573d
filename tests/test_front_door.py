"""`glpn.load` is typed, copies reopen their engine, and a fork neither hangs nor changes a bit."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glpn
from glpn.errors import UsageError
from glpn.estimator import DepthEstimator

IMAGE = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)


@pytest.mark.slow
def test_mypy_reveals_depth_for_a_photo_and_an_iterator_for_photos(tmp_path: Path) -> None:
    script = tmp_path / "snippet.py"
    script.write_text(
        "import glpn\n"
        "estimator = glpn.load()\n"
        'reveal_type(estimator("x.jpg"))\n'
        'reveal_type(estimator(["x.jpg"]))\n'
    )
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), str(script)],
        capture_output=True,
        text=True,
    )
    assert 'snippet.py:3: note: Revealed type is "glpn.depth.depth.Depth"' in run.stdout
    assert ':4: note: Revealed type is "typing.Iterator[glpn.depth.depth.Depth]"' in run.stdout


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "torch"])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_a_copy_opens_its_engine_again(engine: str, copied: Any) -> None:
    estimator = glpn.load(engine=engine, precision="float32", threads=1, max_depth=20.0)
    twin = copied(estimator)
    assert twin.engine is not estimator.engine and twin.engine.name == engine
    assert twin.provenance == estimator.provenance
    np.testing.assert_array_equal(twin.metres(IMAGE), estimator.metres(IMAGE))


def test_an_estimator_made_from_an_engine_says_why_it_cannot_be_copied() -> None:
    opened = glpn.load(precision="float32", photos=1)
    estimator = DepthEstimator(opened.engine, opened.processor, opened.provenance)
    with pytest.raises(UsageError, match=r"comes from glpn\.load"):
        copy.deepcopy(estimator)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "torch"])
def test_an_engine_used_before_a_fork_predicts_the_same_after_it(engine: str) -> None:
    code = f"""
import os, sys, numpy as np, glpn
estimator = glpn.load(engine={engine!r}, device="cpu", threads=2, precision="float32")
image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
expected = estimator.metres(image)
child = os.fork()
if not child:
    os._exit(0 if np.allclose(estimator.metres(image), expected, rtol=1e-5) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=120)
    assert run.returncode == 0
