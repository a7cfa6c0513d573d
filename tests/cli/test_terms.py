"""Terms travel with weights, and nothing writes into the installed package."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from glpn import weights
from glpn.export.model_source import Source
from glpn.serving.page import ModelCard
from glpn.weights import hub_client
from tests.cli.conftest import RunGlpn

RESEARCH = "research and evaluation (see Terms)"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package's model, in the place of the installed one."""
    folder = tmp_path / "package/glpn-b0-indoor"
    shutil.copytree(weights.bundled()["glpn-b0-indoor"], folder)
    monkeypatch.setattr(hub_client, "MODELS", folder.parent)
    return folder


@pytest.fixture
def descendant(model: Path, tmp_path: Path) -> Path:
    """A tiny model with the card that training gives to what starts from the bundled one."""
    folder = shutil.copytree(model, tmp_path / "mine")
    bundled = {"glpn-b0-indoor": weights.bundled()["glpn-b0-indoor"]}
    (folder / "README.md").write_text(weights.inherited_card("mine", bundled, "Trained"))
    return folder


def hashes(folder: Path) -> dict[Path, bytes]:
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in folder.rglob("*.*")}


def test_every_door_states_inherited_terms(
    glpn: RunGlpn, descendant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "bundled", lambda: {"mine": descendant})
    assert RESEARCH in glpn("info", descendant).out
    assert glpn("models").out.splitlines()[1].endswith(RESEARCH)
    assert ModelCard.read(descendant).terms == RESEARCH  # the page and /v1/about
    assert Source.of(descendant).facts()["terms"] == RESEARCH  # exported files


def test_a_second_descendant_and_a_conversion_keep_the_terms(
    glpn: RunGlpn, descendant: Path, tmp_path: Path
) -> None:
    card = weights.inherited_card("second", {"mine": descendant}, "Trained")
    assert weights.stated_terms(card) == RESEARCH
    assert "without a redistribution licence" in weights.section(card, "Terms")
    run = glpn("convert", descendant, tmp_path / "copy")
    assert run.code == 0 and RESEARCH in run.out
    assert glpn("info", tmp_path / "copy", "--json").records[0]["terms"] == RESEARCH
    run = glpn("convert", descendant, tmp_path / "copy.ckpt", "--to", "authors")
    assert run.code == 0 and RESEARCH in run.out


def test_two_sources_pass_both_terms_on(descendant: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlicense: MIT\n---\n\n## Terms\n\nKeep the notice.\n")
    sources = {"mine": descendant, "other": tmp_path, "silent": tmp_path / "none"}
    card = weights.inherited_card("both", sources, "Trained")
    assert weights.stated_terms(card) == f"{RESEARCH}; MIT"
    assert "base_model: mine, other\n" in card
    assert weights.section(card, "Terms of other") == "Keep the notice."


@pytest.mark.parametrize(
    "arguments",
    [
        ["export", "onnx", "glpn-b0-indoor"],
        ["export", "onnx", "glpn-b0-indoor", "--verify"],
        ["convert", "MODEL", "PACKAGE", "--overwrite"],
        ["sign", "PACKAGE"],
        ["precision", "glpn-b0-indoor", "--data", "none"],
    ],
    ids=" ".join,
)
def test_no_command_writes_into_the_installed_package(
    glpn: RunGlpn, model: Path, package: Path, arguments: list[str]
) -> None:
    before = hashes(package)
    places = {"MODEL": model, "PACKAGE": package}
    run = glpn(*(places.get(word, word) for word in arguments))
    assert run.code == 2 and "copy the folder and use the copy" in run.err
    assert hashes(package) == before


def test_export_writes_a_bundled_model_elsewhere(
    glpn: RunGlpn, package: Path, tmp_path: Path
) -> None:
    before = hashes(package)
    run = glpn("export", "onnx", "glpn-b0-indoor", tmp_path / "depth.onnx")
    assert run.code == 0 and (tmp_path / "depth.onnx").exists()
    assert hashes(package) == before
