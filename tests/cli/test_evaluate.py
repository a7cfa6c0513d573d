"""`glpn evaluate`: figures by the protocol, the same bytes twice, resumed runs, every exit code."""

from __future__ import annotations

import csv
import json
import os
import pty
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import glpn as library
from tests import scenes
from tests.cli import sets
from tests.cli.conftest import Run, RunGlpn, command, run_for_real

RESULTS = ("images.csv", "result.json", "result.md")


@pytest.fixture
def nyu(tmp_path: Path) -> Path:
    return sets.nyu(tmp_path / "nyu")


@pytest.fixture
def evaluate(glpn: RunGlpn, model: Path) -> RunGlpn:
    """`glpn evaluate` with the tiny model on one thread."""

    def run(*arguments: object) -> Run:
        return glpn("evaluate", "-m", model, "--threads", 1, *arguments)

    return run


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "result.json").read_text())


# Figures


def by_hand(model: Path, rgb: Path, truth: str) -> list[float]:
    """delta1, AbsRel, RMSE of one frame from their formulas, in float64."""
    prediction = library.load(model, threads=1)(rgb).metres.astype(np.float64)
    target = np.asarray(Image.open(truth)) / 1000
    # Eigen's crop, rows 45:471 of 480 and columns 41:601 of 640, on a tenth of the size; of it
    # the border rows 7:42 and columns 7:56 alone are real.
    valid = np.zeros(target.shape, bool)
    valid[7:42, 7:56] = True
    valid &= (target > 1e-3) & (target < 10)
    p, t = prediction.clip(1e-3, 10)[valid], target[valid].astype(np.float32).astype(np.float64)
    ratio = np.maximum(p / t, t / p)
    return [(ratio < 1.25).mean(), (abs(p - t) / t).mean(), np.sqrt(((p - t) ** 2).mean())]


def test_figures_are_those_of_the_formulas(
    evaluate: RunGlpn, model: Path, nyu: Path, tmp_path: Path
) -> None:
    run = evaluate("--dataset", "nyu", "--data", nyu, "-o", tmp_path / "out")
    assert run.code == 0, run.err
    result = read(tmp_path / "out")
    names = ("delta1", "abs_rel", "rmse")
    frames = sorted(nyu.rglob("rgb_*.png"))
    wanted = [by_hand(model, f, str(f).replace("rgb_", "sync_depth_")) for f in frames]
    found = [[row[name] for name in names] for row in result["rows"]]
    assert np.allclose(found, wanted, rtol=1e-9)
    means = [result["means"][name]["value"] for name in names]
    assert np.allclose(means, np.mean(wanted, axis=0), rtol=1e-9)
    assert f"| abs_rel ↓ | {means[1]:.4f} | – |" in run.out
    with open(tmp_path / "out/images.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["abs_rel"]) for row in rows] == [row["abs_rel"] for row in result["rows"]]
    assert [row["scene"] for row in rows] == [f.parent.relative_to(nyu).as_posix() for f in frames]


def test_enough_scenes_have_an_interval_that_holds_the_mean(
    evaluate: RunGlpn, tmp_path: Path
) -> None:
    data = sets.nyu(tmp_path / "nyu", {f"room{i}": 1 for i in range(20)})
    [record] = evaluate("--data", data, "--json").records
    assert record["scenes"] == 20 and "rows" not in record
    for interval in record["means"].values():
        assert interval["low"] <= interval["value"] <= interval["high"]


@pytest.mark.slow
def test_kitti_is_scored_within_the_garg_crop(evaluate: RunGlpn, tmp_path: Path) -> None:
    data = sets.kitti(tmp_path / "kitti")
    run = evaluate("--dataset", "kitti", "--data", data, "-o", tmp_path / "out", "--max-depth", 80)
    assert run.code == 0, run.err
    for number, row in enumerate(read(tmp_path / "out")["rows"]):
        truth = sets.depth(number, sets.KITTI_SIZE, scale=256)
        cut = truth[376 - 352 :, (1242 - 1216) // 2 :][143:349, 43:1172]
        assert row["pixels"] == np.count_nonzero(cut)


def test_everything_that_decides_a_figure_is_in_the_result(
    evaluate: RunGlpn, model: Path, nyu: Path, tmp_path: Path
) -> None:
    options = ("--flip", "--align", "scale-shift:disparity", "--pooled", "--no-clamp")
    run = evaluate("--data", nyu, *options, "--range", "0.5,8", "-o", tmp_path, "--limit", 2)
    assert run.code == 0, run.err
    result = read(tmp_path)
    protocol, settings = result["protocol"], result["settings"]
    assert (protocol["flip"], protocol["clamp"], protocol["average"]) == (True, False, "pooled")
    assert (protocol["alignment"], protocol["alignment_space"]) == ("scale+shift", "disparity")
    assert (protocol["min_depth"], protocol["max_depth"]) == (0.5, 8)
    assert (settings["dataset"], settings["data"], settings["limit"]) == ("nyu", str(nyu), 2)
    assert settings["reading"]["form"]["scale"] == 1000
    assert settings["model_sha256"] == library.load(model).provenance.model_hash
    assert settings["engine"].startswith("onnxruntime ") and settings["threads"] == 1
    assert "limit 2" in (tmp_path / "result.md").read_text()


def test_the_same_command_twice_gives_the_same_bytes(
    evaluate: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        assert evaluate("--data", nyu, "-o", tmp_path / folder).code == 0
    for name in RESULTS:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


@pytest.mark.slow
def test_the_report_has_the_uncertainty_unless_depth_was_fitted(
    evaluate: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    options = ("--data", nyu, "--limit", 1, "--report", "-o", tmp_path, "--overwrite")
    assert evaluate(*options).code == 0
    assert "AUSE" in (tmp_path / "report.html").read_text()
    assert evaluate(*options, "--align", "median").code == 0
    assert "AUSE" not in (tmp_path / "report.html").read_text()


def test_write_errors_keeps_them_in_the_models_folder(
    glpn: RunGlpn, model: Path, nyu: Path, tmp_path: Path
) -> None:
    own = shutil.copytree(model, tmp_path / "own")
    before = library.load(own, threads=1)(np.zeros((64, 64, 3), np.uint8))
    assert before.relative_error is None
    run = glpn("evaluate", "-m", own, "--threads", 1, "--data", nyu, "--write-errors")
    assert run.code == 0 and "errors.json" in run.err
    after = library.load(own, threads=1)(np.zeros((64, 64, 3), np.uint8))
    assert after.relative_error > 0 and " frames of nyu" in after.provenance.error_data
    refused = glpn("evaluate", "-m", "glpn-b0-indoor", "--data", nyu, "--write-errors")
    assert refused.code == 2 and "installed package" in refused.err


def test_protocol_paper_is_the_sets_own_and_another_can_be_named(
    evaluate: RunGlpn, nyu: Path
) -> None:
    def crop(*options: Any) -> Any:
        [record] = evaluate("--data", nyu, "--json", *options).records
        return record["protocol"]["crop"]

    assert crop() == crop("--protocol", "paper") == "eigen-nyu"
    assert crop("--protocol", "folder") == "none"
    assert crop("--dataset", "folder") == "none"


# iBims-1


def test_geometry_errors_come_out_where_the_matlab_files_are(glpn: RunGlpn, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    data, pngs = scenes.release(tmp_path / "ibims"), tmp_path / "pngs"
    for number in range(2):  # 2.5 m everywhere: the errors are those worked out beside scenes.FAR
        sets.put(pngs / f"room_{number}.png", np.full(scenes.SIZE, 2500, np.uint16))
    options = ("--data", data, "--from-pngs", pngs, "-o", tmp_path / "out")
    run = glpn("evaluate", "--dataset", "ibims", *options)
    assert run.code == 0 and "no geometry" not in run.err, run.err
    assert "| pe_orie [°] ↓ | 30.0000 | – |" in run.out
    geometry = read(tmp_path / "out")["geometry"]
    found = {name: interval["value"] for name, interval in geometry["means"].items()}
    assert list(found.values()) == pytest.approx(
        [0, 30, 10, 10, 1 - scenes.FAR, scenes.FAR, 0], abs=1e-6
    )
    [record] = glpn(
        "evaluate", *options, "--json", "--overwrite"
    ).records  # recognised by its files
    assert list(record["geometry"]) == ["means"] and record["settings"]["dataset"] == "ibims"


def test_use_focal_scores_what_predict_gives_for_the_camera(
    glpn: RunGlpn, evaluate: RunGlpn, tmp_path: Path
) -> None:
    data, saved = sets.plain(tmp_path / "data", 2), tmp_path / "saved"
    model = ("-m", "glpn-b0-indoor", "--threads", 1)
    frames = ("--data", data, "--scale", 25.5, "--use-focal")
    lacking = glpn("evaluate", *model, *frames)
    assert lacking.code == 65 and "no camera is known" in lacking.err

    (data / "K.txt").write_text("100 0 32 0 100 24 0 0 1\n")
    run = glpn("evaluate", *model, *frames, "--flip", "--save-pngs", saved, "-o", tmp_path / "out")
    assert run.code == 0, run.err
    assert read(tmp_path / "out")["protocol"]["focal_ratio"] == 1.081
    estimator = library.load(threads=1, precision="float32")
    photo = next((data / "rgb").iterdir())
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    mirrored = estimator(np.ascontiguousarray(pixels[:, ::-1]), focal=100).metres[:, ::-1]
    expected = (estimator(pixels, focal=100).metres + mirrored) / 2
    written = np.asarray(Image.open(saved / f"{photo.stem}.png")) / 1000
    np.testing.assert_allclose(written, expected, atol=0.0006)

    stray = glpn("evaluate", *frames, "--from-pngs", saved)
    assert stray.code == 2 and "--use-focal: cannot be combined with --from-pngs" in stray.err
    unknown = evaluate(*frames)  # a model that states no camera
    assert unknown.code == 2 and "does not state its own camera" in unknown.err


def test_beside_the_pngs_matlab_files_give_the_geometry_alone(
    evaluate: RunGlpn, tmp_path: Path
) -> None:
    pytest.importorskip("scipy")
    data = sets.ibims(tmp_path / "ibims")
    without = evaluate("--data", data, "-o", tmp_path / "a")
    assert without.code == 0 and "no geometry errors" in without.err
    assert "for 2 of 2 frames: they need the MATLAB release's NAME.mat" in without.err
    scenes.write(data / "ibims1_core_mat/room_1.mat")
    beside = evaluate("--data", data, "-o", tmp_path / "b")
    assert beside.code == 0 and "for 1 of 2 frames" in beside.err
    a, b = read(tmp_path / "a"), read(tmp_path / "b")
    geometry = b.pop("geometry")
    assert a == b and [row["name"] for row in geometry["rows"]] == ["room_1"]


def test_the_geometry_has_the_same_bytes_twice_and_can_be_compared(
    evaluate: RunGlpn, glpn: RunGlpn, tmp_path: Path
) -> None:
    pytest.importorskip("scipy")
    data = scenes.release(tmp_path / "ibims", 9)
    for folder in ("a", "b"):
        assert evaluate("--data", data, "-o", tmp_path / folder).code == 0
    for name in RESULTS:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    files = [tmp_path / folder / "result.json" for folder in "ab"]
    assert glpn("evaluate", "--compare", *files).code == 0


def test_a_damaged_scene_file_is_65_and_named(evaluate: RunGlpn, tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    data = scenes.release(tmp_path / "ibims")
    whole = (data / "room_1.mat").read_bytes()
    (data / "room_1.mat").write_bytes(whole[: len(whole) // 2])
    run = evaluate("--data", data, "-o", tmp_path / "out")
    assert run.code == 65 and "room_1.mat" in run.err and "Traceback" not in run.err


# Frames


def test_a_plain_folder_is_described_by_options_or_a_file(
    evaluate: RunGlpn, tmp_path: Path
) -> None:
    data = sets.plain(tmp_path / "plain")
    spec = tmp_path / "spec.toml"
    spec.write_text("scale = 25.5\noffset = 0.5\ninvalid = []\nborder = [1, 2, 3, 4]\n")
    options_given = ("--scale", 25.5, "--offset", 0.5, "--invalid", "none", "--border", "1,2,3,4")
    by_options, by_file = (
        evaluate("--data", data, "--dataset", "folder", "--json", *options).records[0]
        for options in (options_given, ("--spec", spec))
    )
    assert by_options == by_file
    assert by_options["protocol"]["name"] == "folder" and by_options["images"] == 4


def test_a_unit_displaces_the_scale_of_the_layout(evaluate: RunGlpn, nyu: Path) -> None:
    [record] = evaluate("--data", nyu, "--unit", "cm", "--range", "0.1,1000", "--json").records
    assert record["settings"]["reading"]["form"]["scale"] == 100


def test_split_list_and_limit_choose_frames(evaluate: RunGlpn, tmp_path: Path) -> None:
    data = sets.plain(tmp_path / "plain", 6)
    listed = tmp_path / "some.txt"
    listed.write_text("004\n001\n")

    def names(*options: Any) -> list[str]:
        folder = tmp_path / "-".join(map(str, options)).replace("/", "_")
        assert evaluate("--data", data, "--scale", 25.5, *options, "-o", folder).code == 0
        return [row["name"] for row in read(folder)["rows"]]

    assert names("--split", "val") == ["003", "004", "005"]
    assert names("--list", listed) == ["004", "001"]
    assert names("--limit", 3) == ["000", "002", "005"]  # evenly spaced
    assert names("--limit", 9) == [f"00{i}" for i in range(6)]


@pytest.mark.slow
def test_what_was_guessed_is_said_once_and_only_aloud(evaluate: RunGlpn, tmp_path: Path) -> None:
    data = sets.plain(tmp_path / "plain", bits=16)
    run = evaluate("--data", data)
    assert run.code == 0 and run.err.count("scale") == 1
    assert evaluate("--data", data, "--quiet") == (0, "", "")


# Saved predictions


def test_saved_predictions_score_as_the_model_did(
    evaluate: RunGlpn, glpn: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    pngs = tmp_path / "pngs"
    [direct] = evaluate("--data", nyu, "--save-pngs", pngs, "--json").records
    assert len(list(pngs.iterdir())) == 4
    [saved] = glpn("evaluate", "--data", nyu, "--from-pngs", pngs, "--json").records
    for name, interval in saved["means"].items():
        assert interval["value"] == pytest.approx(direct["means"][name]["value"], rel=2e-3), name
    assert saved["settings"]["pngs"] == str(pngs)


def test_saved_predictions_and_studies_keep_the_warnings_of_the_data(
    evaluate: RunGlpn, glpn: RunGlpn, model: Path, tmp_path: Path
) -> None:
    data, pngs, out = sets.plain(tmp_path / "data", 1, bits=16), tmp_path / "pngs", tmp_path / "out"
    assert evaluate("--data", data, "--save-pngs", pngs, "-o", out).code == 0
    [warning] = (text for text in read(out)["warnings"] if "guessed" in text)
    saved = glpn("evaluate", "--data", data, "--from-pngs", pngs, "-o", tmp_path / "saved")
    assert saved.code == 0 and f"Warning: {warning}" in saved.out
    assert warning in read(tmp_path / "saved")["warnings"]
    corrupted = glpn(*study(data, model, tmp_path / "study", "--severities", 1))
    assert corrupted.code == 0 and f"Warning: {warning}" in corrupted.out
    assert warning in json.loads((tmp_path / "study/robustness.json").read_text())["warnings"]


def test_saved_predictions_are_replaced_only_with_overwrite(
    evaluate: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    options = ("--data", nyu, "--limit", 1, "--save-pngs", tmp_path / "pngs")
    assert evaluate(*options).code == 0
    [path] = (tmp_path / "pngs").iterdir()
    before = path.read_bytes()
    assert evaluate(*options, "--max-depth", 5).code == 73
    assert path.read_bytes() == before
    assert evaluate(*options, "--max-depth", 5, "--overwrite").code == 0
    assert path.read_bytes() != before


def test_an_incomplete_folder_of_predictions_is_refused_by_name(
    evaluate: RunGlpn, glpn: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    pngs = tmp_path / "pngs"
    evaluate("--data", nyu, "--save-pngs", pngs)
    shutil.copy(sorted(pngs.iterdir())[0], pngs / "stray.png")
    run = glpn("evaluate", "--data", nyu, "--from-pngs", pngs)
    assert run.code == 65 and "stray.png" in run.err
    (pngs / "stray.png").unlink()
    gone = sorted(pngs.iterdir())[1]
    gone.unlink()
    run = glpn("evaluate", "--data", nyu, "--from-pngs", pngs)
    assert run.code == 66 and gone.name in run.err


# Comparison


def test_two_results_are_compared_frame_by_frame(
    evaluate: RunGlpn, glpn: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    for folder, depth in (("a", 10), ("b", 12)):
        assert evaluate("--data", nyu, "--max-depth", depth, "-o", tmp_path / folder).code == 0
    files = [tmp_path / folder / "result.json" for folder in "ab"]
    first, second = (json.loads(file.read_text()) for file in files)
    [record] = glpn("evaluate", "--compare", *files, "--json").records
    wanted = np.mean(
        [b["rmse"] - a["rmse"] for a, b in zip(first["rows"], second["rows"], strict=True)]
    )
    assert record["differences"]["rmse"]["value"] == pytest.approx(wanted, rel=1e-9)
    assert 0 < record["differences"]["rmse"]["p_value"] <= 1
    run = glpn("evaluate", "--compare", *files)
    assert run.code == 0 and f"{wanted:+.4f}" in run.out and "up to 12 m" in run.out


def test_results_that_cannot_be_compared_are_refused(
    evaluate: RunGlpn, glpn: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    evaluate("--data", nyu, "-o", tmp_path / "a")
    evaluate("--data", nyu, "-o", tmp_path / "b", "--limit", 2)
    evaluate("--data", nyu, "-o", tmp_path / "c", "--flip")
    (tmp_path / "bad.json").write_text("{}")
    file = tmp_path / "a/result.json"
    for other, code in (("b/result.json", 65), ("c/result.json", 65), ("bad.json", 65)):
        run = glpn("evaluate", "--compare", file, tmp_path / other)
        assert (run.code, run.out) == (code, "") and run.err.startswith("error: ")
    assert glpn("evaluate", "--compare", file, tmp_path / "absent.json").code == 66


@pytest.mark.parametrize(
    "options",
    [
        *(
            ("--limit", "2"),
            ("--list", "x"),
            ("--protocol", "nyu"),
            ("--range", "1,2"),
            ("--flip",),
        ),
        *(("--use-focal",), ("--align", "median"), ("--pooled",), ("--no-clamp",), ("--report",)),
        *(("--write-errors",), ("--save-pngs", "x"), ("--from-pngs", "x"), ("--corruptions",)),
        *(("--max-depth", "5"), ("--engine", "torch")),
    ],
)
def test_a_comparison_refuses_the_options_that_it_would_ignore(
    glpn: RunGlpn, options: tuple[str, ...]
) -> None:
    run = glpn("evaluate", "--compare", "a.json", "b.json", *options)
    assert run.code == 2 and f"{options[0]}: cannot be combined with --compare" in run.err


@pytest.mark.parametrize(
    "options", [("--max-depth", "5"), ("--engine", "torch"), ("--device", "cpu")]
)
def test_saved_predictions_refuse_the_options_of_a_model(
    glpn: RunGlpn, nyu: Path, options: tuple[str, ...]
) -> None:
    run = glpn("evaluate", "--data", nyu, "--from-pngs", nyu, *options)
    assert run.code == 2 and f"{options[0]}: cannot be combined with --from-pngs" in run.err


# Robustness


def study(data: Path, model: Path, output: Path, *options: Any) -> tuple[object, ...]:
    fixed = ("--corruptions", "--threads", 1)
    return "evaluate", "-m", model, "--data", data, "-o", output, *fixed, *options


def test_robustness_is_a_table_of_relative_losses(
    glpn: RunGlpn, model: Path, nyu: Path, tmp_path: Path
) -> None:
    arguments = study(nyu, model, tmp_path / "out", "--severities", "2,5", "--limit", 1)
    run = glpn(*arguments)
    assert run.code == 0, run.err
    found = json.loads((tmp_path / "out/robustness.json").read_text())
    assert len(found["means"]) == 1 + 15 * 2
    clean, mild, bad = (found["means"][c]["rmse"]["value"] for c in ("clean", "fog 2", "fog 5"))
    loss = ((mild + bad) / 2 - clean) / clean
    assert found["relative_loss"]["rmse"]["fog"] == pytest.approx(loss, rel=1e-9)
    assert "| corruption | 2 | 5 | mean | worse by |" in run.out
    assert f"| {loss:+.1%} |" in run.out
    again = glpn(*arguments)  # all is there already
    assert again.code == 0 and again.out == run.out


@pytest.mark.slow
def test_a_killed_study_goes_on_and_ends_in_the_same_bytes(
    glpn: RunGlpn, model: Path, nyu: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    journal = killed / "robustness.jsonl"
    with subprocess.Popen(
        command(*study(nyu, model, killed)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 60
        while not (journal.exists() and journal.read_bytes().count(b"\n") > 20):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.kill()
    kept = journal.read_bytes()
    kept = kept[: kept.rindex(b"\n") + 1]
    assert 20 < kept.count(b"\n") < 1 + 4 * 76 and not (killed / "robustness.json").exists()
    run = glpn(*study(nyu, model, killed))
    assert run.code == 0 and "resuming after the scores in it" in run.err
    assert glpn(*study(nyu, model, whole)).code == 0
    assert journal.read_bytes().startswith(kept)
    for name in ("robustness.jsonl", "robustness.json", "robustness.md"):
        assert (whole / name).read_bytes() == (killed / name).read_bytes(), name


def test_a_study_of_other_settings_is_not_continued(
    glpn: RunGlpn, model: Path, nyu: Path, tmp_path: Path
) -> None:
    few = ("--severities", "1", "--limit", 1)
    assert glpn(*study(nyu, model, tmp_path / "out", *few)).code == 0
    before = (tmp_path / "out/robustness.jsonl").read_bytes()
    run = glpn(*study(nyu, model, tmp_path / "out", *few, "--scale", 900))
    assert run.code == 65 and "another run" in run.err
    assert (tmp_path / "out/robustness.jsonl").read_bytes() == before
    assert glpn(*study(nyu, model, tmp_path / "out", *few, "--scale", 900, "--overwrite")).code == 0


# Exit codes


def test_results_are_not_replaced_unasked(evaluate: RunGlpn, nyu: Path, tmp_path: Path) -> None:
    assert evaluate("--data", nyu, "-o", tmp_path / "out").code == 0
    before = {name: (tmp_path / "out" / name).read_bytes() for name in RESULTS}
    run = evaluate("--data", nyu, "-o", tmp_path / "out", "--flip")
    assert run.code == 73 and "result.json: exists already" in run.err
    assert {name: (tmp_path / "out" / name).read_bytes() for name in RESULTS} == before
    assert evaluate("--data", nyu, "-o", tmp_path / "out", "--flip", "--overwrite").code == 0
    assert read(tmp_path / "out")["protocol"]["flip"]


def test_an_output_that_cannot_be_made_is_73_before_the_model_is_opened(
    glpn: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    run = glpn("evaluate", "-m", tmp_path / "absent", "--data", nyu, "-o", tmp_path / "file/out")
    assert run.code == 73 and str(tmp_path / "file") in run.err


def test_missing_input_is_66_and_named(
    evaluate: RunGlpn, glpn: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, name in [
        (("--data", tmp_path / "absent"), "absent"),
        (("--data", tmp_path / "absent", "--dataset", "kitti"), "absent"),
        (("--data", tmp_path / "empty"), "empty"),
        (("--data", nyu, "--split", "val"), "val.txt"),
        (("--data", nyu, "--list", tmp_path / "no.txt"), "no.txt"),
        (("--data", nyu, "--spec", tmp_path / "no.toml"), "no.toml"),
    ]:
        run = evaluate(*arguments)
        assert (run.code, run.out) == (66, ""), arguments
        assert name in run.err and "Traceback" not in run.err
    assert glpn("evaluate", "-m", tmp_path / "absent", "--data", nyu).code == 66


def test_bad_data_is_65_names_the_frame_and_writes_nothing(
    evaluate: RunGlpn, nyu: Path, tmp_path: Path
) -> None:
    folder = nyu / "official_splits/test/kitchen"
    good = (folder / "rgb_00001.png").read_bytes()
    (folder / "rgb_00001.png").write_bytes(good[: len(good) // 2])
    run = evaluate("--data", nyu, "-o", tmp_path / "out")
    assert run.code == 65 and "kitchen/rgb_00001.png" in run.err
    (folder / "rgb_00001.png").write_bytes(good)
    sets.put(folder / "sync_depth_00001.png", np.zeros(sets.SMALL, np.uint16))
    run = evaluate("--data", nyu, "-o", tmp_path / "out")
    assert run.code == 65 and "kitchen/00001: no valid pixel" in run.err
    assert list((tmp_path / "out").iterdir()) == []
    sets.put(folder / "sync_depth_00001.png", np.zeros((10, 10), np.uint16))
    run = evaluate("--data", nyu)
    assert run.code == 65 and "kitchen/00001 (image 64x48, depth 10x10)" in run.err


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--data", "{nyu}", "--align", "best"),
        ("--data", "{nyu}", "--align", "median", "--protocol", "eigen"),
        ("--data", "{nyu}", "--range", "8,1"),
        ("--data", "{nyu}", "--range", "8"),
        ("--data", "{nyu}", "--dataset", "imagenet"),
        ("--data", "{nyu}", "--limit", "0"),
        ("--data", "{nyu}", "--unit", "ell"),
        ("--data", "{nyu}", "--unit", "mm", "--scale", "25"),
        ("--data", "{nyu}", "--scale", "-1"),
        ("--data", "{nyu}", "--border", "1,2"),
        ("--data", "{nyu}", "--border", "a"),
        ("--data", "{nyu}", "--invalid", "nan"),
        ("--data", "{nyu}", "--report"),
        ("--data", "{nyu}", "--from-pngs", "x"),  # with -m
        ("--data", "{nyu}", "--corruptions", "--pooled"),
        ("--data", "{nyu}", "--corruptions", "--report"),
        ("--data", "{nyu}", "--corruptions", "--severities", "6"),
        ("--data", "{nyu}", "--severities", "1"),
        ("--data", "{nyu}", "--png-scale", "256"),
        ("--data", "{nyu}", "--list", "x.txt", "--split", "val"),
        ("--data", "{nyu}", "--max-depth", "0"),
        ("--compare", "a.json", "b.json"),  # with -m
    ],
)
def test_impossible_options_are_usage_errors(
    evaluate: RunGlpn, nyu: Path, options: tuple[Any, ...]
) -> None:
    run = evaluate(*(option.format(nyu=nyu) for option in options))
    assert (run.code, run.out) == (2, "") and "Traceback" not in run.err


def test_a_signal_ends_the_run_without_traceback(model: Path, nyu: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        command(*study(nyu, model, tmp_path / "out")), stderr=subprocess.PIPE
    ) as process:
        while not (tmp_path / "out/robustness.jsonl").exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 143 and errors.endswith(b"stopped\n") and b"Trace" not in errors


@pytest.mark.slow
def test_a_reader_that_leaves_costs_no_file(model: Path, nyu: Path, tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)  # as `glpn evaluate … | head` does
    arguments = ("evaluate", "-m", model, "--data", nyu, "--threads", 1, "-o", tmp_path / "out")
    done = subprocess.run(command(*arguments), stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    assert b"Traceback" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(RESULTS)


@pytest.mark.slow
def test_a_terminal_shows_progress(model: Path, nyu: Path) -> None:
    arguments = ("evaluate", "-m", model, "--data", nyu, "--threads", 1)
    ours, theirs = pty.openpty()
    with subprocess.Popen(command(*arguments), stderr=theirs, stdout=subprocess.DEVNULL) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0 and "━" in shown.decode()
    assert "━" not in run_for_real(*arguments).err
