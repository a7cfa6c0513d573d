"""Every example of a help text runs twice in one folder."""

from __future__ import annotations

import importlib
import inspect
import io
import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from PIL import Image
from scipy.io import savemat

from glpn import weights
from glpn.cli.app import VERBS
from tests import depths
from tests.cli import sets
from tests.cli.conftest import RunGlpn, write_photo

# The second run of these would replace a result that took long to make, or that another program
# may use: it is refused with the option that allows it.
REFUSED_TWICE = {
    "glpn convert": "--overwrite",
    "glpn data extract": "--overwrite",
    "glpn evaluate": "--overwrite",
    "glpn export": "--overwrite",
    "glpn reproduce": "--overwrite",
    "glpn train": "resume",
    "glpn video": "--overwrite",
}

NOT_RUN = {
    "glpn bench": "measures for a minute; tests/cli/test_bench.py runs it",
    "glpn export onnx my-model depth": "compares with torch; tests/cli/test_export.py runs it",
    "glpn export openvino": "compares with torch; tests/cli/test_export.py runs it",
    "glpn export torch": "compares with torch; tests/cli/test_export.py runs it",
    "glpn mcp": "answers a client until it leaves; tests/bridges/test_mcp.py runs it",
    "glpn serve": "serves until it is stopped; tests/serving runs it",
    "glpn train finetune data.train=my-frames loop": "tests/training resumes runs",
    "glpn video --camera": "needs a camera and a display; tests/video/test_webcam.py has stand-ins",
    "glpn batch": "needs Ray; tests/cluster runs the same job twice",
    "glpn precision": "needs a CPU with bfloat16; tests/cli/test_precision.py runs it",
    "torchrun": "starts several processes; tests/training/test_distributed.py runs two",
}

# What makes a long command short; a repeated option's last value counts.
SHORTER = {
    "glpn explain": "--model MODEL",
    "glpn synth": "--count 2 --size 60x80",
    "glpn train": "model.start=MODEL loop.steps=1 loop.batch=1 augment.crop=[96,96] "
    "run.workers=0 run.doctor=false",
    "glpn video": "--threads 1",
}


def examples() -> list[str]:
    """The example lines of all verbs, those of verb groups included."""
    found = []
    for verb in VERBS.values():
        module, _, name = verb.function.partition(".")
        function = getattr(importlib.import_module(f"glpn.cli.verbs.{module}"), name)
        functions = [function]
        if isinstance(function, typer.Typer):
            functions = [command.callback for command in function.registered_commands]
        for each in functions:
            lines = [line.strip() for line in (inspect.getdoc(each) or "").splitlines()]
            found += [line for line in lines if line.startswith(("glpn ", "cat ", "torchrun "))]
    return found


RUN = [line for line in examples() if not line.startswith(tuple(NOT_RUN))]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from glpn.synthetic import write_dataset

    folder = tmp_path_factory.mktemp("frames") / "my-frames"
    for _ in write_dataset(folder, 4, seed=5, size=(120, 160)):
        pass
    return folder


@pytest.fixture
def reader(tmp_path: Path, model: Path, frames: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The photos, models and data that the examples name."""
    photo = write_photo(tmp_path / "holiday/beach.jpg")
    for name in ("kitchen.jpg", "000000039769.jpg"):
        Image.open(photo).resize((640, 480)).save(tmp_path / name)
    shutil.copytree(model, tmp_path / "my-model")
    published = [tmp_path / f"vinvino02/glpn-{name}" for name in ("nyu", "kitti")]
    published[0].parent.mkdir()
    for link in (tmp_path / "MODEL", *published):
        link.symlink_to(model)
    sets.nyu(tmp_path / "nyu")
    sets.nyu(tmp_path / "datasets/nyu")
    (tmp_path / "my-frames").symlink_to(frames)
    for name in ("glpn_nyu.ckpt", "glpn_kitti.ckpt"):
        weights.convert(model, tmp_path / name, form="authors")
    depths.a_depth().save(tmp_path / "kinect.png")
    (tmp_path / "K.txt").write_text("100 0 2\n0 100 2\n0 0 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def prepare(line: str, folder: Path, glpn: RunGlpn, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one example needs besides the common files."""
    if line.startswith(("glpn info depth", "glpn points depth")):
        assert glpn("predict", "kitchen.jpg").code == 0
    if "--compare" in line:
        for name in ("a", "b"):
            data = ("--data", "nyu", "--dataset", "nyu", "-o", name, "-q")
            assert glpn("evaluate", "-m", "MODEL", *data).code == 0
    if line.endswith("--to authors"):
        assert glpn("convert", "glpn_nyu.ckpt", "my-model", "--overwrite").code == 0
    if re.fullmatch(r"glpn convert \S+\.ckpt my-model", line):
        shutil.rmtree("my-model")
    if "walk.mp4" in line:
        videos = pytest.importorskip("tests.video.videos", reason="needs PyAV")
        videos.write_video(folder / "walk.mp4", [videos.ramp(480, 640)] * 2)
    if line.startswith("glpn data extract"):
        sets.nyu_labelled(folder / "nyu_depth_v2_labeled.mat")
        savemat(folder / "splits.mat", {"trainNdxs": [[1], [2]], "testNdxs": [[3], [4]]})
    if line.startswith("glpn verify"):
        from glpn.evaluation import fidelity

        found = fidelity.compare("MODEL", "000000039769.jpg")  # in the place of published values
        monkeypatch.setattr(fidelity, "PUBLISHED", {"vinvino02/glpn-nyu": found.values})


def test_the_examples_were_found() -> None:
    assert len(examples()) > 40 and len(RUN) >= 29


@pytest.mark.parametrize("line", RUN)
def test_an_example_runs_twice(
    reader: Path, glpn: RunGlpn, line: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(line, reader, glpn, monkeypatch)
    extra = " ".join(more for verb, more in SHORTER.items() if line.startswith(verb))
    words = shlex.split(line.split("| ")[-1].replace("> kitchen.npz", "") + f" {extra}")[1:]
    refusal = next((remedy for verb, remedy in REFUSED_TWICE.items() if line.startswith(verb)), "")
    for attempt in (1, 2):
        if line.startswith("cat ") or " > " in line:
            data = io.BytesIO((reader / "kitchen.jpg").read_bytes())
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data))
        if " > " in line:
            continue  # tests/cli/test_twice.py runs it as a process
        run = glpn(*words)
        if attempt == 2 and refusal and run.code:
            assert run.code == 73 and refusal in run.err, f"{line}: {run.err}"
            continue
        assert run.code == 0, f"{line}: {run.err}"
