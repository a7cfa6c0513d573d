"""A damaged graph in a folder that was signed afterwards: an error by name, and clean output."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from glpn.weights.integrity import sign
from tests.cli.conftest import write_photo


@pytest.mark.parametrize("damage", ["not UTF-8", "cut", "empty", "other operator"])
def test_standard_output_stays_json_and_the_error_names_the_graph(
    model: Path, tmp_path: Path, damage: str
) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    graph = folder / "model.onnx"
    data = graph.read_bytes()
    changed = {
        "not UTF-8": data.replace(b"Conv", b"C\xff\xfev"),
        "cut": data[: len(data) // 2],
        "empty": b"",
        "other operator": data.replace(b"Conv", b"Canv"),
    }[damage]
    assert changed != data
    graph.write_bytes(changed)
    for other in folder.glob("trunk.onnx"):
        other.unlink()
    sign(folder)
    photo = write_photo(tmp_path / "a.jpg")
    command = [sys.executable, "-m", "glpn", "predict", str(photo), "-m", str(folder), "--json"]
    command += ["--engine", "onnxruntime", "--format", "none"]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=tmp_path)
    assert done.returncode == 65, done.stderr
    for line in done.stdout.splitlines():
        json.loads(line)
    assert "model.onnx" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
