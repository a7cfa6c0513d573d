"""Every example of a help text runs twice in one folder."""

from __future__ import annotations

import importlib
import inspect
import io
import shlex
import shutil
import sys
from types import SimpleNamespace

import pytest
import typer

from glpn.cli.app import VERBS
from tests import depths
from tests.cli import sets
from tests.cli.conftest import write_photo

pytestmark = pytest.mark.slow

# The second run of these would replace a result that took long to make, or that another program
# may use: it is refused with the option that allows it.
REFUSED_TWICE = ("glpn convert", "glpn export", "glpn train", "glpn evaluate", "glpn reproduce")

NOT_RUN = {
    "glpn serve": "serves until it is stopped; tests/serving runs it",
    "glpn video": "needs PyAV; tests/cli/test_video.py runs it",
    "glpn batch": "needs Ray; tests/cluster runs it",
    "glpn bench": "measures for a minute; tests/cli/test_bench.py runs it",
    "glpn precision": "measures real frames; tests/cli/test_precision.py runs it",
    "glpn train": "takes long; tests/cli/test_train.py runs it",
    "glpn synth": "takes long; tests/cli/test_synth.py runs it",
    "glpn verify": "needs published weights; tests/cli runs it on small ones",
    "glpn export": "compares with torch; tests/cli/test_export.py runs it",
    "torchrun": "starts several processes; tests/training runs it",
}

NEED_THE_HUB = ("glpn info vinvino02/glpn-nyu", "glpn reproduce paper --data datasets")


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


RUN = [
    line for line in examples() if not line.startswith(tuple(NOT_RUN)) and line not in NEED_THE_HUB
]


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    from glpn.synthetic import write_dataset

    folder = tmp_path_factory.mktemp("frames") / "my-frames"
    for _ in write_dataset(folder, 4, seed=5, size=(240, 320)):
        pass
    return folder


@pytest.fixture
def reader(tmp_path, model, frames, monkeypatch):
    """The photos, models and data that the examples name."""
    photo = write_photo(tmp_path / "holiday/beach.jpg")
    from PIL import Image

    Image.open(photo).resize((640, 480)).save(tmp_path / "kitchen.jpg")
    shutil.copytree(model, tmp_path / "my-model")
    (tmp_path / "MODEL").symlink_to(model)
    sets.nyu(tmp_path / "nyu")
    sets.nyu(tmp_path / "datasets/nyu")
    (tmp_path / "my-frames").symlink_to(frames)
    for name in ("glpn_nyu.ckpt", "glpn_kitti.ckpt"):
        from glpn import weights

        weights.convert(model, tmp_path / name, form="authors")
    depth = depths.a_depth()
    depth.save(tmp_path / "kinect.png")
    (tmp_path / "K.txt").write_text("100 0 2\n0 100 2\n0 0 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_were_found():
    assert len(examples()) > 25 and len(RUN) > 12


@pytest.mark.parametrize("line", RUN)
def test_an_example_runs_twice(reader, glpn, line, monkeypatch):
    if line.startswith("glpn info depth") or line.startswith("glpn points depth"):
        assert glpn("predict", "kitchen.jpg").code == 0
    if "--compare" in line:
        for name in ("a", "b"):
            data = ("--data", "nyu", "--dataset", "nyu", "-o", name, "-q")
            assert glpn("evaluate", "-m", "MODEL", *data).code == 0
    if line.endswith("--to authors"):
        assert glpn("convert", "glpn_nyu.ckpt", "my-model", "--overwrite").code == 0
    words = shlex.split(line.split(" > ")[0].split("| ")[-1])[1:]
    if "my-model" in words and words[0] == "convert" and words[1].endswith(".ckpt"):
        shutil.rmtree("my-model")
    for attempt in (1, 2):
        if line.startswith("cat ") or " > " in line:
            data = io.BytesIO((reader / "kitchen.jpg").read_bytes())
            monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=data))
        if " > " in line:
            continue  # tests/cli/test_twice.py runs it as a process
        run = glpn(*words)
        if attempt == 2 and line.startswith(REFUSED_TWICE) and run.code:
            assert run.code == 73 and "--overwrite" in run.err, f"{line}: {run.err}"
            continue
        assert run.code == 0, f"{line}: {run.err}"
