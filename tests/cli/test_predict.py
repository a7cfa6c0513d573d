"""`glpn predict`: what it says, what it writes, what it keeps, and what it survives."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glpn as library
from glpn.depth.colormaps import COLORMAPS
from glpn.errors import worst
from glpn.files import FORMATS
from glpn.weights import sign
from tests.cli.conftest import RunGlpn, command, run_for_real, write_photo

# What it says


def test_one_line_tells_size_metres_camera_places_and_files(
    predict: RunGlpn, photo: Path, model: Path, tmp_path: Path
) -> None:
    run = predict(photo, "--at", "10,20", "--at", "3.5,4", "--between", "0,0,100,50")
    assert (run.code, run.err) == (0, "")
    depth = library.load(model, threads=1)(photo)
    [line] = run.out.splitlines()
    low, high = depth.metres.min(), depth.metres.max()
    assert line.startswith(f"{photo}: 128x96, {low:.3g}-{high:.3g} m, median ")
    assert "focal 111 px (assumed 60° field of view along the longer side)" in line  # 64·√3
    assert f"{depth.at(10, 20):.2f} m at (10, 20); " in line
    assert re.search(r"\d+\.\d\d m at \(3\.5, 4\); \d+\.\d\d m from \(0, 0\) to \(100, 50\)", line)
    assert line.endswith(f"wrote {tmp_path}/out/room.png, {tmp_path}/out/room.vis.png")


def test_figures_are_those_of_the_python_door(predict: RunGlpn, photo: Path, model: Path) -> None:
    run = predict(photo, "--json", "--format", "none", "--at", "7,9", "--between", "7,9,80,60")
    depth = library.load(model, threads=1)(photo)
    [record] = run.records
    assert record["min"] == pytest.approx(depth.metres.min(), abs=1e-4)
    assert record["max"] == pytest.approx(depth.metres.max(), abs=1e-4)
    assert record["median"] == pytest.approx(np.median(depth.metres), abs=1e-4)
    [at], [between] = record["at"], record["between"]
    assert at == {"x": 7, "y": 9, "metres": pytest.approx(depth.at(7, 9), abs=1e-4)}
    assert (between["start"], between["end"]) == ([7, 9], [80, 60])
    assert between["metres"] == pytest.approx(depth.between((7, 9), (80, 60)), abs=1e-4)
    assert record["provenance"]["model_hash"] == depth.provenance.model_hash


def test_json_is_one_object_for_each_photograph_and_nothing_else(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no picture")
    predict(photo)
    good = write_photo(tmp_path / "photos/second.jpg")
    run = predict(photo, bad, tmp_path / "absent.jpg", good, "--json")
    assert run.code == 65
    by_name = {record["image"]: record for record in run.records}
    assert len(run.records) == len(by_name) == 4
    assert by_name[str(photo)]["status"] == "kept"
    assert by_name[str(good)]["status"] == "predicted"
    assert by_name[str(good)]["files"]["vis"] == f"{tmp_path}/out/second.vis.png"
    assert (by_name[str(bad)]["status"], by_name[str(bad)]["code"]) == ("failed", 65)
    assert by_name[str(tmp_path / "absent.jpg")]["code"] == 66
    assert "error: " in run.err


def test_quiet_prints_errors_alone(predict: RunGlpn, photo: Path, tmp_path: Path) -> None:
    run = predict(photo, write_photo(tmp_path / "b.jpg"), tmp_path / "absent.jpg", "--quiet")
    assert (run.code, run.out) == (66, "")
    assert run.err == f"error: {tmp_path}/absent.jpg: no such file or folder\n"


def test_no_format_writes_nothing_and_makes_no_folder(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    assert predict(photo, "--format", "none").code == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("lens", [("--focal", "500"), ("--fov", "90")])
def test_given_lens_is_used_and_said(predict: RunGlpn, photo: Path, lens: tuple[str, str]) -> None:
    run = predict(photo, *lens, "--json", "--format", "none")
    camera = run.records[0]["camera"]
    assert camera["fx"] == pytest.approx({"--focal": 500, "--fov": 64}[lens[0]])  # 128/2/tan 45°
    assert camera["source"].startswith("given")


def test_max_depth_rescales_the_model(predict: RunGlpn, photo: Path) -> None:
    near, far = (
        predict(photo, "--json", "--format", "none", "--max-depth", m).records[0]["median"]
        for m in (10, 80)
    )
    assert far == pytest.approx(8 * near, rel=1e-3)


def test_engines_agree(predict: RunGlpn, photo: Path) -> None:
    torch, onnx = (
        predict(photo, "--json", "--format", "none", "--engine", engine).records[0]
        for engine in ("torch", "onnxruntime")
    )
    assert (torch["provenance"]["engine"], onnx["provenance"]["engine"]) == ("torch", "onnxruntime")
    assert torch["median"] == pytest.approx(onnx["median"], rel=1e-4)


# What it writes


def test_every_format_is_written_under_its_own_suffix(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    run = predict(photo, "--format", ",".join(FORMATS), "--uncertainty", "flip")
    assert run.code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {f"room{kind.suffix}" for kind in FORMATS.values()}


def test_scale_and_colormap_reach_the_files(predict: RunGlpn, photo: Path, tmp_path: Path) -> None:
    predict(photo, "--scale", "256", "--colormap", "gray")
    metres = library.read_depth(tmp_path / "out/room.png").metres
    with Image.open(tmp_path / "out/room.png") as picture:
        assert np.array_equal(np.asarray(picture), np.rint(metres * 256))
    with Image.open(tmp_path / "out/room.vis.png") as picture:
        red, green, blue = picture.split()
        assert red.tobytes() == green.tobytes() == blue.tobytes()


def test_two_inputs_with_one_stem_get_distinct_names(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "photos/room.png"
    Image.open(photo).save(twin)
    assert predict(photo, twin).code == 0
    origins = [
        library.read_depth(tmp_path / f"out/{n}.png").provenance.image for n in ("room", "room-2")
    ]
    assert origins == ["room.jpg", "room.png"]


def test_default_folder_is_depth_in_the_current_one(
    glpn: RunGlpn, model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = glpn("predict", "photos/room.jpg", "-m", model)
    assert (tmp_path / "depth/room.png").is_file()
    assert run.out.endswith("wrote depth/room.png, depth/room.vis.png\n")


# What it keeps


def test_complete_files_are_kept_and_counted_and_overwritten_when_asked(
    predict: RunGlpn, photo: Path, model: Path, tmp_path: Path
) -> None:
    predict(photo)
    before = (tmp_path / "out/room.png").stat().st_mtime_ns
    same = tmp_path / "same"  # What tells one model from another. It has no graph to open.
    same.mkdir()
    for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
        shutil.copy(model / name, same)
    closed = ("-m", same, "--engine", "onnxruntime")
    assert predict(photo, *closed, "-o", tmp_path / "new").code != 0
    again = predict(photo, *closed)
    assert again.code == 0
    assert "exists already" in again.out and "1 kept" in again.err and "--overwrite" in again.err
    assert (tmp_path / "out/room.png").stat().st_mtime_ns == before
    assert "wrote" in predict(photo, "--overwrite").out
    assert (tmp_path / "out/room.png").stat().st_mtime_ns > before


def test_only_the_missing_file_of_a_photograph_is_written(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    predict(photo, "--format", "png16")
    before = (tmp_path / "out/room.png").stat().st_mtime_ns
    run = predict(photo, "--format", "png16,npz")
    assert f"wrote {tmp_path}/out/room.npz; kept {tmp_path}/out/room.png" in run.out
    assert (tmp_path / "out/room.png").stat().st_mtime_ns == before


def test_a_question_is_answered_though_all_files_are_there(predict: RunGlpn, photo: Path) -> None:
    predict(photo)
    run = predict(photo, "--at", "1,1")
    assert "m at (1, 1)" in run.out and "wrote" not in run.out


@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_a_damaged_or_foreign_file_is_refused_but_for_overwrite(
    predict: RunGlpn, photo: Path, tmp_path: Path, damage: str
) -> None:
    predict(photo)
    target = tmp_path / "out/room.png"
    content = target.read_bytes()[:-20] if damage == "truncated" else b"my notes"
    target.write_bytes(content)
    run = predict(photo)
    assert run.code == 73
    assert run.err == (
        f"error: {photo}: {target}: exists and is not a complete png16 file of glpn; "
        "--overwrite replaces it\n"
    )
    assert target.read_bytes() == content
    assert predict(photo, "--overwrite").code == 0


def test_a_photograph_is_never_replaced_by_its_own_depth(
    glpn: RunGlpn, model: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "room.png"
    Image.open(write_photo(tmp_path / "x.jpg")).save(photo)
    content = photo.read_bytes()
    run = glpn("predict", photo, "-m", model, "-o", tmp_path, "--overwrite")
    assert run.code == 73 and "is one of the photos" in run.err
    assert photo.read_bytes() == content


# Where photographs come from


def test_a_folder_gives_its_photographs_but_neither_hidden_ones_nor_our_own(
    predict: RunGlpn, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    for name in ("b.JPG", "a.jpeg", ".hidden.jpg", "deeper/c.jpg"):
        write_photo(folder / name)
    (folder / "notes.txt").write_text("no photograph")
    Image.open(folder / "a.jpeg").save(folder / "d.tiff")
    predict(folder / "b.JPG", "-o", folder, "--format", "tiff")
    predict(folder / "b.JPG", "-o", folder)
    assert (folder / "b.vis.png").is_file()
    run = predict(folder, "--json", "--format", "none")
    assert run.code == 0
    assert [r["image"] for r in run.records] == [
        f"{folder}/{name}" for name in ("a.jpeg", "b.JPG", "d.tiff")
    ]
    assert "skipped 1 file by name: notes.txt" in run.err
    deep = predict(folder, "--recursive", "--json", "--format", "none")
    assert [r["image"] for r in deep.records][3:] == [f"{folder}/deeper/c.jpg"]


def test_a_folder_without_photographs_is_a_missing_input(predict: RunGlpn, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = predict(tmp_path / "empty", "-m", "no-such-model")
    assert run.code == 66
    assert "empty: no photo (.jpg, .jpeg, " in run.err and "; --recursive" in run.err


def test_a_quoted_pattern_is_expanded_unless_a_file_has_that_very_name(
    predict: RunGlpn, tmp_path: Path
) -> None:
    for name in ("a1.jpg", "a2.jpg", "b1.jpg", "[a]1.jpg"):
        write_photo(tmp_path / name)
    options = ("--json", "--format", "none")
    names = [r["image"] for r in predict(tmp_path / "a?.jpg", *options).records]
    assert names == [f"{tmp_path}/a1.jpg", f"{tmp_path}/a2.jpg"]
    assert len(predict(tmp_path / "[a]1.jpg", *options).records) == 1
    assert predict(tmp_path / "z*.jpg").code == 66


def test_a_photograph_named_twice_is_predicted_once(predict: RunGlpn, photo: Path) -> None:
    run = predict(photo, photo, photo.parent, "--json", "--format", "none")
    assert len(run.records) == 1


def test_standard_input_is_read(model: Path, photo: Path, tmp_path: Path) -> None:
    run = run_for_real(
        "predict", "-", "-m", model, "-o", tmp_path, "--json", input=photo.read_bytes()
    )
    assert (run.code, run.records[0]["image"]) == (0, "stdin")
    assert library.read_depth(tmp_path / "stdin.png").provenance.image == "stdin"


def test_closed_standard_input_is_a_usage_error(model: Path, tmp_path: Path) -> None:
    script = 'exec "$@" <&-'
    run = subprocess.run(
        ["sh", "-c", script, "sh", *command("predict", "-", "-m", model, "-o", tmp_path)],
        capture_output=True,
        timeout=60,
    )
    assert run.returncode in (2, 65)  # Python may put the null device in its place
    assert b"error: stdin: " in run.stderr and b"Traceback" not in run.stderr


# Names


def hostile_names() -> list[bytes]:
    names = [
        "é.jpg",
        "📷.jpg",
        "two\nlines.jpg",
        "-dash.jpg",
        "\x1b[31mred.jpg",
        "x" * 251 + ".jpg",
    ]
    plain = [name.encode() for name in names]
    return plain if sys.platform == "darwin" else [*plain, b"\xff\xfe.jpg"]


@pytest.mark.slow
def test_any_file_name_works_in_any_locale_and_never_reaches_the_terminal_raw(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "names"
    folder.mkdir()
    for name in hostile_names():
        (folder / os.fsdecode(name)).write_bytes(photo.read_bytes())
    env = {**os.environ, "LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": "ascii:strict"}
    run = run_for_real(
        "predict", "-m", model, "-o", tmp_path / "out", "--", *hostile_names(), cwd=folder, env=env
    )
    assert (run.code, run.err.count("error")) == (0, 0)
    assert len(run.out.splitlines()) == len(hostile_names())
    assert "\x1b" not in run.out and "two\\nlines.jpg: 128x96" in run.out
    assert len(list((tmp_path / "out").glob("*.vis.png"))) == len(hostile_names())
    assert all(path.name.isprintable() for path in (tmp_path / "out").iterdir())


def test_a_leading_dash_needs_the_double_dash(
    predict: RunGlpn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photo(tmp_path / "-x.jpg")
    monkeypatch.chdir(tmp_path)
    assert predict("-x.jpg").code == 2
    assert predict("--", "-x.jpg").code == 0
    assert (tmp_path / "out/_x.png").is_file()


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "png16,exe"], "'exe'"),
        (["--colormap", "jet"], "colormap"),
        (["--at", "5"], "--at: expected x,y"),
        (["--at", "a,b"], "--at"),
        (["--at", "nan,1"], "--at"),
        (["--between", "1,2,3"], "--between: expected x0,y0,x1,y1"),
        (["--focal", "0"], "--focal"),
        (["--focal", "nan"], "--focal"),
        (["--fov", "180"], "--fov: expected a number above 0 and below 180"),
        (["--focal", "500", "--fov", "60"], "at most one"),
        (["--scale", "-1"], "--scale"),
        (["--format", "vis,npz", "--scale", "256"], "--scale: no file of --format vis,npz uses it"),
        (["--format", "png16", "--colormap", "gray"], "--colormap: no file of --format png16"),
        (["--max-depth", "0"], "--max-depth"),
        (["--threads", "0"], "--threads"),
        (["--engine", "abacus"], "--engine"),
        (["--device", "toaster"], "device"),
        (["--colour", "x"], "--colour"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_was_expected(
    predict: RunGlpn, photo: Path, arguments: list[str], message: str
) -> None:
    run = predict(photo, *arguments)
    assert (run.code, run.out) == (2, "")
    assert message in run.err and "Traceback" not in run.err


def test_a_place_outside_one_photograph_fails_that_one_alone(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.png"
    Image.new("RGB", (40, 40)).save(small)
    run = predict(small, photo, "--at", "100,50")
    assert run.code == 2
    assert f"error: {small}: (100.0, 50.0) is outside" in run.err
    assert not (tmp_path / "out/small.png").exists()
    assert (tmp_path / "out/room.png").is_file()


def test_a_folder_that_cannot_be_written_is_told_before_the_model_is_opened(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    run = predict(photo, "-o", tmp_path / "file/depth", "-m", "no-such-model")
    assert (run.code, run.out) == (73, "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_told_before_the_model_is_opened(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert predict(photo, "-o", tmp_path / "locked", "-m", "no-such-model").code == 73


@pytest.mark.slow
def test_a_full_disk_ends_the_batch_with_74_and_leaves_no_partial_file(
    model: Path, photo: Path, tmp_path: Path
) -> None:
    second = write_photo(tmp_path / "second.jpg")
    run = run_for_real(
        *("predict", photo, second, "-m", model, "-o", tmp_path / "out"),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000)),
    )
    assert run.code == 74
    assert "cannot be written: File too large" in run.err
    assert "1 failed, 1 not tried" in run.err
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no full device")
def test_a_full_disk_behind_standard_output_is_74(model: Path, photo: Path, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            command("predict", photo, "-m", model, "-o", tmp_path / "out"),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert run.returncode == 74
    assert run.stderr == b"error: standard output: cannot be written: No space left on device\n"


def test_specials_and_loops_are_refused_by_name_and_the_rest_goes_on(
    predict: RunGlpn, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photo.parent
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    (folder / "circle").symlink_to(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(folder)  # a socket's name must be short
        listener.bind("socket.webp")
        run = predict(folder, "/dev/zero", "--recursive")
    assert run.code == 65
    for name in ("pipe.jpg", "loop.png", "dangling.jpg", "socket.webp", "/dev/zero"):
        assert name in run.err
    assert len(run.out.splitlines()) == 1


def test_nothing_is_written_through_a_link_that_leads_out(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "precious"
    outside.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/room.png").symlink_to(outside)
    assert predict(photo).code == 73
    assert predict(photo, "--overwrite").code == 0
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("empty", ["", "no/such/folder/x.jpg", "y" * 5000])
def test_a_name_that_leads_nowhere_is_a_missing_input(predict: RunGlpn, empty: str) -> None:
    assert predict(empty).code == 66


def test_of_several_failures_the_gravest_gives_the_code() -> None:
    assert worst([]) == 0
    assert worst([66, 2]) == 66
    assert worst([66, 65, 2]) == 65
    assert worst([65, 73, 66]) == 73
    assert worst([73, 74]) == 74


def test_the_help_lists_every_format_and_colour_map(
    glpn: RunGlpn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    text = glpn("predict", "--help").out
    assert all(re.search(rf"\b{name}\b", text) for name in (*FORMATS, *COLORMAPS))


# Uncertainty


def test_uncertainty_is_said_and_becomes_a_second_png(
    predict: RunGlpn, photo: Path, model: Path, tmp_path: Path
) -> None:
    [record] = predict(photo, "--uncertainty", "flip", "--json").records
    sigma = library.load(model, threads=1)(photo, uncertainty="flip").sigma
    assert record["median_sigma"] == pytest.approx(np.median(sigma), abs=1e-4)
    assert record["files"]["sigma"] == f"{tmp_path}/out/room.sigma.png"
    with Image.open(tmp_path / "out/room.sigma.png") as picture:
        assert np.abs(np.asarray(picture) / 1000 - sigma).max() < 6e-4
    assert "median sigma " in predict(photo, "--uncertainty", "flip", "--overwrite").out


def test_drop_path_uncertainty_takes_torch_and_says_so_where_it_may_not(
    predict: RunGlpn, photo: Path, model: Path, tmp_path: Path
) -> None:
    [record] = predict(photo, "--uncertainty", "droppath", "--json").records
    opened = library.load(model, engine="torch", device="cpu", threads=1)
    sigma = opened(photo, uncertainty="droppath").sigma
    assert record["median_sigma"] == pytest.approx(np.median(sigma), abs=1e-4)
    assert record["files"]["sigma"] == f"{tmp_path}/out/room.sigma.png"
    run = predict(photo, "--uncertainty", "droppath", "--engine", "onnxruntime", "--overwrite")
    assert (run.code, run.out) == (2, "") and "needs --engine torch" in run.err
    assert predict(photo, "--uncertainty", "ensemble").code == 2


def test_a_model_without_drop_path_is_refused_once_and_not_for_every_photo(
    glpn: RunGlpn, photo: Path, model: Path, tmp_path: Path
) -> None:
    sure = shutil.copytree(model, tmp_path / "sure")
    config = json.loads((sure / "config.json").read_text())
    (sure / "config.json").write_text(json.dumps({**config, "drop_path_rate": 0.0}))
    sign(sure)
    write_photo(photo.with_name("other.jpg"))
    options = ("--uncertainty", "droppath", "--threads", 1, "-o", tmp_path / "out")
    run = glpn("predict", "-m", sure, photo.parent, *options)
    assert (run.code, run.out) == (2, "") and run.err.count("nothing to drop") == 1


def test_without_uncertainty_there_is_no_sigma(predict: RunGlpn, photo: Path) -> None:
    [record] = predict(photo, "--json").records
    assert "median_sigma" not in record and "sigma" not in record["files"]
    run = predict(photo, "--format", "sigma")
    assert run.code == 2 and "--uncertainty flip" in run.err
