from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from glpn.data.datasets import open_dataset
from glpn.data.nyu import extract_nyu_labelled
from glpn.errors import CannotCreateOutput, DataError, MissingInput

KINDS = ["kitchen", "home_office", "kitchen"]


@pytest.fixture
def labelled(tmp_path: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A file in MATLAB v7.3's layout: axes reversed, strings as references to uint16 arrays."""
    rows, columns = np.mgrid[:480, :640]
    images = np.zeros((3, 480, 640, 3), np.uint8)
    depths = np.zeros((3, 480, 640), np.float32)
    for i in range(3):
        images[i] = np.stack([rows // 2, columns // 3, rows * 0 + 60 * i], -1)
        depths[i] = 1 + i + rows / 1000
    depths[0, 100, 200] = 0
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = images.transpose(0, 3, 2, 1)  # [N, 3, W, H]
        file["rawDepths"] = depths.transpose(0, 2, 1)  # [N, W, H]
        references = file.create_dataset("sceneTypes", (1, 3), dtype=h5py.ref_dtype)
        for i, kind in enumerate(KINDS):
            name = f"#refs#/{i}"
            file[name] = np.array([[ord(c)] for c in kind], np.uint16)
            references[0, i] = file[name].ref
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[2]], "testNdxs": [[1], [3]]})
    return tmp_path, images, depths


def extract(folder: Path) -> Any:
    return extract_nyu_labelled(
        folder / "nyu_depth_v2_labeled.mat", folder / "splits.mat", folder / "out"
    )


def test_frames_go_to_their_split_and_kind_under_their_position_from_0(
    labelled: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    folder, _, _ = labelled
    assert extract(folder) == {"train": 1, "test": 2}
    found = {p.relative_to(folder / "out").as_posix() for p in (folder / "out").rglob("*.*")}
    assert found == {
        "test/kitchen/rgb_00000.jpg",
        "test/kitchen/sync_depth_00000.png",
        "train/home_office/rgb_00001.jpg",
        "train/home_office/sync_depth_00001.png",
        "test/kitchen/rgb_00002.jpg",
        "test/kitchen/sync_depth_00002.png",
    }


def test_pictures_are_upright_and_black_outside_the_real_region(
    labelled: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    folder, images, _ = labelled
    extract(folder)
    picture = np.asarray(Image.open(folder / "out/test/kitchen/rgb_00002.jpg")).astype(int)
    inner = np.s_[20:460, 20:620]
    assert np.abs(picture[inner] - images[2].astype(int)[inner]).mean() < 2
    assert picture[:5].max() < 32  # ringing of the JPEG block on the edge
    assert picture[:, 634:].max() < 32


def test_raw_depths_are_uint16_millimetres_and_0_where_unknown(
    labelled: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    folder, _, depths = labelled
    extract(folder)
    depth = np.asarray(Image.open(folder / "out/test/kitchen/sync_depth_00000.png"))
    assert depth.dtype == np.uint16
    assert depth.shape == (480, 640)
    assert depth[100, 200] == 0
    assert depth[300, 10] == 1300  # 1 m + 300 rows of a millimetre
    assert np.abs(depth - depths[0] * 1000.0).max() <= 0.51


def test_extracted_folder_opens_as_nyu(labelled: tuple[Path, np.ndarray, np.ndarray]) -> None:
    folder, _, _ = labelled
    extract(folder)
    frames = open_dataset(folder / "out")
    assert len(frames) == 3
    assert frames.names[0] == "test/kitchen/00000"
    assert frames.scene(0) == "test/kitchen"
    sample = frames[0]
    assert sample.depth[300, 10] == pytest.approx(1.3)
    assert sample.depth[3].max() == 0  # the border is masked
    assert sample.camera.fx == pytest.approx(518.8579)


def test_existing_frames_are_not_replaced_unasked(
    labelled: tuple[Path, np.ndarray, np.ndarray],
) -> None:
    folder, _, _ = labelled
    extract(folder)
    with pytest.raises(CannotCreateOutput, match=r"rgb_00000\.jpg"):
        extract(folder)


def test_other_files_are_refused_by_name(labelled: tuple[Path, np.ndarray, np.ndarray]) -> None:
    folder, _, _ = labelled
    (folder / "wrong.mat").write_bytes(b"not a mat file")
    mat, splits = folder / "nyu_depth_v2_labeled.mat", folder / "splits.mat"
    with pytest.raises(DataError, match="wrong"):
        extract_nyu_labelled(mat, folder / "wrong.mat", folder / "out")
    with pytest.raises(DataError, match="wrong"):
        extract_nyu_labelled(folder / "wrong.mat", splits, folder / "out")
    with pytest.raises(MissingInput, match="absent"):
        extract_nyu_labelled(folder / "absent.mat", splits, folder / "out")
