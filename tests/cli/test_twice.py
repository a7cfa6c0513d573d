"""Running a command twice in one folder: with the same options, with others, at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

import glpn as library
from glpn.files.paths import remove_stale_parts
from tests.cli.conftest import RunGlpn, command, run_for_real, write_photo

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "change",
    [
        ("--fov", "60"),
        ("--colormap", "turbo"),
        ("--scale", "256"),
        ("--max-depth", "20"),
        ("--uncertainty", "flip"),
    ],
)
def test_other_options_for_one_photo_replace_its_outputs(
    predict: RunGlpn, photo: Path, tmp_path: Path, change: tuple[str, str]
) -> None:
    assert predict(photo).code == 0
    run = predict(photo, *change)
    assert run.code == 0, run.err
    assert "wrote" in run.out
    assert predict(photo, *change).out.startswith(f"{photo}: exists already")


def test_the_second_run_s_options_decide(predict: RunGlpn, photo: Path, tmp_path: Path) -> None:
    predict(photo)
    predict(photo, "--fov", "60")
    depth = library.read_depth(tmp_path / "out/room.png")
    assert depth.camera.fx == pytest.approx(64 / 0.57735, rel=1e-4)  # half the width / tan 30°


def test_another_photo_s_output_and_foreign_files_stay(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    predict(photo)
    other = tmp_path / "other/room.jpg"
    other.parent.mkdir()
    other.write_bytes(write_photo(tmp_path / "copy.jpg").read_bytes() + b"\0")
    before = (tmp_path / "out/room.png").read_bytes()
    run = predict(other)
    assert run.code == 73 and "another photo" in run.err
    assert (tmp_path / "out/room.png").read_bytes() == before


def test_saving_a_depth_replaces_the_file_as_numpy_does(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    predict(photo, "--format", "npz")
    depth = library.read_depth(tmp_path / "out/room.npz")
    depth.save(tmp_path / "out/room.npz")
    with pytest.raises(library.GLPNError, match="exists already"):
        depth.save(tmp_path / "out/room.npz", overwrite=False)


def test_one_file_goes_to_standard_output(model: Path, photo: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        command("predict", photo, "-m", model, "-o", "-", "--format", "npz", "--threads", 1),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    (tmp_path / "room.npz").write_bytes(done.stdout)
    assert library.read_depth(tmp_path / "room.npz").size == (96, 128)
    assert b"focal" in done.stderr


def test_standard_output_takes_one_photo_and_one_format(predict: RunGlpn, photo: Path) -> None:
    run = predict(photo, "-o", "-")
    assert run.code == 2 and "one --format" in run.err


def test_a_second_job_in_a_folder_names_the_first(predict: RunGlpn, tmp_path: Path) -> None:
    from glpn.files.lock import file_lock

    folder = tmp_path / "photos"
    for name in ("a", "b"):
        write_photo(folder / f"{name}.jpg")
    (tmp_path / "out").mkdir()
    with file_lock(tmp_path / "out/.manifest.lock", doing="predicting"):
        run = predict(folder)
    assert run.code == 73 and f"process {os.getpid()} is predicting" in run.err
    assert predict(folder).code == 0
    assert not (tmp_path / "out/.manifest.lock").exists()


def test_two_jobs_at_once_make_no_photo_twice(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for number in range(6):
        path = write_photo(folder / f"{number}.jpg")
        path.write_bytes(path.read_bytes() + bytes([number]))
    line = command("predict", folder, "-m", model, "-o", tmp_path / "out", "--json")
    runs = [subprocess.Popen(line, stdout=-1, stderr=-1, text=True) for _ in range(2)]
    results = [(run.communicate(), run.returncode) for run in runs]
    assert sorted(code for _, code in results)[0] == 0
    assert all(code in (0, 73) for _, code in results)
    made = "".join(out for (out, _), _ in results)
    assert made.count('"predicted"') == 6


def test_pipes_and_sockets_in_the_output_folder_are_skipped(
    predict: RunGlpn, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    for name in ("a", "b"):
        write_photo(folder / f"{name}.jpg")
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out/manifest-1-of-2.jsonl")
    assert predict(folder).code == 0
    os.mkfifo(tmp_path / "out/c.png")
    write_photo(folder / "c.jpg")
    run = predict(folder)
    assert run.code == 73 and "c.png" in run.err and "2 kept" in run.err


def test_temporary_files_of_a_killed_run_are_removed(
    predict: RunGlpn, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    script = (
        "import sys, time\nfrom glpn.files import atomic_file\n"
        "with atomic_file(sys.argv[1]) as file:\n"
        "    file.write(b'half'); file.flush(); print('writing', flush=True); time.sleep(60)\n"
    )
    line = [command()[0], "-c", script, str(out / "x.png")]
    with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        [part] = out.glob(".glpn-*.part")
        os.utime(part, (time.time() - 60,) * 2)
        remove_stale_parts(out)
        assert part.exists()  # its writer is alive
        process.send_signal(signal.SIGKILL)
    assert predict(photo).code == 0
    assert not list(Path(out).glob(".glpn-*"))


def test_a_name_that_is_too_long_cannot_be_created(glpn: RunGlpn, model: Path, photo: Path) -> None:
    run = glpn("predict", photo, "-m", model, "-o", "x" * 300)
    assert run.code == 73 and "too long" in run.err


def test_base64_text_instead_of_a_path_is_not_repeated_in_full(predict: RunGlpn) -> None:
    run = predict("iVBORw0KGgo" + "A" * 20_000)
    assert run.code == 66 and len(run.err) < 500 and "20011 characters" in run.err


@pytest.mark.parametrize("value", ["0", "-1", "257", "100000", "1_0", "٣"])
def test_impossible_numbers_of_threads_are_usage_errors(
    glpn: RunGlpn, photo: Path, value: str
) -> None:
    run = glpn("predict", photo, "--threads", value)
    assert run.code == 2 and "--threads" in run.err


@pytest.mark.parametrize("option", ["--fov", "--scale", "--at", "--ref"])
@pytest.mark.parametrize("text", ["6_0", "٦٠"])
def test_numbers_are_ascii_decimals(glpn: RunGlpn, photo: Path, option: str, text: str) -> None:
    assert glpn("predict", photo, option, text).code == 2
    assert glpn("predict", photo, f"{option}={text}").code == 2


def test_the_version_has_a_short_option() -> None:
    assert run_for_real("-V").out == f"glpn {library.__version__}\n"


def test_help_shows_no_type_beside_flags_and_groups_the_verbs(glpn: RunGlpn) -> None:
    for arguments in (["--help"], ["predict", "--help"], ["export", "onnx", "--help"]):
        assert "<bool>" not in glpn(*arguments).out
    verbs = glpn("--help").out
    assert verbs.index("predict ") < verbs.index("Train and evaluate") < verbs.index("convert ")


def test_a_misspelt_bundled_model_is_recognised(predict: RunGlpn, photo: Path) -> None:
    run = predict(photo, "-m", "glpn-b0-indor")
    assert run.code == 66 and "did you mean 'glpn-b0-indoor'?" in run.err
