"""Names and folders: writes that are whole or not at all, joins, names of outputs."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glpn import files
from glpn.errors import (
    CannotCreateOutput,
    DataError,
    OutputFailed,
)
from glpn.files.paths import atomic_file, locked_folder, part_beside
from tests.depths import a_depth

# Whole or not at all


@pytest.mark.skipif(sys.platform == "win32", reason="folders have no locks there")
def test_a_temporary_folder_is_removed_unless_its_writer_lives(tmp_path: Path) -> None:
    part = part_beside(tmp_path / "frames")
    part.mkdir()
    (part / "1.png").write_bytes(b"half")
    os.utime(part, (0, 0))
    with locked_folder(part):
        files.require_writable_folder(tmp_path)
        assert part.exists()
    files.require_writable_folder(tmp_path)
    assert not part.exists()


def test_without_locks_a_young_temporary_file_may_have_a_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a network file system whose `flock` fails."""
    monkeypatch.setattr("glpn.files.paths.hold_lock", lambda descriptor: None)
    young, old = (part_beside(tmp_path / "depth.png") for _ in range(2))
    for path, age in ((young, 3600), (old, 100_000)):
        path.write_bytes(b"half")
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    files.require_writable_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [young.name]


def test_existing_file_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("precious")
    with pytest.raises(CannotCreateOutput, match=r"a\.png: exists"):
        a_depth().save(path, overwrite=False)
    assert path.read_text() == "precious"
    a_depth().save(path, overwrite=True)
    assert files.valid_output(path, "png16")
    assert os.listdir(tmp_path) == ["a.png"]


def test_failure_on_the_way_keeps_the_previous_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("precious")

    def write_half() -> None:
        with files.atomic_file(path, overwrite=True) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "precious"
    assert os.listdir(tmp_path) == ["a.png"]


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_process_that_dies_while_writing_leaves_the_previous_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("precious")
    code = """
        import os, sys
        from glpn.files import atomic_file
        with atomic_file(sys.argv[1], overwrite=True) as file:
            file.write(b"half")
            file.flush()
            os._exit(9)
    """
    assert run_python(code, path).returncode == 9
    assert path.read_text() == "precious"


@pytest.mark.slow
def test_full_disk_is_told_apart_and_leaves_no_partial_file(tmp_path: Path) -> None:
    pytest.importorskip("resource")
    for kind in files.FORMATS.values():
        (tmp_path / f"a{kind.suffix}").write_text("precious")
    code = """
        import sys, resource
        import numpy as np
        from glpn.camera.camera import Camera
        from glpn.depth.depth import Depth
        from glpn.depth.provenance import Provenance
        from glpn.errors import OutputFailed
        metres = np.random.default_rng(0).uniform(1, 9, (100, 100)).astype("f4")
        origin = Camera.assumed((100, 100)), Provenance("m", "", "", "")
        depth = Depth(metres, *origin, sigma=metres)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # no file may grow beyond this
        for path in sys.argv[1:]:
            try:
                depth.save(path, overwrite=True)
            except OutputFailed as e:
                print(e.exit_code, end=" ")
    """
    before = sorted(tmp_path.iterdir())
    done = run_python(code, *before)
    assert done.stdout == "74 " * len(files.FORMATS), done.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert {path.read_text() for path in before} == {"precious"}


@pytest.mark.parametrize(
    "number, kind",
    [
        (errno.ENOSPC, OutputFailed),
        (errno.EDQUOT, OutputFailed),
        (errno.EIO, OutputFailed),
        (errno.EROFS, CannotCreateOutput),
        (errno.EACCES, CannotCreateOutput),
    ],
)
def test_reasons_of_the_disk_have_their_own_error_that_names_the_file(
    tmp_path: Path, number: Any, kind: type[Exception]
) -> None:
    def write() -> None:
        with files.atomic_file(tmp_path / "a.png") as file:
            file.write(b"half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(kind, match=rf"a\.png.*{os.strerror(number)}"):
        write()
    assert os.listdir(tmp_path) == []


def test_outputs_that_cannot_be_begun_are_told_apart(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    (tmp_path / "loop").symlink_to("loop")
    hopeless = [
        blocker / "a.png",
        tmp_path / "none" / "a.png",
        tmp_path / "loop" / "a.png",
        tmp_path / ("x" * 252 + ".png"),
        tmp_path / "nul\0.png",
    ]
    for path in hopeless:
        with pytest.raises(CannotCreateOutput):
            a_depth().save(path)
    with pytest.raises(CannotCreateOutput, match="not a regular file"):
        a_depth().save(tmp_path, "png16", overwrite=True)
    os.mkfifo(tmp_path / "pipe.png")  # as /dev/null, it must not be replaced by a file
    with pytest.raises(CannotCreateOutput, match="not a regular file"):
        a_depth().save(tmp_path / "pipe.png", overwrite=True)


def test_a_link_is_replaced_and_what_it_points_to_stays(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("precious")
    link = tmp_path / "a.png"
    link.symlink_to(outside)
    with pytest.raises(CannotCreateOutput, match="exists"):
        a_depth().save(link, overwrite=False)
    a_depth().save(link, overwrite=True)
    assert outside.read_text() == "precious"
    assert files.valid_output(link, "png16") and not link.is_symlink()


def test_new_files_obey_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        path = a_depth().save(tmp_path / "a.png")
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o640


def test_output_folder_is_made_and_proved_before_any_work(tmp_path: Path) -> None:
    folder = files.require_writable_folder(tmp_path / "deep" / "er")
    assert folder.is_dir() and os.listdir(folder) == []
    blocker = tmp_path / "file"
    blocker.write_text("")
    for hopeless in (blocker, blocker / "below", tmp_path / "nul\0"):
        with pytest.raises(CannotCreateOutput):
            files.require_writable_folder(hopeless)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_read_only_folder_is_refused_before_any_work(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(CannotCreateOutput):
        files.require_writable_folder(tmp_path)


# Names


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("tree")
    root = base / "root"
    (root / "in").mkdir(parents=True)
    (base / "root2").mkdir()
    (root / "out").symlink_to(base)
    (root / "sibling").symlink_to(base / "root2")
    (root / "home").symlink_to(root)
    (root / "loop").symlink_to("loop")
    return root


PARTS = st.sampled_from(["in", "out", "sibling", "home", "loop", "a.png", "..", ".", "", "ü\n"])


@pytest.mark.slow
@settings(deadline=None)
@given(st.lists(PARTS, max_size=6).map("/".join) | st.text(max_size=20))
def test_joined_name_never_leaves_its_root(tree: Path, name: str) -> None:
    try:
        joined = files.safe_join(tree, name)
    except DataError:
        return
    assert os.path.realpath(joined).startswith(os.path.realpath(tree) + os.sep)
    assert ".." not in joined.relative_to(tree).parts


def test_plain_names_are_joined_and_others_refused(tree: Path) -> None:
    assert files.safe_join(tree, "in/a.png") == tree / "in" / "a.png"
    assert files.safe_join(tree, "home/in/a.png") == tree / "home" / "in" / "a.png"
    absolute = str(tree / "in" / "a.png")
    for name in ("", ".", "..", "../x", "in/../../x", "in/../a", absolute, "/etc/passwd", "a\0"):
        with pytest.raises(DataError):
            files.safe_join(tree, name)
    for name in ("out/x.png", "sibling/x.png", "in/../out/x"):
        with pytest.raises(DataError):
            files.safe_join(tree, name)


def test_two_inputs_with_one_stem_get_distinct_names() -> None:
    inputs = ["a.jpg", "a.png", "b/a.jpg", "A.JPG", "c.jpg", "a-2.jpg"]
    assert files.output_stems(inputs) == ["a", "a-2", "a-3", "A-4", "c", "a-2-2"]


def test_colour_picture_of_one_input_is_never_the_depth_of_another() -> None:
    stems = files.output_stems(["a.jpg", "a.vis.jpg", "b.VIS.png"])
    assert stems == ["a", "a_vis", "b_vis"]


def test_awkward_names_become_names_for_any_disk() -> None:
    inputs = ["-rf.jpg", "new\nline.jpg", os.fsdecode(b"caf\xe9.jpg"), "küche 🛋.jpg", ".jpg", ""]
    expected = ["_rf", "new_line", "caf_", "küche 🛋", ".jpg", "image"]
    assert files.output_stems(inputs) == expected


def test_names_that_windows_cannot_store_are_changed() -> None:
    devices = ["nul.jpg", "Con.vis.jpg", "aux .png", "COM1.jpg", "lpt³.jpg"]
    expected = ["_nul", "_Con_vis", "_aux ", "_COM1", "_lpt³"]
    assert files.output_stems(devices) == expected
    kept = ["console.jpg", "com10.jpg", "null.jpg"]
    assert files.output_stems(kept) == ["console", "com10", "null"]
    assert files.output_stems(['a:b<c>"d|e?f*g.jpg']) == ["a_b_c__d_e_f_g"]


def test_forms_that_macos_counts_as_one_name_get_two() -> None:
    assert files.output_stems(["caf\u00e9.jpg", "cafe\u0301.jpg"]) == ["caf\u00e9", "cafe\u0301-2"]


def test_long_names_are_cut_between_characters(tmp_path: Path) -> None:
    long = "ü" * 125 + ".png"  # 254 bytes
    first, second = files.output_stems([long, "x/" + long])
    assert first == "ü" * 115 and second == "ü" * 115 + "-2"
    path = a_depth().save(tmp_path / f"{second}.vis.png")
    assert len(os.fsencode(path.name)) <= 255


AWKWARD = st.text(
    st.sampled_from("aAÄä\u0308ßẞs.-/\n\udcff🛋 \\\0") | st.characters(exclude_categories=[]),
    max_size=8,
)


@given(
    st.lists(
        st.builds("{}{}".format, AWKWARD, st.sampled_from(["", ".jpg", ".vis.png", ".Sigma.png"]))
    )
)
def test_output_names_are_distinct_writable_and_stay_in_their_folder(inputs: Any) -> None:
    stems = files.output_stems(inputs)
    names = [stem + kind.suffix for stem in stems for kind in files.FORMATS.values()]
    assert len(stems) == len(inputs)
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == len(names)
    for name in names:
        assert len(name.encode()) <= 255  # and it is UTF-8
        assert Path(name).name == name and not name.startswith("-")
        assert not {unicodedata.category(c) for c in name} & {"Cc", "Cs"}


def test_ten_thousand_inputs_of_one_name_are_named_quickly() -> None:
    stems = files.output_stems([f"scene{i}/rgb.jpg" for i in range(10_000)])
    assert len(set(stems)) == 10_000 and stems[-1] == "rgb-10000"


@pytest.mark.parametrize("name", ["x" * 300 + ".png", "x" * 251 + ".vis.png", "é" * 127 + ".npz"])
def test_a_name_that_is_too_long_cannot_be_created(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with (
        pytest.raises(CannotCreateOutput, match="cannot") as raised,
        files.atomic_file(path) as file,
    ):
        file.write(b"x")
    assert raised.value.exit_code == 73
    assert os.listdir(tmp_path) == []


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(CannotCreateOutput, match="exists already"), atomic_file(path) as file:
        file.write(b"late")
        path.write_text("precious")
    assert path.read_text() == "precious" and os.listdir(tmp_path) == ["a.png"]
