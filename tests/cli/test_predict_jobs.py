"""`glpn predict` on many photographs: going on after an end, and never mixing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glpn as library
from glpn import weights
from glpn.engines.selection import Candidate, Cost, save_costs
from tests.cli.conftest import RunGlpn, write_photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four different photographs of 96x128 pixels."""
    folder = tmp_path / "photos"
    photograph = Image.open(write_photo(folder / "p0.jpg"))
    for i in (1, 2, 3):
        shifted = np.roll(np.asarray(photograph), 20 * i, axis=1)
        Image.fromarray(shifted).save(folder / f"p{i}.jpg")
    return folder


@pytest.fixture
def other_model(model: Path, tmp_path: Path) -> Path:
    """The same network with other weights."""
    from safetensors.numpy import load_file, save_file

    other = shutil.copytree(model, tmp_path / "other-model")
    tensors = load_file(other / "model.safetensors")
    tensors["head.head.2.bias" if "head.head.2.bias" in tensors else next(iter(tensors))] += 0.1
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    return other


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    text = (tmp_path / "out/manifest.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def outputs(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".jsonl"}


def test_a_folder_keeps_a_manifest_with_a_line_for_each_photograph(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    assert predict(folder, "--fov", "60").code == 0
    noted = lines(tmp_path)
    assert sorted(line["image"] for line in noted) == [str(folder / f"p{i}.jpg") for i in range(4)]
    for line in noted:
        origin = library.read_depth(tmp_path / "out" / line["files"]["png16"]["name"]).provenance
        assert line["origin"] == {
            "image_hash": origin.image_hash,
            "model_hash": origin.model_hash,
            "asked": "fov=60.0",
            "settings_hash": origin.settings_hash,
        }
        assert line["seconds"] > 0 and line["error"] == ""


def test_one_photograph_keeps_none(predict: RunGlpn, photo: Path, tmp_path: Path) -> None:
    predict(photo)
    assert not (tmp_path / "out/manifest.jsonl").exists()


def test_a_second_run_keeps_all_and_notes_nothing(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    predict(folder)
    before = (tmp_path / "out/manifest.jsonl").read_bytes()
    run = predict(folder)
    assert "4 kept" in run.err and "predicted" not in run.err
    assert (tmp_path / "out/manifest.jsonl").read_bytes() == before


def test_a_photograph_that_changed_is_predicted_anew_and_the_others_kept(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    predict(folder)
    before = outputs(tmp_path / "out")
    Image.new("RGB", (64, 64), "red").save(folder / "p2.jpg")
    run = predict(folder)
    assert run.code == 0 and "1 predicted, 3 kept" in run.err
    after = outputs(tmp_path / "out")
    assert {name for name in after if after[name] != before[name]} == {"p2.png", "p2.vis.png"}
    assert library.read_depth(tmp_path / "out/p2.png").size == (64, 64)


@pytest.mark.parametrize("change", [["--fov", "70"], ["--max-depth", "80"], ["--scale", "256"]])
def test_other_options_are_refused_before_anything_is_done(
    predict: RunGlpn, folder: Path, tmp_path: Path, change: list[str]
) -> None:
    predict(folder)
    before = outputs(tmp_path / "out")
    write_photo(folder / "p4.jpg")
    run = predict(folder, *change)
    assert (run.code, run.out) == (73, "") and "--overwrite" in run.err
    assert run.err.count("error") == 1
    assert outputs(tmp_path / "out") == before
    assert "5 predicted" in predict(folder, *change, "--overwrite").err


def test_another_model_is_refused_in_a_job_and_for_one_photograph(
    predict: RunGlpn, folder: Path, other_model: Path, tmp_path: Path
) -> None:
    predict(folder)
    before = outputs(tmp_path / "out")
    for what in (folder, folder / "p1.jpg"):
        run = predict(what, "-m", other_model)
        assert run.code == 73 and "was made with another model" in run.err
    assert outputs(tmp_path / "out") == before


def interrupted(tmp_path: Path, run: Callable[[], object], name: str) -> None:
    """Bring the folder into the state of a run that was killed before it recorded a file."""
    out, manifest = tmp_path / "out", tmp_path / "out/manifest.jsonl"
    before, record = outputs(out), manifest.read_bytes()
    run()
    for file, data in before.items():
        if file != name:
            (out / file).write_bytes(data)
    manifest.write_bytes(record)


def test_a_run_resumes_that_was_killed_while_it_replaced_the_outputs_of_a_changed_photo(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    predict(folder)
    Image.new("RGB", (64, 64), "red").save(folder / "p2.jpg")
    interrupted(tmp_path, lambda: predict(folder), "p2.png")
    run = predict(folder)
    assert run.code == 0 and "1 predicted, 3 kept" in run.err
    assert library.read_depth(tmp_path / "out/p2.png").size == (64, 64)
    before = (tmp_path / "out/manifest.jsonl").read_bytes()
    assert "4 kept" in predict(folder).err
    assert (tmp_path / "out/manifest.jsonl").read_bytes() == before


def test_a_run_resumes_that_was_killed_after_it_had_replaced_the_last_output(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    for photo in ("p1.jpg", "p2.jpg", "p3.jpg"):
        (folder / photo).unlink()
    plain, wide = ("--format", "png16"), ("--format", "png16", "--fov", "60")
    predict(folder, *plain)
    interrupted(tmp_path, lambda: predict(folder, *wide, "--overwrite"), "p0.png")
    refused = predict(folder, *plain)
    assert refused.code == 73 and "was made with fov=60.0, not no options" in refused.err
    assert "1 kept" in predict(folder, *wide).err
    assert lines(tmp_path)[-1]["origin"]["asked"] == "fov=60.0"


@pytest.mark.parametrize(
    ("file", "change"),
    [("config.json", {"max_depth": 80.0}), ("preprocessor_config.json", {"short_side": 64})],
)
def test_a_model_with_edited_settings_counts_as_another(
    predict: RunGlpn, folder: Path, model: Path, tmp_path: Path, file: str, change: dict[str, float]
) -> None:
    own = shutil.copytree(model, tmp_path / "own-model")
    predict(folder, "-m", own)
    settings = json.loads((own / file).read_text())
    (own / file).write_text(json.dumps(settings, indent=7))
    weights.sign(own)
    assert "4 kept" in predict(folder, "-m", own).err
    (own / file).write_text(json.dumps({**settings, **change}))
    weights.sign(own)
    for remembered in (True, False):  # by the manifest, then by the files
        run = predict(folder, "-m", own)
        assert run.code == 73 and "was made with other settings of this model" in run.err
        if remembered:
            (tmp_path / "out/manifest.jsonl").unlink()


def test_records_without_settings_are_accepted(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    predict(folder)
    manifest = tmp_path / "out/manifest.jsonl"
    old = lines(tmp_path)
    for line in old:
        del line["origin"]["settings_hash"]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in old))
    assert "4 kept" in predict(folder).err


def test_of_two_photographs_with_one_name_the_second_is_refused_not_passed_over(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    predict(folder / "p0.jpg")
    other = tmp_path / "elsewhere/p0.jpg"
    other.parent.mkdir()
    shutil.copy(folder / "p1.jpg", other)
    run = predict(other)
    assert run.code == 73 and "was made from another photo" in run.err


def test_the_same_photograph_under_another_path_is_kept(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    predict(folder)
    moved = shutil.move(folder, tmp_path / "moved")
    assert "4 kept" in predict(moved).err


def test_without_its_manifest_a_job_goes_on_by_what_the_files_say(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    predict(folder)
    (tmp_path / "out/manifest.jsonl").unlink()
    (tmp_path / "out/p3.png").unlink()
    run = predict(folder)
    assert run.code == 0 and "1 predicted, 3 kept" in run.err
    assert len(lines(tmp_path)) == 4


def test_a_failure_is_noted_and_tried_again(predict: RunGlpn, folder: Path, tmp_path: Path) -> None:
    good = (folder / "p1.jpg").read_bytes()
    (folder / "p1.jpg").write_bytes(good[:1000])
    assert predict(folder).code == 65
    [failure] = [line for line in lines(tmp_path) if line["error"]]
    assert failure["image"].endswith("p1.jpg") and "truncated" in failure["error"]
    (folder / "p1.jpg").write_bytes(good)
    run = predict(folder)
    assert run.code == 0 and "1 predicted, 3 kept" in run.err


def test_shards_together_do_what_one_run_does_and_share_its_folder(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    predict(folder, "-o", whole)
    done = [
        record["image"]
        for i in (1, 2, 3)
        for record in predict(folder, "-o", parts, "--shard", f"{i}/3", "--json").records
    ]
    assert sorted(done) == [str(folder / f"p{i}.jpg") for i in range(4)]
    assert outputs(parts) == outputs(whole)
    assert "4 kept" in predict(folder, "-o", parts).err
    assert predict(folder, "--shard", "4/3").code == 2


@pytest.mark.slow
def test_shards_take_the_engine_that_suits_them_all(
    predict: RunGlpn, model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino", reason="needs pip install -c constraints.txt '.[openvino]'")
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))
    slow_start = dict.fromkeys(
        [Candidate("openvino", "float32"), Candidate("openvino", "bfloat16")], Cost(1.0, 0.1)
    )
    slow = {Candidate("onnxruntime", "float32"): Cost(0.1, 0.5)}
    for threads in (1, 2):  # openvino is faster from three photographs on
        save_costs(model, threads, {**slow_start, **slow})
    for i in (1, 2):
        predict(folder, "-o", tmp_path / "depth", "--shard", f"{i}/2", "--format", "npz")
    depths = [library.read_depth(path) for path in (tmp_path / "depth").glob("*.npz")]
    assert [depth.provenance.engine for depth in depths if depth.provenance] == ["openvino"] * 4


def test_several_at_a_time_write_what_one_at_a_time_writes_in_the_same_order(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    for threads in (1, 2):
        run = predict(folder, "-o", tmp_path / str(threads), "--threads", threads, "--json")
        assert [r["image"] for r in run.records] == [str(folder / f"p{i}.jpg") for i in range(4)]
    assert outputs(tmp_path / "1") == outputs(tmp_path / "2")


def test_the_contact_sheet_shows_every_photograph(
    predict: RunGlpn, folder: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "sheet.png"
    assert predict(folder, "--sheet", sheet).code == 0
    with Image.open(sheet) as picture:
        picture.load()
        first = picture.size
    sheet.rename(tmp_path / "first.png")
    assert predict(folder, "--sheet", sheet).code == 0  # of files that were kept
    assert predict(folder, "--sheet", sheet).code == 0  # its own kind is replaced
    with Image.open(sheet) as picture:
        assert picture.size == first
    mine = tmp_path / "mine.png"
    Image.new("RGB", (9, 9)).save(mine)
    for wrong, code in ((mine, 73), (tmp_path / "sheet.gif", 2)):
        assert predict(folder, "--sheet", wrong).code == code
    assert predict(folder, "--sheet", sheet, "--format", "vis").code == 2
    run = predict(folder, "-o", tmp_path / "new", "--sheet", tmp_path / "new/p0.png")
    assert run.code == 73 and "not a contact sheet" in run.err  # it is a depth of this job


def test_an_answer_is_the_same_whether_or_not_the_files_were_there(
    predict: RunGlpn, folder: Path
) -> None:
    first = predict(folder, "--at", "5,5", "--json").records
    again = predict(folder, "--at", "5,5", "--json").records
    assert [r["at"] for r in first] == [r["at"] for r in again]
