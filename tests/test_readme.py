"""Every command and every Python line of the README runs, in a folder set up as a reader's."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from glpn.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.M | re.S)
COMMANDS = [
    line.split("#")[0].strip()
    for language, block in BLOCKS
    if language == "bash"
    for line in block.splitlines()
    if line.startswith("glpn ")
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the reader has: the examples, a folder of photos, a checkpoint of the authors."""
    from glpn import GLPNConfig, GLPNForDepthEstimation, weights

    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "examples", folder / "photos", ignore=shutil.ignore_patterns("*.md"))
    shutil.copy(ROOT / "examples/coffee.jpg", folder / "photo.jpg")
    config = GLPNConfig(hidden_sizes=(16, 32, 80, 128), decoder_hidden_size=16)
    GLPNForDepthEstimation(config).save_pretrained(folder / "source")
    weights.convert(folder / "source", folder / "glpn_nyu.ckpt", form="authors")
    return folder


def test_the_commands_run(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert len(COMMANDS) >= 5
    first = re.search(r"\.venv/bin/(glpn predict examples/.*)$", README, re.M).group(1)
    for command in [first, *COMMANDS]:
        code = main(shlex.split(command)[1:])
        output = capsys.readouterr()
        assert code == 0, f"{command}: {output.err}"
        assert output.out.strip(), command
    assert (folder / "depth/coffee.png").exists()
    assert (folder / "depth/coffee.vis.png").exists()


def test_the_python_lines_run(folder, monkeypatch):
    monkeypatch.chdir(folder)
    block = next(b for language, b in BLOCKS if language == "python" and "glpn.load" in b)
    exec(compile(block, "README.md", "exec"), {})
    assert (folder / "coffee.npz").exists()


def test_the_names_of_the_switch_exist():
    block = next(b for language, b in BLOCKS if language == "python" and "from_pretrained" in b)
    line = next(line for line in block.splitlines() if line.startswith("from glpn"))
    exec(line, {})


def test_the_test_command_is_what_ci_runs():
    command = next(b for language, b in BLOCKS if language == "bash" and "pytest -n 2" in b)
    script = (ROOT / ".ci/run").read_text("utf-8")
    for part in ("pip install -q -c constraints.txt -e '.[dev]'", "pytest -n 2"):
        assert part in command
        assert part in script
