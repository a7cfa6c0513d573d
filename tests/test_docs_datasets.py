"""docs/datasets.md: its commands lead from files as published to a number, also the second time."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from glpn.cli import main
from tests.cli import conftest, sets

pytestmark = pytest.mark.slow

model = conftest.model  # the fixture

PAGE = (Path(__file__).parents[1] / "docs/datasets.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", PAGE, re.M | re.S)
# The second run of these would replace results that took long to make.
REFUSED_TWICE = ("glpn train", "glpn evaluate", "glpn reproduce", "glpn data extract")
SHORTER = {
    "glpn train": "loop.steps=1 loop.batch=1 augment.crop=[96,96] run.workers=0 run.threads=1",
    "glpn train nyu": "model.preset=b0",
    "glpn evaluate": "--threads 1",
}


def sync_frames(folder: Path) -> None:
    """Two frames of the large training part with BTS's list."""
    lines = []
    for number in range(2):
        rgb, depth = (f"{n}_{number:05}" for n in ("office_0001/rgb", "office_0001/sync_depth"))
        image, metres = sets.room(number)
        sets.put(folder / f"sync/{rgb}.jpg", image)
        sets.put(folder / f"sync/{depth}.png", np.rint(metres * 1000).astype(np.uint16))
        lines.append(f"/{rgb}.jpg /{depth}.png 518.8579")
    (folder / "nyudepthv2_train_files_with_gt.txt").write_text("\n".join(lines) + "\n")


def kitti(folder: Path) -> None:
    """Two frames with depth, and a line without."""
    sets.kitti(folder)
    date = "raw_data/2011_09_26"
    (folder / date / "calib_cam_to_cam.txt").write_text(
        "P_rect_02: 721.5377 0 609.5593 44.857 0 721.5377 172.854 0.216 0 0 1 0.0027\n"
    )
    with (folder / "eigen_test_files_with_gt.txt").open("a") as file:
        file.write(f"{sets.KITTI_NAME}/image_02/data/0000000009.png None 721.5377\n")


def sun_rgbd(root: Path) -> None:
    """Frames of two sensors, and the toolbox's split with paths of another machine."""
    scenes = ("kv1/NYUdata/NYU0001", "kv1/NYUdata/NYU0002", "xtion/sun3ddata/brown/brown_1/0001")
    for number, scene in enumerate(scenes):
        folder = root / "SUNRGBD" / scene
        sets.put(folder / "image/frame.jpg", sets.picture(number))
        raw = sets.depth(number).astype(np.uint16)
        sets.put(folder / "depth_bfx/frame.png", (raw << 3) | (raw >> 13))
        (folder / "intrinsics.txt").write_text("51.8 0 32 0 51.9 24 0 0 1\n")
    cells = np.empty((1, 2), object)
    cells[0, :] = [f"/n/fs/sun3d/data/SUNRGBD/{scene}" for scene in scenes[1:]]
    split = root / "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"
    split.parent.mkdir(parents=True)
    savemat(split, {"alltest": cells})


@pytest.fixture
def reader(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has after the downloads."""
    sets.nyu_labelled(tmp_path / "nyu_depth_v2_labeled.mat")
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[1], [2]], "testNdxs": [[3], [4]]})
    sync_frames(tmp_path / "nyu")
    kitti(tmp_path / "kitti")
    sun_rgbd(tmp_path)
    (tmp_path / "my-model").symlink_to(model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_leads_from_the_download_to_a_number_twice(
    reader: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for attempt in (1, 2):
        for language, block in BLOCKS:
            if language == "python":
                exec(compile(block, "docs/datasets.md", "exec"), {})
                continue
            for line in filter(lambda line: line.startswith("glpn "), block.splitlines()):
                extra = " ".join(more for verb, more in SHORTER.items() if line.startswith(verb))
                code = main([*shlex.split(line)[1:], *shlex.split(extra)])
                output = capsys.readouterr()
                assert output.out.strip() or attempt == 2, line
                if attempt == 2 and line.startswith(REFUSED_TWICE):
                    assert code == 73, f"{line}: {output.err}"
                else:
                    assert code == 0, f"{line}: {output.err}{output.out}"
    frames = {name: result(reader, name)["images"] for name in ("nyu", "kitti", "sunrgbd")}
    assert frames == {"nyu": 2, "kitti": 2, "sunrgbd": 2}
    assert result(reader, "kitti-eigen")["protocol"]["crop"] == "eigen-kitti"


def result(reader: Path, name: str) -> dict[str, Any]:
    return json.loads((reader / f"results/{name}/result.json").read_text())


def test_the_table_states_the_protocols_of_the_code() -> None:
    from glpn.evaluation.protocols import CROPS, PROTOCOLS

    row = next(line for line in PAGE.splitlines() if line.startswith("| range of valid targets"))
    for name, cell in zip(("nyu", "kitti", "sunrgbd"), row.split("|")[2:5], strict=True):
        rules = PROTOCOLS[name]
        assert cell.strip() == f"{rules.min_depth:g}–{rules.max_depth:g} m"
    for crop, size in (
        ("eigen-nyu", (480, 640)),
        ("garg", (352, 1216)),
        ("eigen-kitti", (352, 1216)),
    ):
        rows, columns = CROPS[crop].window(size)
        assert f"rows {rows.start}:{rows.stop}, columns {columns.start}:{columns.stop}" in PAGE
