"""An estimator predicts in a child process, whichever way the child was started."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import multiprocessing, sys
import numpy as np
import glpn

IMAGE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)

def predict(estimator):
    return estimator.metres(IMAGE)

if __name__ == "__main__":
    method, engine = sys.argv[1:]
    estimator = glpn.load(engine=engine, device="cpu", precision="float32", threads=2)
    expected = estimator.metres(IMAGE)
    with multiprocessing.get_context(method).Pool(1) as pool:
        found = pool.apply_async(predict, (estimator,)).get(timeout=240)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
"""


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("torch", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_child_predicts_with_an_estimator_that_its_parent_has_used(
    method: Any, engine: str, tmp_path: Path
) -> None:
    script = tmp_path / "children.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "ignore", str(script), method, engine]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
