"""Every command of the README and its sibling pages runs, in a folder set up as a reader's."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from glpn.cli import main

from .synthetic.furniture import write_catalogue

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)
PAGES = (
    "README.md",
    "docs/folders.md",
    "docs/predict.md",
    "docs/cameras.md",
    "docs/fine-tune.md",
    "docs/training.md",
    "docs/synthetic.md",
)

# The second run of these would replace results that took long to make. Where it does, it is
# refused with the option that allows it.
REFUSED_TWICE = ("glpn train", "glpn synth", "glpn convert", "glpn evaluate", "glpn export")

# What makes a long command short; a repeated option's last value counts.
SHORTER = {
    "glpn train": "loop.steps=2 loop.batch=2 loop.validate_every=2 augment.crop=[96,96]",
    "glpn synth": "--count 2 --size 60x80",
}


def commands(page: str) -> list[str]:
    """The lines of a page's shell blocks that call glpn, without their comments."""
    blocks = re.findall(r"^```bash\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S)
    lines = (line.split("#")[0].strip() for block in blocks for line in block.splitlines())
    found = [line.split(".venv/bin/")[-1] for line in lines if "glpn" in line]
    return [line for line in found if line.startswith("glpn ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a reader has: examples, photos, recipes, frames with depth, an authors' checkpoint."""
    from glpn import GLPNConfig, GLPNForDepthEstimation
    from glpn.synthetic import write_dataset
    from glpn.weights import conversion

    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "examples", folder / "photos", ignore=shutil.ignore_patterns("*.md"))
    shutil.copy(ROOT / "examples/coffee.jpg", folder / "photo.jpg")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    for _ in write_dataset(folder / "my-frames", 10, seed=5, size=(120, 160)):
        pass
    (folder / "furniture").mkdir()
    write_catalogue(folder / "furniture" / "boxes.sh3f")
    (folder / "hololens_office").symlink_to(folder / "my-frames")
    config = GLPNConfig(hidden_sizes=(16, 32, 80, 128), decoder_hidden_size=16)
    GLPNForDepthEstimation(config).save_pretrained(folder / "source")
    conversion.convert(folder / "source", folder / "glpn_nyu.ckpt", form="authors")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_run(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    shutil.rmtree("runs", ignore_errors=True)
    lines = commands(page)
    assert lines
    for line in lines:
        extra = next((more for verb, more in SHORTER.items() if line.startswith(verb)), "")
        code = main([*shlex.split(line)[1:], *shlex.split(extra)])
        output = capsys.readouterr()
        assert code == 0, f"{line}: {output.err}"
        assert (output.out + output.err).strip(), line
    for line in lines:
        extra = next((more for verb, more in SHORTER.items() if line.startswith(verb)), "")
        code = main([*shlex.split(line)[1:], *shlex.split(extra)])
        errors = capsys.readouterr().err
        if line.startswith(REFUSED_TWICE) and code:
            assert code == 73 and re.search("--overwrite|--resume", errors), f"{line}: {errors}"
        else:
            assert code == 0, f"the second time: {line}: {errors}"


def test_the_first_command_writes_both_pictures(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert main(shlex.split(commands("README.md")[0])[1:]) == 0
    assert (folder / "depth/lobby.png").exists()
    assert (folder / "depth/lobby.vis.png").exists()


def test_the_python_lines_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    block = next(b for language, b in BLOCKS if language == "python" and "glpn.load" in b)
    for _ in range(2):
        exec(compile(block, "README.md", "exec"), {})
    assert (folder / "lobby.npz").exists()


def test_the_script_for_those_who_come_from_transformers_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    page = (ROOT / "docs/migration.md").read_text("utf-8")
    script = next(
        b for b in re.findall(r"^```python\n(.*?)^```", page, re.M | re.S) if "photo" in b
    )
    names: dict[str, object] = {}
    exec(compile(script, "migration.md", "exec"), names)
    depth = names["depth"]
    assert isinstance(depth, torch.Tensor)
    with Image.open("photo.jpg") as photo:
        assert tuple(depth.shape) == (photo.height, photo.width)
    assert 0 < float(depth.min()) < float(depth.max()) < 15


def test_what_people_search_for_can_be_found() -> None:
    text = README.lower()
    wanted = ("uncertainty", "point cloud", "video", "fine-tune", "commercial use", "safety device")
    assert [words for words in wanted if words not in text] == []
    assert "docs/compare.md" in text and "@article" in text


def test_the_commands_name_no_minor_version_of_python() -> None:
    blocks = "".join(block for language, block in BLOCKS if language == "bash")
    assert "python3 -m venv" in blocks and not re.search(r"python3\.\d", blocks)


def test_the_names_of_the_switch_exist() -> None:
    block = next(b for language, b in BLOCKS if language == "python" and "from_pretrained" in b)
    line = next(line for line in block.splitlines() if line.startswith("from glpn"))
    exec(line, {})


def test_the_test_command_is_what_ci_runs() -> None:
    command = next(b for language, b in BLOCKS if language == "bash" and "pytest -n 2" in b)
    script = (ROOT / ".ci/run").read_text("utf-8")
    tests = (ROOT / "scripts/test").read_text("utf-8")
    for part, place in (
        ("pip install -q -c constraints.txt -e '.[dev]'", script),
        ("pytest -n 2", tests),
    ):
        assert part in command
        assert part in place
    assert "scripts/test" in script
