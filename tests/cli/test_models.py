"""`glpn info`, `glpn convert` and `glpn models`: what they say, write and refuse."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import glpn as library
from glpn import weights
from tests.cli.conftest import RunGlpn


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    """The tiny model, to be damaged."""
    return shutil.copytree(model, tmp_path / "copy")


def bomb(canary: Path) -> object:
    """A pickle that makes the file `canary` when it is opened carelessly."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {canary}",)

    return Bomb()


# info


def test_info_tells_what_a_model_is(glpn: RunGlpn, model: Path) -> None:
    [record] = glpn("info", model, "--json").records
    network = library.GLPNForDepthEstimation.from_pretrained(model)
    file = model / "model.safetensors"
    assert record["parameters"] == network.num_parameters()
    assert record["variant"] == "custom"
    assert record["max_depth"] == 10
    assert record["layer_norm_convention"] == "transformers"
    assert record["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert record["files"]["model.safetensors"] == file.stat().st_size
    assert record["engines"] == ["onnxruntime", "openvino", "torch"]
    text = glpn("info", model).out
    assert "up to 10 m" in text and record["sha256"] in text
    assert "onnxruntime, openvino, torch" in text


@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx"])
def test_info_of_a_models_file_is_that_of_its_folder(glpn: RunGlpn, model: Path, name: str) -> None:
    of_file, of_folder = (glpn("info", x, "--json").records[0] for x in (model / name, model))
    assert {**of_file, "model": str(model)} == of_folder


def test_info_says_which_engine_has_no_file(glpn: RunGlpn, copy: Path) -> None:
    (copy / "model.onnx").unlink()
    assert glpn("info", copy, "--json").records[0]["engines"] == ["torch"]


def test_info_reads_the_terms_off_the_card(glpn: RunGlpn, copy: Path) -> None:
    (copy / "README.md").write_text("---\ntags: [depth]\nlicense: cc-by-4.0\n---\nlicense: none\n")
    assert glpn("info", copy, "--json").records[0]["terms"] == "cc-by-4.0"
    (copy / "README.md").write_text("# A card\nlicense: none\n")
    assert glpn("info", copy, "--json").records[0]["terms"] == ""


@pytest.mark.parametrize("format", ["png16", "npz", "exr", "tiff"])
def test_info_tells_what_a_depth_file_says_of_itself(
    predict: RunGlpn, glpn: RunGlpn, photo: Path, tmp_path: Path, format: str
) -> None:
    [predicted] = predict(photo, "--json", "--format", format, "--fov", "90").records
    [record] = glpn("info", predicted["files"][format], "--json").records
    assert (record["height"], record["width"], record["known"]) == (96, 128, 1)
    assert record["median"] == pytest.approx(predicted["median"], abs=1e-3)
    says = record["says"]
    assert says["unit"] == "metre" and says["image"] == "room.jpg"
    assert says["scale"] == (1000 if format == "png16" else 1)
    assert says["camera"] == predicted["camera"]
    assert says["model_hash"] == predicted["provenance"]["model_hash"]
    text = glpn("info", predicted["files"][format]).out
    assert "given field of view of 90°" in text and "128x96" in text


def test_info_of_a_foreign_depth_map_needs_its_scale(glpn: RunGlpn, tmp_path: Path) -> None:
    path = tmp_path / "kitti.png"
    Image.fromarray(np.full((4, 6), 512, np.uint16)).save(path)
    run = glpn("info", path)
    assert run.code == 2 and str(path) in run.err
    run = glpn("info", path, "--scale", "256")
    assert run.code == 0 and "2 to 2 m" in run.out and "not written by glpn" in run.out


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("photo.jpg", b"\xff\xd8\xff not a depth map", 65),
        ("empty.png", b"", 65),
        ("cut.npz", b"PK\x03\x04", 65),
        ("model.safetensors", b"\xff" * 100, 66),  # no config.json beside it
        ("model.bin", b"anything", 65),
    ],
)
def test_info_refuses_by_name_what_it_cannot_read(
    glpn: RunGlpn, tmp_path: Path, name: str, content: bytes, code: int
) -> None:
    (tmp_path / name).write_bytes(content)
    run = glpn("info", tmp_path / name)
    assert (run.code, run.out) == (code, "")
    assert str(tmp_path) in run.err and "Traceback" not in run.err


def test_info_of_nothing_is_a_missing_input(glpn: RunGlpn, tmp_path: Path) -> None:
    assert glpn("info", tmp_path / "absent").code == 66
    assert glpn("info", tmp_path / "absent.png").code == 66


def test_info_never_prints_what_a_file_says_raw(glpn: RunGlpn, tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    says = {"scale": 1000, "model": "\x1b[2J<script>", "note": "two\nlines"}
    text.add_text("glpn", json.dumps(says))
    path = tmp_path / "evil.png"
    Image.fromarray(np.full((4, 6), 512, np.uint16)).save(path, pnginfo=text)
    run = glpn("info", path)
    assert run.code == 0 and "\x1b" not in run.out and "two\\nlines" in run.out


def test_info_refuses_metadata_that_is_no_json(glpn: RunGlpn, tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("glpn", '{"scale": 1000, "max_depth": NaN}')
    path = tmp_path / "nan.png"
    Image.fromarray(np.full((4, 6), 512, np.uint16)).save(path, pnginfo=text)
    run = glpn("info", path, "--json")
    assert (run.code, run.out) == (65, "")


def test_info_refuses_a_bomb_from_its_declared_size(glpn: RunGlpn, tmp_path: Path) -> None:
    header = io.BytesIO()
    declared = {"descr": "<f4", "fortran_order": False, "shape": (100_000, 100_000)}
    np.lib.format.write_array_header_1_0(header, declared)
    text = io.BytesIO()
    np.save(text, np.array("{}"))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("glpn.npy", text.getvalue())
        archive.writestr("metres.npy", header.getvalue())
    run = glpn("info", tmp_path / "bomb.npz")
    assert run.code == 65 and "100000" in run.err


# convert


def test_convert_there_and_back_gives_the_same_tensors(
    glpn: RunGlpn, model: Path, tmp_path: Path
) -> None:
    run = glpn("convert", model, tmp_path / "net.ckpt", "--to", "authors")
    assert (run.code, run.err) == (0, "")
    run = glpn("convert", tmp_path / "net.ckpt", tmp_path / "back", "--json")
    [record] = run.records
    assert record["found"] == "authors" and record["layer_norm_convention"] == "authors"
    assert any("max_depth is not in the source: 10 m assumed" in note for note in record["notes"])
    before = load_file(model / "model.safetensors")
    after = load_file(tmp_path / "back/model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_converted_model_predicts_with_both_engines(
    glpn: RunGlpn, photo: Path, model: Path, tmp_path: Path
) -> None:
    network = library.GLPNForDepthEstimation.from_pretrained(model)
    source = tmp_path / "pickled"
    source.mkdir()
    torch.save(weights.to_disk_names(network.state_dict(), prefix=""), source / "pytorch_model.bin")
    shutil.copy(model / "config.json", source)
    run = glpn("convert", source, tmp_path / "new", "--max-depth", "80")
    assert run.code == 0
    assert "huggingface" in run.out and "model.onnx was written for onnxruntime" in run.out
    arguments = ("predict", photo, "-m", tmp_path / "new", "--format", "none", "--json")
    medians = {
        engine: glpn(*arguments, "--engine", engine).records[0]["median"]
        for engine in ("torch", "onnxruntime")
    }
    assert medians["torch"] == pytest.approx(medians["onnxruntime"], rel=1e-4)
    [own] = glpn("predict", photo, "-m", model, "--format", "none", "--json").records
    assert medians["torch"] == pytest.approx(8 * own["median"], rel=1e-3)


def test_convert_says_so_where_the_onnx_package_is_missing(
    glpn: RunGlpn, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("glpn.export.onnx", "glpn.export.onnx_nodes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    run = glpn("convert", model, tmp_path / "new")
    assert run.code == 0
    assert "no graph for onnxruntime was written" in run.out and "pip install" in run.out
    assert not (tmp_path / "new/model.onnx").exists()


@pytest.mark.parametrize("to", ["hf", "authors"])
def test_convert_replaces_a_model_only_when_asked(
    glpn: RunGlpn, model: Path, copy: Path, tmp_path: Path, to: str
) -> None:
    target = copy if to == "hf" else copy / "model.safetensors"
    before = (copy / "model.safetensors").read_bytes()
    run = glpn("convert", model, target, "--to", to)
    assert run.code == 73 and "--overwrite" in run.err
    assert (copy / "model.safetensors").read_bytes() == before
    assert glpn("convert", model, target, "--to", to, "--overwrite").code == 0


def test_convert_refuses_a_pickle_bomb_and_never_runs_it(glpn: RunGlpn, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for name in ("bomb.ckpt", "bomb.pth", "pytorch_model.bin"):
        torch.save({"encoder.patch_embed1.proj.weight": bomb(canary)}, tmp_path / name)
        for verb in (("convert", tmp_path / name, tmp_path / "new"), ("info", tmp_path / name)):
            run = glpn(*verb)
            assert run.code == 65 and name in run.err
    assert glpn("predict", "x.jpg", "-m", tmp_path).code in (65, 66)
    assert not canary.exists() and not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["absent.ckpt", "new"], 66),
        (["absent.ckpt", "new", "--max-depth", "-1"], 2),
        (["absent.ckpt", "new", "--to", "keras"], 2),
    ],
)
def test_convert_reports_bad_calls(
    glpn: RunGlpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    run = glpn("convert", *arguments)
    assert run.code == code and "Traceback" not in run.err


def test_convert_into_a_file_in_the_way_is_73(glpn: RunGlpn, model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert glpn("convert", model, tmp_path / "file").code == 73
    assert glpn("convert", model, tmp_path / "file", "--overwrite").code == 73
    assert (tmp_path / "file").read_text() == "mine"


# models


def test_models_lists_what_is_bundled_with_its_terms(
    glpn: RunGlpn, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    monkeypatch.setattr(weights, "bundled", lambda: {"tiny-indoor": copy})
    run = glpn("models")
    assert run.code == 0
    head, row, hint = run.out.splitlines()
    assert head.split() == ["model", "variant", "parameters", "range", "size", "terms"]
    assert row.split()[:2] == ["tiny-indoor", "custom"] and row.endswith("apache-2.0")
    assert "user/name" in hint
    [record] = glpn("models", "--json").records
    assert (record["model"], record["terms"]) == ("tiny-indoor", "apache-2.0")


def test_models_agrees_with_the_package(glpn: RunGlpn) -> None:
    names = [record["model"] for record in glpn("models", "--json").records]
    assert names == list(weights.bundled())


# Damaged models


def rewrite_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def with_tensors(
    folder: Path, change: Callable[..., Any], metadata: dict[str, str] | None = None
) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt", **(metadata or {})})


def poison(tensors: dict[str, Any]) -> None:
    tensors["head.head.0.bias"][0] = float("nan")


def truncate(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def declare_a_huge_header(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + b"{}")


def repeat_a_key(folder: Path) -> None:
    (folder / "config.json").write_text('{"max_depth": 10, "max_depth": 80}')


DAMAGES = {
    "truncated": (truncate, "model.safetensors"),
    "huge header": (declare_a_huge_header, "model.safetensors"),
    "NaN": (lambda f: with_tensors(f, poison), "head.head.0.bias"),
    "newer format": (
        lambda f: with_tensors(f, dict, {"glpn_format": "99", "glpn_needs": "9.9"}),
        "needs glpn >= 9.9",
    ),
    "unknown key": (lambda f: rewrite_config(f, max_dept=10), "max_depth"),
    "wrong heads": (lambda f: rewrite_config(f, num_attention_heads=[3, 2, 5, 8]), "heads"),
    "absurd depth": (lambda f: rewrite_config(f, depths=[10**9] * 4), "depths"),
    "duplicate key": (repeat_a_key, "max_depth"),
}


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_model_is_refused_before_any_photograph(
    predict: RunGlpn, photo: Path, copy: Path, kind: str, engine: str
) -> None:
    damage, message = DAMAGES[kind]
    damage(copy)
    weights.sign(copy)  # intact by its checksums: what it holds is refused all the same
    run = predict(photo, "-m", copy, "--engine", engine)
    assert (run.code, run.out) == (65, "")
    assert message in run.err and "Traceback" not in run.err
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_changed_weights_that_nobody_signed_are_refused(
    predict: RunGlpn, photo: Path, copy: Path, engine: str
) -> None:
    with_tensors(copy, lambda tensors: tensors["head.head.0.bias"].add_(1))
    run = predict(photo, "-m", copy, "--engine", engine)
    assert (run.code, run.out) == (65, "") and len(run.err.splitlines()) == 1
    assert (
        "model.safetensors: does not match its checksum in checksums.json" in run.err
        and "glpn sign" in run.err
    )


@pytest.mark.parametrize("engine", ["torch", "onnxruntime"])
def test_an_edited_configuration_predicts_after_one_line_of_warning(
    predict: RunGlpn, photo: Path, copy: Path, engine: str
) -> None:
    rewrite_config(copy, initializer_range=0.5)
    run = predict(photo, "-m", copy, "--engine", engine)
    assert run.code == 0
    [warning, *_] = run.err.splitlines()
    assert warning.startswith(
        f"warning: {copy}/config.json: does not match its checksum in checksums.json"
    )
    assert run.err.count("warning") == 1 and "Warning" not in run.err
    weights.sign(copy)
    assert "warning" not in predict(photo, "-m", copy, "--engine", engine).err


def test_a_model_that_lacks_a_tensor_is_refused_by_its_name(
    predict: RunGlpn, photo: Path, copy: Path
) -> None:
    with_tensors(copy, lambda tensors: tensors.pop("head.head.0.bias"))
    weights.sign(copy)
    run = predict(photo, "-m", copy, "--engine", "torch")
    assert run.code == 65 and "head.head.0.bias" in run.err
    run = predict(photo, "-m", copy, "--engine", "onnxruntime")  # its graph knows places alone
    assert run.code == 65 and "trunk.onnx was made for other weights" in run.err


def test_half_precision_weights_predict_nearly_the_same(
    predict: RunGlpn, photo: Path, copy: Path, model: Path
) -> None:
    def halve(tensors: dict[str, Any]) -> None:
        tensors |= {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}

    with_tensors(copy, halve)
    (copy / "model.onnx").unlink()
    weights.sign(copy)
    options = ("--json", "--format", "none")
    half, full = (predict(photo, "-m", m, *options).records[0]["median"] for m in (copy, model))
    assert half == pytest.approx(full, rel=1e-2)
