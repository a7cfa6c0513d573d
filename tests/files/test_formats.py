"""Raster formats: round trips, what the files say of themselves, which format is chosen."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn import files
from glpn.depth.reading import read_depth
from glpn.errors import (
    DataError,
    MissingDependency,
    UsageError,
)
from tests.depths import READABLE, a_depth, a_plane, save

# Round trips


@pytest.mark.parametrize("format", ["npz", "exr", "tiff"])
def test_float_formats_come_back_bit_for_bit(tmp_path: Path, format: str) -> None:
    depth = a_depth()
    again = read_depth(save(depth, tmp_path, format))
    assert again.metres.dtype == np.float32
    assert np.array_equal(again.metres, depth.metres)


@pytest.mark.parametrize("scale", [1000, 256, 5000.5])
def test_png16_comes_back_within_half_a_step_and_unknown_stays_unknown(
    tmp_path: Path, scale: float
) -> None:
    depth = a_depth()
    again = read_depth(save(depth, tmp_path, "png16", scale=scale))
    assert np.abs(again.metres - depth.metres).max() <= 0.5 / scale + 1e-6
    assert np.array_equal(again.metres == 0, depth.metres == 0)


def test_png16_of_a_png16_is_the_same_picture(tmp_path: Path) -> None:
    first = a_depth().save(tmp_path / "a.png")
    second = read_depth(first).save(tmp_path / "b.png")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("format", READABLE)
def test_camera_and_provenance_come_back(tmp_path: Path, format: Any) -> None:
    depth = a_depth()
    again = read_depth(save(depth, tmp_path, format))
    assert again.camera == depth.camera
    assert again.provenance == depth.provenance


@pytest.mark.parametrize("format", READABLE)
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 1), (33, 31)])
def test_any_size_comes_back(tmp_path: Path, format: Any, size: tuple[int, int]) -> None:
    depth = a_plane(np.full(size, 1.5))
    assert np.array_equal(read_depth(save(depth, tmp_path, format)).metres, depth.metres)


def test_png16_holds_millimetres_that_any_program_reads(tmp_path: Path) -> None:
    path = a_plane([[1.2344, 0, 65.535]]).save(tmp_path / "a.png")
    with Image.open(path) as image:
        assert image.mode == "I;16"
        assert np.asarray(image).tolist() == [[1234, 0, 65535]]
        facts = json.loads(image.info["glpn"])
    assert (facts["unit"], facts["scale"], facts["invalid"]) == ("metre", 1000, 0)
    assert facts["camera"]["fx"] == 100


def test_png16_never_turns_a_near_pixel_into_an_unknown_one(tmp_path: Path) -> None:
    path = a_plane([[0.0001, 1]]).save(tmp_path / "a.png")
    assert read_depth(path).at(0, 0) == pytest.approx(0.001)


def test_depth_beyond_sixteen_bits_is_refused_with_a_scale_that_fits(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"65\.535 m.*80 m.*--scale 256"):
        a_plane([[80]]).save(tmp_path / "a.png")
    path = a_plane([[80]]).save(tmp_path / "a.png", scale=256)
    assert read_depth(path).at(0, 0) == 80
    with pytest.raises(UsageError, match="npz"):
        a_plane([[300]]).save(tmp_path / "b.png", scale=256)
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "1000", True])
def test_impossible_scale_is_refused(tmp_path: Path, scale: Any) -> None:
    with pytest.raises(UsageError, match="scale"):
        a_depth().save(tmp_path / "a.png", scale=scale)


def test_npz_opens_without_pickle_and_names_its_parts(tmp_path: Path) -> None:
    depth = a_depth()
    with np.load(depth.save(tmp_path / "a.npz"), allow_pickle=False) as arrays:
        assert np.array_equal(arrays["metres"], depth.metres)
        camera = depth.camera
        expected = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
        assert arrays["intrinsics"].tolist() == expected
        assert json.loads(arrays["glpn"].item())["model"] == "glpn-b0-indoor"


def test_tiff_is_read_alike_by_another_reader(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    depth = a_depth()
    path = depth.save(tmp_path / "a.tiff")
    assert np.array_equal(tifffile.imread(path), depth.metres)


@pytest.mark.parametrize("format", files.FORMATS)
def test_files_carry_no_exif_and_no_folder(tmp_path: Path, format: Any) -> None:
    data = save(a_depth(), tmp_path, format).read_bytes()
    assert b"Exif" not in data and b"eXIf" not in data and str(tmp_path).encode() not in data


@pytest.mark.parametrize("isal", ["installed", "missing"])
def test_any_compressor_writes_every_pixel_of_a_large_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isal: str
) -> None:
    if isal == "missing":
        monkeypatch.setitem(sys.modules, "isal", None)
    millimetres = np.random.default_rng(0).integers(1, 65536, (467, 701), np.int32)
    depth = dataclasses.replace(a_depth((467, 701)), metres=millimetres / 1000)
    path = save(depth, tmp_path, "png16")
    with Image.open(path) as image:
        image.verify()  # the checksums
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), millimetres)
    with Image.open(save(depth, tmp_path, "vis")) as image:
        assert np.array_equal(np.asarray(image)[:, :701], depth.colorize())


def test_pngs_hold_pixels_and_our_own_chunk_alone(tmp_path: Path) -> None:
    for format in ("png16", "vis"):
        data = save(a_depth(), tmp_path, format).read_bytes()
        kinds, at = [], 8
        while at < len(data):
            length, kind = struct.unpack_from(">I4s", data, at)
            kinds.append(kind)
            at += 12 + length
        assert set(kinds) == {b"IHDR", b"tEXt", b"IDAT", b"IEND"}


# Colour pictures


def test_vis_is_the_colour_picture(tmp_path: Path) -> None:
    depth = a_depth()
    path = depth.save(tmp_path / "a.vis.png", colormap="turbo", near=1, far=5)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), depth.colorize("turbo", 1, 5))
        assert json.loads(image.info["glpn"])["colormap"] == "turbo"


def test_vis_beside_has_the_photograph_on_its_left(tmp_path: Path) -> None:
    depth = a_depth()
    with Image.open(depth.save(tmp_path / "a.vis.png", beside=True)) as image:
        assert np.array_equal(np.asarray(image)[:, :32], depth.image)
        assert image.size == (64, 24)
    with pytest.raises(UsageError, match="without its photo"):
        a_depth(image=False).save(tmp_path / "b.vis.png", beside=True)


def test_vis_has_a_legend_in_metres_on_its_right(tmp_path: Path) -> None:
    depth = a_depth((200, 300))
    with Image.open(depth.save(tmp_path / "a.vis.png", near=1, far=5)) as image:
        pixels = np.asarray(image)
    assert np.array_equal(pixels[:, :300], depth.colorize(near=1, far=5))
    bar = pixels[:, 315]  # within the bar: far at the top, near at the bottom
    assert bar[10].tolist() == [252, 255, 164] and bar[189].tolist() == [0, 0, 4]
    with Image.open(depth.save(tmp_path / "b.vis.png", legend=False)) as image:
        assert image.size == (300, 200)


def test_vis_is_not_mistaken_for_depth(tmp_path: Path) -> None:
    path = a_depth().save(tmp_path / "a.vis.png")
    with pytest.raises(DataError, match=r"a\.vis\.png.*16-bit grey PNG, got mode RGB"):
        read_depth(path)


# Choosing a format


@pytest.mark.parametrize(
    "name, format",
    [("a.png", "png16"), ("a.vis.png", "vis"), ("A.PNG", "png16"), ("a.tif", "tiff")]
    + [(f"a{kind.suffix}", name) for name, kind in files.FORMATS.items()],
)
def test_suffix_chooses_the_format(name: Any, format: Any) -> None:
    assert files.format_of(name) == format


def test_explicit_format_wins_over_the_suffix(tmp_path: Path) -> None:
    path = a_depth().save(tmp_path / "a.dat", "npz")
    assert np.array_equal(read_depth(path).metres, a_depth().metres)


def test_unknown_suffix_format_and_option_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a\.jpg.*\.png, \.npz"):
        a_depth().save(tmp_path / "a.jpg")
    with pytest.raises(UsageError, match=r"png16, npz.*'bmp'"):
        a_depth().save(tmp_path / "a.png", "bmp")
    with pytest.raises(UsageError, match="png16 has no option 'colormap'; it has: scale"):
        a_depth().save(tmp_path / "a.png", colormap="turbo")
    with pytest.raises(UsageError, match="npz has no option 'scale'; it has: none"):
        a_depth().save(tmp_path / "a.npz", scale=1)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("format, package", [("exr", "OpenEXR"), ("ply", "trimesh")])
def test_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # what Python does for a failed import
    with pytest.raises(MissingDependency, match=rf"{package}.*pip install .*\[3d\]"):
        save(a_depth(), tmp_path, format)
    assert os.listdir(tmp_path) == []


# Is it there already?


@pytest.mark.parametrize("format", files.FORMATS)
def test_complete_output_is_valid_as_its_own_format_alone(tmp_path: Path, format: Any) -> None:
    path = save(a_depth(), tmp_path, format)
    assert [name for name in files.FORMATS if files.valid_output(path, name)] == [format]


@pytest.mark.parametrize("format", files.FORMATS)
def test_an_output_that_differs_from_its_fingerprint_is_not_valid(
    tmp_path: Path, format: Any
) -> None:
    path = save(a_depth(), tmp_path, format)
    data = path.read_bytes()
    recorded = files.fingerprint(path)
    assert files.valid_output(path, format, recorded)
    for length in (0, 1, 12, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        assert not files.valid_output(path, format, recorded), length
    for at in (0, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :])
        assert not files.valid_output(path, format, recorded), at


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("format", files.FORMATS)
def test_a_file_that_does_not_describe_itself_is_no_valid_output(
    tmp_path: Path, format: Any
) -> None:
    path = save(a_depth(), tmp_path, format)
    data = path.read_bytes()
    for length in (0, 1, 12, 50):
        path.write_bytes(data[:length])
        assert not files.valid_output(path, format), length


def test_every_row_of_the_table_names_functions_that_exist() -> None:
    for row in files.FORMATS.values():
        for reference in filter(None, (row.writer, row.metadata, row.reader)):
            module, _, name = reference.partition(".")
            assert callable(getattr(importlib.import_module(f"glpn.files.{module}"), name))
        assert bool(row.reader) == bool(row.magic)


def test_the_table_loads_without_numpy_and_pillow() -> None:
    code = "import sys, glpn.files; print({'numpy', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_missing_output_and_folder_are_not_valid(tmp_path: Path) -> None:
    assert not files.valid_output(tmp_path / "none.png", "png16")
    assert not files.valid_output(tmp_path, "png16")
    with pytest.raises(UsageError, match="format"):
        files.valid_output(tmp_path, "bmp")
