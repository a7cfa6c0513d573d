"""Every example of a help text runs twice in one folder."""

from __future__ import annotations

import importlib
import inspect
import io
import re
import shlex
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from PIL import Image
from scipy.io import savemat

from glpn import weights
from glpn.cli.app import VERBS
from glpn.engines.openvino.engine import computes_bfloat16
from glpn.weights import conversion
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
    "glpn train": "--resume",
    "glpn video": "--overwrite",
}

# These run as processes of their own, in tests/cli/test_examples_as_processes.py.
AS_PROCESSES = ("glpn serve", "glpn batch", "torchrun")
NOT_RUN = ("glpn mcp",)  # it answers a client until that leaves; tests/bridges/test_mcp.py runs it

# These measure, compare with torch, or need hardware.
SLOW = (
    "glpn bench",
    "glpn evaluate -m MODEL --data nyu --corruptions",
    "glpn explain",
    "glpn export onnx my-model depth",
    "glpn export openvino",
    "glpn export torch",
    "glpn precision",
    "glpn train finetune",
    "glpn verify",
    "glpn video --camera",
)

# What makes a long command short; a repeated option's last value counts.
SHORTER = {
    "glpn bench": "--threads 1",
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


RUN = [
    pytest.param(line, marks=pytest.mark.slow if line.startswith(SLOW) else (), id=line)
    for line in examples()
    if not line.startswith((*AS_PROCESSES, *NOT_RUN))
]


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
        conversion.convert(model, tmp_path / name, form="authors")
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
    if line == "glpn bench":  # the bundled model takes longer
        monkeypatch.setattr("glpn.engines.options.DEFAULT_MODEL", "my-model")
    if line.startswith("glpn precision"):
        if not computes_bfloat16():
            pytest.skip("this CPU has no bfloat16")
        frames_and_a_trained_model(folder)
    if line.startswith("glpn export openvino"):
        shutil.rmtree("my-model")  # a random network amplifies what runtimes round differently
        shutil.copytree(weights.bundled()["glpn-b0-indoor"], "my-model")
    if "--camera" in line:
        pytest.importorskip("av", reason="needs PyAV")
        show_a_camera(folder, monkeypatch)
    if line.startswith("glpn verify"):
        from glpn.evaluation import fidelity

        found = fidelity.compare("MODEL", "000000039769.jpg")  # in the place of published values
        monkeypatch.setattr(fidelity, "PUBLISHED", {"vinvino02/glpn-nyu": found.values})


def frames_and_a_trained_model(folder: Path) -> None:
    """Frames with the lists of a split, and weights that bear reduced precision."""
    frames = (folder / "my-frames").resolve()
    (folder / "my-frames").unlink()
    shutil.copytree(frames, folder / "my-frames")
    stems = sorted(path.stem for path in (folder / "my-frames/rgb").iterdir())
    for name, part in (("train", stems[:2]), ("val", stems[2:])):
        (folder / f"my-frames/{name}.txt").write_text("".join(f"{stem}\n" for stem in part))
    shutil.rmtree(folder / "my-model")
    shutil.copytree(weights.bundled()["glpn-b0-indoor"], folder / "my-model")


def show_a_camera(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A video in the place of the camera, and a window that shows nothing."""
    from glpn.video import webcam, window
    from tests.video import videos

    file = videos.write_video(folder / "camera.mp4", [videos.ramp(96, 128)] * 8)
    monkeypatch.setattr(webcam, "webcam_device", lambda _: webcam.Device("mp4", str(file)))
    monkeypatch.setattr(
        window, "open_window", lambda *_, needed: nullcontext(lambda frame, metres: None)
    )


def test_the_examples_were_found() -> None:
    assert len(examples()) > 40 and len(RUN) >= 38


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
