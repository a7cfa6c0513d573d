"""Recognise a folder's layout: public datasets and the output of depth cameras' recorders."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from glpn.data.dataset_spec import SPEC_NAME, DatasetSpec
from glpn.errors import ConfigError, MissingInput, require_choice

# Colour camera of the NYU Depth V2 Kinect: `camera_params.m` of the dataset's toolbox.
NYU_INTRINSICS = (518.8579, 519.4696, 325.5824, 253.7362)
# Outside rows 7:474, columns 7:632 of the 480 x 640 images there is only border.
NYU_BORDER = (7, 6, 7, 8)
# Vasiljevic et al. 2019, DIODE's devkit: one camera, 1024 x 768.
DIODE_INTRINSICS = (886.81, 927.06, 512.0, 384.0)
# iBims-1 (Koch et al. 2018): depth = PNG value * 50 m / 65535.
IBIMS_SCALE = 65535 / 50

_IMAGE_FOLDERS = ("rgb", "color", "colour", "image", "images")
_BRACES = re.compile(r"\{[^}]*\}")
_DEPTH_FOLDERS = ("depth", "depths", "depth_png")


@dataclass(frozen=True)
class Layout:
    """A known layout of frames; the releases of a dataset share its name.

    `marks` are globs below the folder, each of which must match; `lists` says where to get the
    published split lists.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    spec: DatasetSpec
    lists: str | None = None


_BTS = "https://github.com/cleinc/bts/tree/master/train_test_inputs"

LAYOUTS = (
    Layout(
        "kitti",
        "KITTI raw_data with data_depth_annotated",
        ("raw_data", "data_depth_annotated"),
        DatasetSpec(
            rgb="raw_data/{date}/{scene}/image_{camera}/data/{stem}.*",
            depth="data_depth_annotated/**/{scene}/proj_depth/groundtruth/image_{camera}/{stem}.png",
            scale=256,
            max_depth=80,
            crop="kitti",
            intrinsics="raw_data/{date}/calib_cam_to_cam.txt",
            bases=(
                "",
                "raw_data",
                "data_depth_annotated",
                "data_depth_annotated/train",
                "data_depth_annotated/val",
            ),
        ),
        lists=f"eigen_train_files_with_gt.txt and eigen_test_files_with_gt.txt of {_BTS}",
    ),
    Layout(
        "sunrgbd",
        "SUN RGB-D",
        ("*/*/*/image/*", "*/*/*/depth_bfx/*"),
        DatasetSpec(
            rgb="{scene:path}/image/*",
            depth="{scene:path}/depth_bfx/*",
            scale=1000,
            encoding="sunrgbd",
            max_depth=8,  # as the toolbox's read_3d_pts_general.m
            intrinsics="{scene:path}/intrinsics.txt",
        ),
        lists="alltest of SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat, one folder a line",
    ),
    Layout(
        "ibims1",
        "iBims-1",
        ("imagelist.txt", "rgb", "depth", "mask_invalid"),
        DatasetSpec(
            rgb="rgb/{stem}.png",
            depth="depth/{stem}.png",
            scale=IBIMS_SCALE,
            mask="mask_invalid/{stem}.png",
            intrinsics="calib/{stem}.txt",
        ),
    ),
    Layout(
        "diode",
        "DIODE",
        ("**/scene_*/scan_*/*_depth.npy",),
        DatasetSpec(
            rgb="{scene:path}/{stem}.png",
            depth="{scene:path}/{stem}_depth.npy",
            mask="{scene:path}/{stem}_depth_mask.npy",
            unit="m",
            intrinsics=DIODE_INTRINSICS,
            intrinsics_size=(768, 1024),
        ),
    ),
    Layout(
        "nyu",
        "NYU Depth V2, sync pairs",
        ("**/sync_depth_*.png",),
        DatasetSpec(
            rgb="{scene:path}/rgb_{stem}.*",
            depth="{scene:path}/sync_depth_{stem}.png",
            unit="mm",
            intrinsics=NYU_INTRINSICS,
            intrinsics_size=(480, 640),
            border=NYU_BORDER,
            bases=("", "sync", "train", "test"),
        ),
        lists=f"nyudepthv2_train_files_with_gt.txt of {_BTS}; the test part is what "
        "`glpn data extract` writes from nyu_depth_v2_labeled.mat and splits.mat",
    ),
    Layout(
        "kinect",
        "Kinect frames as in 7-Scenes (NAME.color.png, NAME.depth.png)",
        ("**/*.color.*", "**/*.depth.png"),
        DatasetSpec(
            rgb="{scene:path}/{stem}.color.*",
            depth="{scene:path}/{stem}.depth.png",
            unit="mm",
            invalid=(0.0, 65535.0),
        ),
    ),
    Layout(
        "realsense",
        "RealSense frames of rs-convert (*_Color_TIME.png, *_Depth_TIME.png)",
        ("*_Color_*.png", "*_Depth_*.png"),
        DatasetSpec(
            rgb="*_Color_{stem}.png", depth="*_Depth_{stem}.png", unit="mm", pairing="time"
        ),
    ),
    Layout(
        "tum",
        "TUM RGB-D (rgb.txt, depth.txt)",
        ("rgb.txt", "depth.txt", "rgb", "depth"),
        DatasetSpec(rgb="rgb/{stem}.png", depth="depth/{stem}.png", scale=5000, pairing="time"),
    ),
    Layout(
        "scannet",
        "ScanNet frames of SensReader (color, depth, intrinsic)",
        ("**/intrinsic/intrinsic_color.txt",),
        DatasetSpec(
            rgb="{scene:path}/color/{stem}.*",
            depth="{scene:path}/depth/{stem}.png",
            unit="mm",
            intrinsics="{scene:path}/intrinsic/intrinsic_color.txt",
            resize="image",
        ),
    ),
    Layout(
        "record3d",
        "Record3D export of an iPhone or iPad (rgb, depth in EXR)",
        ("**/depth/*.exr", "**/rgb/*.jpg"),
        DatasetSpec(
            rgb="{scene:path}/rgb/{stem}.*",
            depth="{scene:path}/depth/{stem}.exr",
            unit="m",
            resize="depth",
        ),
    ),
    Layout(
        "stray-scanner",
        "Stray Scanner recording of an iPhone or iPad, rgb.mp4 unpacked into rgb/",
        ("camera_matrix.csv", "depth/*.png", "rgb/*"),
        DatasetSpec(unit="mm", intrinsics="camera_matrix.csv", resize="depth"),
    ),
    Layout(
        "ibims1",
        "iBims-1, MATLAB files",
        ("**/imagelist.txt", "**/*.mat"),
        DatasetSpec(rgb="**/{stem}.mat", depth="**/{stem}.mat", unit="m"),
    ),
)

_HINTS = {
    "nyu_depth_v2_labeled.mat": "`glpn data extract` turns it into frames",
    "rgb.mp4": "unpack it first: ffmpeg -i rgb.mp4 -start_number 0 rgb/%06d.jpg",
    "*.r3d": "export it from Record3D as EXR + JPG",
    "*.bag": "unpack it first: rs-convert -i FILE.bag -p frames/",
    "*.sens": "unpack it first with ScanNet's SensReader",
}


def recognise(folder: str | Path) -> Layout:
    """The layout of a folder, its `spec` completed with the calibration files found there.

    A `dataset.toml` in the folder overrides its other files.

    Raises:
        MissingInput: there is no such folder, or nothing in it looks like frames with depth.
        ConfigError: its `dataset.toml` is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingInput(f"{folder}: no such folder")
    if (folder / SPEC_NAME).is_file():
        spec = DatasetSpec.from_toml(folder / SPEC_NAME)
        return Layout("described", f"described by its {SPEC_NAME}", (SPEC_NAME,), spec)
    for layout in LAYOUTS:
        if _fits(folder, layout):
            return _with_calibration(folder, layout)
    plain = _plain(folder)
    if plain is not None:
        return _with_calibration(folder, plain)
    hints = [f"{mark}: {hint}" for mark, hint in _HINTS.items() if _any(folder, mark)]
    known = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
    raise MissingInput(
        f"{folder}: no frames with depth recognised (rgb/ beside depth/, {known}); "
        + ("; ".join(hints) or f"a {SPEC_NAME} can describe it")
    )


def known_layout(folder: str | Path, name: str) -> Layout:
    """The layout of that name, completed with the calibration files found in the folder.

    Of several releases, the first whose images the folder holds is used, else the first.

    Raises:
        ConfigError: no layout has that name.
    """
    folder = Path(folder)
    require_choice("layout", name, dict.fromkeys(layout.name for layout in LAYOUTS), ConfigError)
    releases = [layout for layout in LAYOUTS if layout.name == name]
    there = (layout for layout in releases if _any(folder, _BRACES.sub("*", layout.spec.rgb)))
    return _with_calibration(folder, next(there, releases[0]))


def _fits(folder: Path, layout: Layout) -> bool:
    return all(_any(folder, mark) for mark in layout.marks)


def _any(folder: Path, mark: str) -> bool:
    return next(folder.glob(mark), None) is not None


def _plain(folder: Path) -> Layout | None:
    """`rgb/` beside `depth/`, under the usual names, in the folder itself or one level down."""
    for above, prefix in (("", ""), ("*/", "{scene:path}/")):
        for rgb in _IMAGE_FOLDERS:
            for depth in _DEPTH_FOLDERS:
                if _any(folder, above + rgb) and _any(folder, above + depth):
                    spec = DatasetSpec(
                        rgb=f"{prefix}{rgb}/{{stem}}.*", depth=f"{prefix}{depth}/{{stem}}.*"
                    )
                    title = f"plain folders {above}{rgb} and {above}{depth}"
                    return Layout("plain", title, (above + rgb, above + depth), spec)
    return None


# Calibration files beside the frames, and the unit of depth that each one implies.
_CALIBRATION = (
    ("K.txt", None),
    ("intrinsics.json", None),
    ("intrinsic.json", "mm"),  # Open3D's recorders for RealSense and Azure Kinect
    ("camera_intrinsic.json", "mm"),
    ("metadata.json", None),  # Record3D
    ("metadata", None),
)


def _with_calibration(folder: Path, layout: Layout) -> Layout:
    spec = layout.spec
    if spec.intrinsics is not None:
        return layout
    for name, unit in _CALIBRATION:
        if not (folder / name).is_file():
            continue
        title = f"{layout.title} with {name}"
        if unit is not None and spec.unit is None and spec.scale is None:
            title += ": a RealSense or Azure Kinect recording"
            spec = spec.replace(unit=unit)
        return replace(layout, title=title, spec=spec.replace(intrinsics=name))
    return layout
