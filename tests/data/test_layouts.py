from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from glpn.data.datasets import open_dataset
from glpn.data.layouts import recognise
from glpn.errors import ConfigError, MissingInput
from tests.data.files import SIZE, put_depth, put_image


def test_nyu_sync_pairs(tmp_path: Path) -> None:
    for scene in ("kitchen_0028b", "office_0001"):
        put_image(tmp_path / scene / "rgb_00045.jpg", size=(480, 640))
        put_depth(tmp_path / scene / "sync_depth_00045.png", size=(480, 640), raw=2500)
    put_image(tmp_path / "office_0001/rgb_00046.jpg", size=(480, 640))  # no depth: left out
    frames = open_dataset(tmp_path)
    assert recognise(tmp_path).name == "nyu"
    assert frames.names == ("kitchen_0028b/00045", "office_0001/00045")
    assert frames.scene(1) == "office_0001"
    assert frames[0].depth[240, 320] == 2.5
    # the published list: a leading slash, the focal length
    (tmp_path / "list.txt").write_text(
        "/office_0001/rgb_00045.jpg /office_0001/sync_depth_00045.png 518.8579\n"
    )
    listed = open_dataset(tmp_path, "nyu", frame_list=tmp_path / "list.txt")
    assert listed.names == ("office_0001/00045",)
    with pytest.raises(MissingInput, match="nyudepthv2_train_files_with_gt"):
        open_dataset(tmp_path, split="train")


@pytest.fixture
def kitti(tmp_path: Path) -> tuple[Path, str]:
    drive = "2011_09_26_drive_0002_sync"
    raw = tmp_path / "raw_data/2011_09_26"
    size = (375, 1242)
    rows, columns = np.mgrid[: size[0], : size[1]]
    for camera in ("02", "03"):
        put_image(raw / drive / f"image_{camera}/data/0000000005.png", size=size)
        put_depth(
            tmp_path
            / f"data_depth_annotated/train/{drive}/proj_depth/groundtruth"
            / f"image_{camera}/0000000005.png",
            raw=(256 * (1 + rows // 100) + columns // 256).astype(np.uint16),
        )
    (raw / "calib_cam_to_cam.txt").write_text(
        "calib_time: 09-Jan-2012 13:57:47\nK_02: 1 0 2 0 1 2 0 0 1\n"
        "P_rect_02: 721.5377 0 609.5593 44.857 0 721.5377 172.854 0.216 0 0 1 0.0027\n"
    )
    return tmp_path, drive


def test_kitti_frames_are_paired_scaled_and_cropped(kitti: tuple[Path, str]) -> None:
    root, drive = kitti
    frames = open_dataset(root)
    assert recognise(root).name == "kitti"
    assert len(frames) == 2
    assert frames.scene(0) == drive
    sample = frames[0]
    assert sample.image.shape == (352, 1216, 3)
    assert sample.depth.shape == (352, 1216)
    # the KB crop: rows from 375 - 352 = 23, columns from (1242 - 1216) / 2 = 13
    assert sample.depth[0, 0] == (256 * (1 + 23 // 100) + 13 // 256) / 256
    assert sample.depth[351, 1215] == (256 * (1 + 374 // 100) + 1228 // 256) / 256
    assert sample.camera.fx == 721.5377
    assert sample.camera.cx == pytest.approx(609.5593 - 13)
    assert sample.camera.cy == pytest.approx(172.854 - 23)


def test_kitti_eigen_list_finds_its_files_and_leaves_out_frames_without_depth(
    kitti: tuple[Path, str],
) -> None:
    root, drive = kitti
    image = f"2011_09_26/{drive}/image_02/data/0000000005.png"
    (root / "eigen.txt").write_text(
        f"{image} {drive}/proj_depth/groundtruth/image_02/0000000005.png 721.5377\n"
        f"2011_09_26/{drive}/image_02/data/0000000000.png None 721.5377\n"
    )
    frames = open_dataset(root, frame_list=root / "eigen.txt")
    assert len(frames) == 1
    assert any("1 line without depth left out" in note for note in frames.notes)
    assert frames[0].depth.shape == (352, 1216)
    with pytest.raises(MissingInput, match="eigen_train_files_with_gt"):
        open_dataset(root, split="train")


def test_sun_rgbd(tmp_path: Path) -> None:
    folder = tmp_path / "kv1/NYUdata/NYU0001"
    put_image(folder / "image/NYU0001.jpg")
    put_depth(folder / "depth_bfx/other_name.png", raw=2500 << 3)
    (folder / "intrinsics.txt").write_text("26.0 0 16.3 0 26.2 12.7 0 0 1\n")
    frames = open_dataset(tmp_path)
    assert frames.names == ("kv1/NYUdata/NYU0001",)
    assert frames[0].depth.max() == 2.5
    assert frames[0].camera.fy == 26.2


def test_ibims_with_its_mask_of_valid_pixels(tmp_path: Path) -> None:
    put_image(tmp_path / "rgb/corridor_01.png")
    put_depth(tmp_path / "depth/corridor_01.png", raw=13107)  # a fifth of 65535: 10 m of 50
    mask = np.full(SIZE, 255, np.uint8)
    mask[:5] = 0
    put_depth(tmp_path / "mask_invalid/corridor_01.png", raw=mask)
    (tmp_path / "imagelist.txt").write_text("corridor_01\n")
    sample = open_dataset(tmp_path)[0]
    assert recognise(tmp_path).name == "ibims1"
    np.testing.assert_allclose(sample.depth[5:], 10.0, rtol=1e-6)
    assert sample.depth[:5].max() == 0


def test_diode_with_its_depth_mask(tmp_path: Path) -> None:
    stem = tmp_path / "val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010"
    put_image(stem.with_name(stem.name + ".png"))
    put_depth(stem.with_name(stem.name + "_depth.npy"), raw=np.full((*SIZE, 1), 3.5, np.float32))
    mask = np.ones(SIZE, np.float32)
    mask[0] = 0
    put_depth(stem.with_name(stem.name + "_depth_mask.npy"), raw=mask)
    frames = open_dataset(tmp_path)
    assert recognise(tmp_path).name == "diode"
    assert frames.scene(0) == "val/indoors/scene_00019/scan_00183"
    assert frames[0].depth[1:].min() == 3.5
    assert frames[0].depth[0].max() == 0


def test_kinect_frames_of_seven_scenes(tmp_path: Path) -> None:
    for scene in ("chess/seq-01", "fire/seq-02"):
        put_image(tmp_path / scene / "frame-000000.color.png")
        depth = np.full(SIZE, 1500, np.uint16)
        depth[0] = 65535
        put_depth(tmp_path / scene / "frame-000000.depth.png", raw=depth)
    frames = open_dataset(tmp_path)
    assert recognise(tmp_path).name == "kinect"
    assert frames.names[0] == "chess/seq-01/frame-000000"
    assert frames[0].depth[0].max() == 0
    assert frames[0].depth[1:].min() == 1.5


@pytest.mark.parametrize("name", ["intrinsic.json", "camera_intrinsic.json"])
def test_realsense_and_azure_kinect_recordings(tmp_path: Path, name: str) -> None:
    put_image(tmp_path / "color/00000.jpg")
    put_depth(tmp_path / "depth/00000.png", raw=800)
    matrix = [30.0, 0, 0, 0, 31.0, 0, 15.0, 11.0, 1]  # column by column
    (tmp_path / name).write_text(
        json.dumps({"width": 32, "height": 24, "intrinsic_matrix": matrix})
    )
    layout = recognise(tmp_path)
    assert "RealSense or Azure Kinect" in layout.title
    assert layout.spec.unit == "mm"
    camera = open_dataset(tmp_path)[0].camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (30, 31, 15, 11)


def test_realsense_frames_are_paired_by_the_nearest_time(tmp_path: Path) -> None:
    for stamp in (1000.0, 1033.3, 1066.7, 1400.0):
        put_image(tmp_path / f"walk_Color_{stamp}.png")
    for stamp, raw in ((1004.0, 1000), (1037.0, 2000), (1070.0, 3000)):
        put_depth(tmp_path / f"walk_Depth_{stamp}.png", raw=raw)
    assert recognise(tmp_path).name == "realsense"
    spec = recognise(tmp_path).spec.replace(unpaired="skip")
    frames = open_dataset(tmp_path, spec)
    assert [sample.depth.max() for sample in frames] == [1, 2, 3]
    assert any("left out: 1 file" in note for note in frames.notes)


def test_tum_frames_are_paired_by_the_nearest_time(tmp_path: Path) -> None:
    put_image(tmp_path / "rgb/1305031102.175304.png")
    put_depth(tmp_path / "depth/1305031102.160407.png", raw=5000)
    for name in ("rgb.txt", "depth.txt"):
        (tmp_path / name).write_text("# timestamp filename\n")
    assert recognise(tmp_path).name == "tum"
    assert open_dataset(tmp_path)[0].depth.max() == 1


def test_scannet_colour_is_brought_to_the_depths_size_with_its_camera(tmp_path: Path) -> None:
    scene = tmp_path / "scene0000_00"
    put_image(scene / "color/0.jpg", size=(48, 64))
    put_depth(scene / "depth/0.png", raw=1234)
    (scene / "intrinsic").mkdir()
    np.savetxt(
        scene / "intrinsic/intrinsic_color.txt",
        [[60.0, 0, 31.5, 0], [0, 60.0, 23.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
    )
    assert recognise(tmp_path).name == "scannet"
    sample = open_dataset(tmp_path)[0]
    assert sample.image.shape[:2] == sample.depth.shape == SIZE
    assert sample.camera.fx == 30
    assert sample.camera.cx == 15.5
    assert sample.scene == "scene0000_00"


def test_record3d_export(tmp_path: Path) -> None:
    OpenEXR = pytest.importorskip("OpenEXR")
    put_image(tmp_path / "rgb/0.jpg")
    (tmp_path / "depth").mkdir()
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    depth = np.full((6, 8), 1.75, np.float32)
    OpenEXR.File(header, {"R": depth}).write(str(tmp_path / "depth/0.exr"))
    matrix = [30.0, 0, 0, 0, 30.0, 0, 15.5, 11.5, 1]
    (tmp_path / "metadata.json").write_text(json.dumps({"K": matrix, "w": 32, "h": 24}))
    assert recognise(tmp_path).name == "record3d"
    sample = open_dataset(tmp_path)[0]
    assert sample.image.shape[:2] == sample.depth.shape == SIZE
    assert sample.depth.min() == 1.75
    assert sample.camera.fx == 30


def test_stray_scanner_recording_with_unpacked_video(tmp_path: Path) -> None:
    put_image(tmp_path / "rgb/000000.jpg")
    put_depth(tmp_path / "depth/000000.png", size=(6, 8), raw=1750)
    (tmp_path / "camera_matrix.csv").write_text("30.0,0,15.5\n0,30.0,11.5\n0,0,1\n")
    assert recognise(tmp_path).name == "stray-scanner"
    assert open_dataset(tmp_path)[0].camera.cy == 11.5


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nyu_depth_v2_labeled.mat", "glpn data extract"),
        ("rgb.mp4", "ffmpeg"),
        ("walk.bag", "rs-convert"),
        ("a.r3d", "Record3D"),
    ],
)
def test_recordings_that_must_be_unpacked_first_say_how(
    tmp_path: Path, name: str, hint: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(MissingInput, match=hint):
        recognise(tmp_path)


def test_unknown_layout_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kitti.*'kity'"):
        open_dataset(tmp_path, "kity")
