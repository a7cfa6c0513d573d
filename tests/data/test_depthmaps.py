from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glpn.data.dataset_spec import DatasetSpec
from glpn.data.depthmaps import (
    DepthFormat,
    depth_size,
    implausible_unit,
    read_depth_map,
    read_raw,
)
from glpn.data.scales import guess_scale
from glpn.errors import DataError, MissingInput, UsageError

METRES = np.array([[0.0, 0.5, 1.25], [2.0, 4.0, 8.0]], np.float32)
MM = (METRES * 1000).astype(np.uint16)


def write(path: Path, array: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez_compressed(path, depth=array)
    elif path.suffix == ".exr":
        import OpenEXR

        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"Z": array}).write(str(path))
    else:
        Image.fromarray(array).save(path)
    return path


@pytest.mark.parametrize(
    ("name", "array", "scale"),
    [
        ("mm.png", MM, 1000),
        ("mm.tif", MM, 1000),
        ("mm.npy", MM, 1000),
        ("metres.tiff", METRES, 1),
        ("metres.npy", METRES, 1),
        ("column.npy", METRES[..., None], 1),
        ("page.npy", METRES[None], 1),
        ("double.npz", METRES.astype(np.float64), 1),
        ("fortran.npy", np.asfortranarray(METRES), 1),
        ("metres.exr", METRES, 1),
        ("kitti.png", (METRES * 256).astype(np.uint16), 256),
    ],
)
def test_every_format_gives_the_metres_that_were_written(
    tmp_path: Path, name: str, array: Any, scale: int
) -> None:
    path = write(tmp_path / name, array)
    depth = read_depth_map(path, DepthFormat(scale=scale))
    assert depth.dtype == np.float32
    np.testing.assert_array_equal(depth, METRES)
    assert depth_size(path, DepthFormat(scale=scale)) == (2, 3)


def test_affine_8_bit_depth_is_read_where_its_scale_is_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", np.array([[0, 25, 254]], np.uint8))
    depth = read_depth_map(path, DepthFormat(scale=25.5, offset=0.5, invalid=()))
    np.testing.assert_allclose(depth, [[0.5 / 25.5, 1.0, 254.5 / 25.5]], rtol=1e-6)


def test_8_bit_depth_without_a_scale_is_refused_with_file_and_mode(tmp_path: Path) -> None:
    path = write(tmp_path / "eight.png", np.array([[1, 2]], np.uint8))
    with pytest.raises(DataError, match=r"eight\.png.*mode L"):
        read_raw(path, DepthFormat())


def test_colour_depth_is_refused_with_file_and_mode_whatever_the_scale(tmp_path: Path) -> None:
    path = write(tmp_path / "colour.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match=r"colour\.png.*mode RGB"):
        read_depth_map(path, DepthFormat(scale=1))


def test_unknown_values_read_as_0(tmp_path: Path) -> None:
    raw = np.array([[np.nan, np.inf, -np.inf, -1.0, 65535.0, 0.0, 3.0, 90.0]], np.float32)
    path = write(tmp_path / "a.npy", raw)
    form = DepthFormat(scale=1, invalid=(0.0, 65535.0), max_depth=80)
    assert read_depth_map(path, form).tolist() == [[0, 0, 0, 0, 0, 0, 3, 0]]


def test_sun_rgbd_values_are_rotated_right_by_three_bits(tmp_path: Path) -> None:
    millimetres = np.array([[0, 1234, 7999, 65535 >> 3]], np.uint16)
    path = write(tmp_path / "a.png", (millimetres << 3).astype(np.uint16))
    depth = read_depth_map(path, DepthFormat(scale=1000, encoding="sunrgbd"))
    np.testing.assert_allclose(depth, millimetres / 1000, rtol=1e-6)


@pytest.mark.parametrize(
    ("array", "scale", "words"),
    [
        (np.full((8, 8), 2500, np.uint16), 1000, "millimetres.*2500: 2.5 m"),
        (np.full((8, 8), 2.5, np.float32), 1, "metres.*2.5 m"),
        (np.full((8, 8), 2500.0, np.float32), 1000, "millimetres"),
        (np.where(np.arange(64).reshape(8, 8) % 20, 0, 4096).astype(np.uint16), 256, "KITTI"),
    ],
)
def test_the_scale_is_guessed_and_reported(array: Any, scale: int, words: str) -> None:
    found, said = guess_scale([array], DepthFormat())
    assert found == scale
    assert said.startswith("depth scale guessed: ")
    assert re.search(words, said)


def test_one_guess_serves_all_frames() -> None:
    raws = [np.full((4, 4), value, np.uint16) for value in (900, 1500, 60)]
    assert guess_scale(raws, DepthFormat())[0] == 1000


def test_values_that_fit_no_unit_need_a_scale() -> None:
    with pytest.raises(DataError, match="give scale"):
        guess_scale([np.full((4, 4), 7, np.uint16)], DepthFormat())


def test_median_outside_0_1_to_200_m_is_warned_of() -> None:
    assert "2500" in implausible_unit([np.full((4, 4), 2500, np.float32)])
    assert implausible_unit([np.full((4, 4), 2.5, np.float32)]) is None
    assert implausible_unit([np.zeros((4, 4), np.float32)]) is None


def damaged(path: Path, array: np.ndarray) -> Path:
    write(path, array)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.parametrize("suffix", [".png", ".npy", ".npz", ".exr", ".tif"])
def test_truncated_files_are_data_errors_that_name_the_file(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    array = rng.integers(0, 60000, (200, 300)).astype(np.uint16)
    path = damaged(
        tmp_path / f"half{suffix}", array.astype(np.float32) if suffix == ".exr" else array
    )
    with pytest.raises(DataError, match="half"):
        read_depth_map(path, DepthFormat(scale=1000))


@pytest.mark.parametrize("suffix", [".png", ".npy", ".npz", ".exr", ".tif"])
def test_other_bytes_are_data_errors_that_name_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"odd{suffix}"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match="odd"):
        depth_size(path, DepthFormat(scale=1000))


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match="objects"):
        read_depth_map(tmp_path / "a.npy", DepthFormat(scale=1))


def test_declared_sizes_are_checked_before_anything_is_allocated(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    (tmp_path / "bomb.npy").write_bytes(header.getvalue())
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w") as archive:
        archive.writestr("depth.npy", header.getvalue())
    for name in ("bomb.npy", "bomb.npz"):
        with pytest.raises(DataError, match="pixels"):
            read_depth_map(tmp_path / name, DepthFormat(scale=1))


def test_array_of_an_archive_is_chosen_by_key(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", first=METRES, second=METRES * 2)
    form = DepthFormat(scale=1, key="second")
    np.testing.assert_array_equal(read_depth_map(tmp_path / "a.npz", form), METRES * 2)
    with pytest.raises(DataError, match="first, second"):
        read_depth_map(tmp_path / "a.npz", DepthFormat(scale=1))


def test_missing_files_other_suffixes_and_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="absent"):
        read_depth_map(tmp_path / "absent.png", DepthFormat(scale=1))
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"'\.jpg'"):
        read_depth_map(tmp_path / "a.jpg", DepthFormat(scale=1))
    with pytest.raises(DataError, match=r"\(3,\)"):
        read_depth_map(write(tmp_path / "a.npy", METRES[0]), DepthFormat(scale=1))
    with pytest.raises(DataError, match="bool"):
        read_depth_map(write(tmp_path / "b.npy", METRES > 0), DepthFormat(scale=1))


@pytest.mark.parametrize(
    "values",
    [{"scale": 0.0}, {"scale": np.nan}, {"offset": np.inf}, {"max_depth": -1}, {"encoding": "x"}],
)
def test_impossible_formats_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        DepthFormat(**values)


def test_reading_without_a_scale_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scale"):
        read_depth_map(write(tmp_path / "a.npy", MM), DepthFormat())


def test_portable_greymaps_and_floatmaps_are_read(tmp_path: Path) -> None:
    pgm = tmp_path / "a.pgm"
    pgm.write_bytes(b"P5 3 2 65535\n" + MM.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_depth_map(pgm, DepthFormat(scale=1000)), METRES)
    pfm = tmp_path / "a.pfm"  # rows from the bottom up; a negative scale means little-endian
    pfm.write_bytes(b"Pf\n3 2\n-1.0\n" + METRES[::-1].astype("<f4").tobytes())
    np.testing.assert_array_equal(read_depth_map(pfm, DepthFormat(scale=1)), METRES)


@pytest.mark.parametrize("magic", ["P5", "P2"])
@pytest.mark.parametrize("greatest", [10_000, 65534, 257, 255, 200, 3])
def test_a_greymap_keeps_its_values_whatever_its_greatest_one(
    tmp_path: Path, magic: str, greatest: int
) -> None:
    values = np.linspace(0, greatest, 12).astype(">u2" if greatest > 255 else "u1").reshape(3, 4)
    text = " ".join(map(str, values.flat)).encode()
    path = tmp_path / "a.pgm"
    data = values.tobytes() if magic == "P5" else text
    path.write_bytes(f"{magic}\n# mm\n4 3\n{greatest}\n".encode() + data)
    np.testing.assert_array_equal(read_raw(path, DepthFormat(scale=1000)), values)


def test_carlas_colour_coded_depth_is_read_where_it_is_named(tmp_path: Path) -> None:
    metres = np.array([[0.5, 12.25], [100.0, 999.0]])
    steps = np.rint(metres / 1000 * (256**3 - 1)).astype(np.int64)
    colours = np.stack([steps % 256, steps // 256 % 256, steps // 65536], -1).astype(np.uint8)
    path = write(tmp_path / "carla.png", colours)
    form = DatasetSpec(encoding="carla").depth_format
    np.testing.assert_allclose(read_depth_map(path, form), metres, atol=1e-4)
    with pytest.raises(DataError, match=r"carla\.png.*mode RGB; encoding = \"carla\""):
        read_depth_map(path, DepthFormat(scale=1))
