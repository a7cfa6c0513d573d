from __future__ import annotations

import io
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glpn.data.contact_sheet import contact_sheet
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.datasets import open_dataset
from glpn.data.sample import Sample
from glpn.errors import ConfigError, DataError, InvalidImage, MissingInput, UsageError
from tests.data.files import SIZE, put_depth, put_image, put_pairs

# --- plain folders -------------------------------------------------------------------------------


def test_plain_folder_gives_samples_in_order_of_names(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["b", "a", "c"])
    frames = open_dataset(tmp_path)
    assert len(frames) == 3
    assert frames.names == ("a", "b", "c")
    sample = frames[1]
    assert sample.name == "b"
    assert sample.image.shape == (*SIZE, 3)
    assert sample.image.dtype == np.uint8
    assert sample.depth.dtype == np.float32
    np.testing.assert_array_equal(sample.depth, np.full(SIZE, 2.0))
    assert sample.camera is None
    assert [s.name for s in frames] == ["a", "b", "c"]


def test_what_was_recognised_and_guessed_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_pairs(tmp_path, ["a"])
    with caplog.at_level(logging.INFO):
        frames = open_dataset(tmp_path)
    assert any("plain folders rgb and depth" in note for note in frames.notes)
    assert any("guessed: millimetres" in note for note in frames.notes)
    assert "guessed: millimetres" in caplog.text


def test_wrong_unit_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put_pairs(tmp_path, ["a", "b", "c"])
    frames = open_dataset(tmp_path, DatasetSpec(unit="m"))
    for sample in frames:
        assert sample.depth.max() == 2000
    assert caplog.text.count("is the unit right?") == 1


def test_matrix_beside_the_frames_becomes_their_camera(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    np.savetxt(tmp_path / "K.txt", [[30.0, 0, 15.0], [0, 31.0, 11.0], [0, 0, 1]])
    camera = open_dataset(tmp_path)[0].camera
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (30, 31, 15, 11)


def test_intrinsics_of_larger_images_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / "K.txt").write_text("60 0 40 0 62 30 0 0 1")
    with pytest.raises(DataError, match=r"a: .*principal point .* outside .*intrinsics_size"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "toml"),
    [
        ("K.json", '{"fx": 60, "fy": 62, "cx": 30, "cy": 22, "width": 64, "height": 48}', ""),
        ("K.txt", "60 62 30 22", "intrinsics_size = [48, 64]\n"),
        (None, None, "intrinsics_size = [48, 64]\n"),
    ],
)
def test_intrinsics_are_scaled_from_the_size_that_they_belong_to(
    tmp_path: Path, name: str | None, text: str | None, toml: str
) -> None:
    put_pairs(tmp_path, ["a"])
    if name is not None and text is not None:
        (tmp_path / name).write_text(text)
    intrinsics = f'"{name}"' if name is not None else "[60, 62, 30, 22]"
    (tmp_path / "dataset.toml").write_text(f'unit = "mm"\nintrinsics = {intrinsics}\n{toml}')
    camera = open_dataset(tmp_path)[0].camera
    assert camera is not None
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (30, 31, 14.75, 10.75)


def test_hidden_files_are_no_frames(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    for hidden in ("rgb/._a.jpg", "depth/._a.png", "rgb/.trash/b.jpg", "depth/.trash/b.png"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_bytes(b"Mac OS X")
    assert open_dataset(tmp_path).names == ("a",)
    assert open_dataset(tmp_path, DatasetSpec(rgb="rgb/**/{stem}.*")).names == ("a",)


def test_depth_of_8_bits_is_not_guessed(tmp_path: Path) -> None:
    put_image(tmp_path / "rgb/a.jpg")
    put_depth(tmp_path / "depth/a.npy", raw=np.full(SIZE, 70, np.uint8))
    with pytest.raises(DataError, match=r"a\.npy: 8-bit depth \(uint8\): .* give scale"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, DatasetSpec(scale=25))[0].depth.max() == np.float32(2.8)


def _zipped() -> bytes:
    file = io.BytesIO()
    np.savez(file, mask=np.ones((4, 4)))
    return file.getvalue()


def _stored(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    "content", [_zipped(), b"PK\3\4" * 40, b"", _stored(np.full((4, 4), "yes"))]
)
def test_a_mask_that_is_no_array_of_numbers_is_named(tmp_path: Path, content: bytes) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / "a.npy").write_bytes(content)
    (tmp_path / "dataset.toml").write_text('unit = "mm"\nmask = "{stem}.npy"\n')
    with pytest.raises(DataError, match=r"a\.npy: (not a readable mask|expected a mask)"):
        open_dataset(tmp_path)[0]


def test_patterns_are_below_the_folder(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / "dataset.toml").write_text(f'unit = "mm"\nrgb = "{tmp_path}/rgb/{{stem}}.jpg"\n')
    with pytest.raises(ConfigError, match="rgb: expected a path below the dataset's folder"):
        open_dataset(tmp_path)


def test_border_is_masked(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    depth = open_dataset(tmp_path, DatasetSpec(unit="mm", border=(1, 2, 3, 4)))[0].depth
    known = np.zeros(SIZE, bool)
    known[1:-2, 3:-4] = True
    np.testing.assert_array_equal(depth > 0, known)


def test_missing_counterparts_are_counted_and_the_first_five_named(tmp_path: Path) -> None:
    put_pairs(tmp_path, [f"{i}" for i in range(9)])
    for i in range(7):
        (tmp_path / f"depth/{i}.png").unlink()
    frames = open_dataset(tmp_path)
    assert frames.names == ("7", "8")
    assert "left out: 7 files (rgb/0.jpg, rgb/1.jpg, rgb/2.jpg, rgb/3.jpg, rgb/4.jpg, ...)" in str(
        frames.notes
    )
    with pytest.raises(MissingInput, match=r"7 files \(rgb/0.jpg, .*rgb/4.jpg, \.\.\.\)") as caught:
        open_dataset(tmp_path, DatasetSpec(unpaired="refuse"))
    assert caught.value.exit_code == 66


def test_a_set_without_one_pair_is_missing_input(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / "depth/a.png").rename(tmp_path / "depth/b.png")
    with pytest.raises(MissingInput, match="2 files"):
        open_dataset(tmp_path)


def test_size_mismatch_is_found_from_headers_before_anything_is_read(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a", "b"])
    put_depth(tmp_path / "depth/b.png", size=(12, 20))
    with pytest.raises(DataError, match=r"1 frame \(b \(image 32x24, depth 20x12\)\).*resize"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match=r"b: image 32x24, depth 20x12"):
        open_dataset(tmp_path, verified=False)[1]


def test_a_phones_small_depth_is_repeated_and_reported_once(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a", "b", "c"])
    for name in "abc":
        put_depth(
            tmp_path / f"depth/{name}.png",
            size=(6, 8),
            raw=np.arange(1000, 1048, dtype=np.uint16).reshape(6, 8),
        )
    frames = open_dataset(tmp_path)
    np.testing.assert_array_equal(frames[0].depth[:4, :4], np.full((4, 4), 1.0, np.float32))
    assert frames[0].depth.shape == SIZE
    said = [note for note in frames.notes if "of another size" in note]
    assert said == [
        "3 depth maps of another size than the image: depth pixels are repeated "
        "(image 32x24, depth 8x6)"
    ]


@pytest.mark.parametrize(("resize", "size"), [("image", (12, 16)), ("depth", SIZE)])
def test_sizes_are_brought_together_where_the_specification_says_so(
    tmp_path: Path, resize: str, size: Any
) -> None:
    put_pairs(tmp_path, ["a"])
    put_depth(
        tmp_path / "depth/a.png",
        raw=np.repeat([[1000], [3000]], [6, 6], 0).repeat(16, 1).astype(np.uint16),
    )
    spec = DatasetSpec(unit="mm", resize=resize, intrinsics=(40.0, 40.0, 15.5, 11.5))
    sample = open_dataset(tmp_path, spec)[0]
    assert sample.image.shape[:2] == sample.depth.shape == size
    assert set(np.unique(sample.depth)) == {1, 3}
    np.testing.assert_array_equal(sample.depth[: size[0] // 2], 1)
    # the picture's middle stays its middle, the focal length follows the width
    assert sample.camera.fx == 40 * size[1] / 32
    assert sample.camera.cx == (size[1] - 1) / 2


def test_file_removed_after_opening_stops_with_its_name(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a", "b"])
    frames = open_dataset(tmp_path)
    (tmp_path / "depth/b.png").unlink()
    (tmp_path / "rgb/a.jpg").write_bytes(b"")
    with pytest.raises(MissingInput, match=r"b\.png"):
        frames[1]
    with pytest.raises(InvalidImage, match=r"a\.jpg"):
        frames[0]


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    put_image(tmp_path / "rgb/a.png")
    with pytest.raises(DataError, match=r"rgb/a\.jpg and rgb/a\.png"):
        open_dataset(tmp_path)


def test_folder_links_are_followed_once(tmp_path: Path) -> None:
    put_pairs(tmp_path / "data", ["a"])
    (tmp_path / "set").mkdir()
    for name in ("rgb", "depth"):
        os.symlink(tmp_path / "data" / name, tmp_path / "set" / name)
    os.symlink(tmp_path / "set", tmp_path / "data/rgb/loop")
    assert open_dataset(tmp_path / "set").names == ("a",)


def test_subsets_keep_their_order(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a", "b", "c"])
    frames = open_dataset(tmp_path)
    assert frames.subset([2, 0]).names == ("c", "a")
    assert frames.select(["b"]).names == ("b",)
    with pytest.raises(MissingInput, match="1 listed frame \\(z\\)"):
        frames.select(["z"])


@pytest.mark.parametrize(
    ("folder", "words"), [("absent", "no such folder"), (".", "no frames with depth recognised")]
)
def test_folders_without_frames_are_missing_input(tmp_path: Path, folder: str, words: str) -> None:
    with pytest.raises(MissingInput, match=words):
        open_dataset(tmp_path / folder)


def test_photos_without_depth_are_missing_input(tmp_path: Path) -> None:
    put_image(tmp_path / "rgb/a.jpg")
    (tmp_path / "depth").mkdir()
    with pytest.raises(MissingInput, match="1 images, 0 depth files"):
        open_dataset(tmp_path)


# --- dataset.toml --------------------------------------------------------------------------------


def test_dataset_toml_describes_the_folder(tmp_path: Path) -> None:
    put_image(tmp_path / "left/one_rgb.png")
    put_depth(tmp_path / "range/one.png", raw=np.full(SIZE, 51, np.uint8))
    (tmp_path / "dataset.toml").write_text(
        'rgb = "left/{stem}_rgb.png"\ndepth = "range/{stem}.png"\nscale = 25.5\noffset = 0.5\n'
        "invalid = []\nborder = 2\nintrinsics = [30, 30, 15.5, 11.5]\n"
    )
    sample = open_dataset(tmp_path)[0]
    assert sample.depth[10, 10] == pytest.approx(51.5 / 25.5)
    assert sample.depth[1].max() == sample.depth[:, -2:].max() == 0
    assert sample.camera.fx == 30


def test_plain_globs_pair_by_what_the_star_stands_for(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a", "b"])
    assert open_dataset(
        tmp_path, DatasetSpec(rgb="rgb/*.jpg", depth="depth/*", unit="mm")
    ).names == (
        "a",
        "b",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scael = 3", "'scael': did you mean 'scale'"),
        ('scale = "3"', "scale: expected a finite number"),
        ('resize = "both"', "resize: expected one of auto, none, image, depth"),
        ('unit = "feet"', "unit: expected one of m, dm, cm, mm"),
        ('unit = "mm"\nscale = 256', "contradict"),
        ("border = [1, 2]", "border"),
        ("intrinsics = [1, 2]", "intrinsics"),
        ("intrinsics = [0, 0, 5, 5]", "intrinsics: expected positive focal lengths"),
        ("scale = 0", "depth scale: expected a positive number"),
        ("max_depth = -1", "max_depth: expected a positive number"),
        ("rgb = ", "not valid TOML"),
    ],
)
def test_wrong_dataset_toml_is_refused_by_file_and_key(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"dataset\.toml") as caught:
        open_dataset(tmp_path)
    assert words in str(caught.value)


def test_specification_from_arguments_equals_that_from_toml(tmp_path: Path) -> None:
    text = '\ufeffunit = "mm"\r\nborder = 8\r\nbases = ["a", "b"]\r\n'  # as Windows editors do
    (tmp_path / "dataset.toml").write_bytes(text.encode())
    given = DatasetSpec(unit="mm", border=(8, 8, 8, 8), bases=("a", "b"))
    assert DatasetSpec.from_toml(tmp_path / "dataset.toml") == given
    assert given.replace(border=1).border == (1, 1, 1, 1)


# --- splits and lists ----------------------------------------------------------------------------


def test_split_lists_of_bare_names_choose_frames(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["001", "002", "003"])
    (tmp_path / "train.txt").write_bytes(b"003\r\n\r\n001\r\n")
    assert open_dataset(tmp_path, split="train").names == ("003", "001")
    (tmp_path / "held.txt").write_text("002\n")
    spec = DatasetSpec(unit="mm", val="held.txt")
    assert open_dataset(tmp_path, spec, split="val").names == ("002",)


def test_a_listing_of_the_image_folder_chooses_frames(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["001", "002", "003"])
    (tmp_path / "train.txt").write_text("# the bright ones\n003.jpg\n#002.jpg\nrgb/001.jpg\n")
    assert open_dataset(tmp_path, split="train").names == ("003", "001")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", "name,focal,scene\nb,518,attic\na,519,cellar\n"),
        ("l.jsonl", '{"name": "b", "focal": 518, "scene": "attic"}\n{"name": "a", "focal": 519}\n'),
        ("bare.csv", "rgb/b.jpg,,518\nrgb/a.jpg,,519\n"),
    ],
)
def test_names_in_a_list_may_come_with_a_focal_length_and_a_scene(
    tmp_path: Path, name: str, text: str
) -> None:
    put_pairs(tmp_path, ["a", "b", "c"])
    (tmp_path / name).write_text(text)
    frames = open_dataset(tmp_path, frame_list=tmp_path / name)
    assert frames.names == ("b", "a")
    assert [frame.camera.fx for frame in frames] == [518, 519]
    assert frames.scene(0) == ("attic" if "attic" in text else None)


def test_a_list_of_which_only_some_lines_name_a_depth_is_refused(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a", "b", "c"])
    (tmp_path / "l.txt").write_text("rgb/a.jpg\nrgb/b.jpg depth/c.png\n")
    with pytest.raises(DataError, match=r"rgb/a\.jpg: names no depth file, as other lines do"):
        open_dataset(tmp_path, frame_list=tmp_path / "l.txt")


def test_a_name_of_frames_in_several_folders_is_refused(tmp_path: Path) -> None:
    for scene in ("x", "y"):
        put_pairs(tmp_path / scene, ["1"])
    (tmp_path / "train.txt").write_text("1\n")
    with pytest.raises(DataError, match=r"1 name \(1\) of frames in several folders"):
        open_dataset(tmp_path, split="train")


def test_absent_split_list_and_absent_names_are_missing_input(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    with pytest.raises(MissingInput, match=r"train\.txt"):
        open_dataset(tmp_path, split="train")
    (tmp_path / "train.txt").write_text("".join(f"x{i}\n" for i in range(8)))
    with pytest.raises(MissingInput, match=r"8 listed frames \(x0, x1, x2, x3, x4, \.\.\.\)"):
        open_dataset(tmp_path, split="train")
    with pytest.raises(ConfigError, match="tset"):
        open_dataset(tmp_path, split="tset")
    with pytest.raises(
        ConfigError, match=r"split: train cannot be combined with the list .*a\.txt"
    ):
        open_dataset(tmp_path, split="train", frame_list=tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.txt", "rgb/b.jpg depth/b.png 518.8579\r\n\r\n/rgb/a.jpg /depth/a.png 518.8579\r\n"),
        (
            "list.csv",
            "depth,rgb,focal\ndepth/b.png,rgb/b.jpg,518.8579\n\ndepth/a.png,rgb/a.jpg,518.8579\n",
        ),
        ("bare.csv", "rgb/b.jpg,depth/b.png,518.8579\nrgb/a.jpg, depth/a.png, 518.8579\n"),
        (
            "list.jsonl",
            '{"image": "rgb/b.jpg", "depth": "depth/b.png", "focal": 518.8579}\n\n'
            '{"rgb": "rgb/a.jpg", "depth": "depth/a.png", "focal": 518.8579}\n',
        ),
    ],
)
def test_lists_of_every_kind_tolerate_blank_and_crlf_lines(
    tmp_path: Path, name: str, text: str
) -> None:
    put_pairs(tmp_path, ["a", "b", "c"])
    path = tmp_path / name
    path.write_bytes(text.encode())
    frames = open_dataset(tmp_path, DatasetSpec(unit="mm"), frame_list=path)
    assert frames.names == ("b", "a")
    assert frames[0].camera.fx == 518.8579
    assert frames[0].camera.cx == 15.5  # the middle of 32 pixels


@pytest.mark.parametrize(
    "line",
    [
        "../rgb/a.jpg depth/a.png",
        "rgb/a.jpg rgb/../../depth/a.png",
        "/etc/passwd depth/a.png",
        "rgb/a.jpg /etc/passwd",
        "C:/rgb/a.jpg depth/a.png",
    ],
)
def test_paths_out_of_the_data_root_are_refused(tmp_path: Path, line: str) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / "list.txt").write_text(line + "\n")
    with pytest.raises(DataError, match="data root"):
        open_dataset(tmp_path, DatasetSpec(unit="mm"), frame_list=tmp_path / "list.txt")


def test_absolute_paths_under_the_data_root_are_taken(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / "list.txt").write_text(f"{tmp_path}/rgb/a.jpg {tmp_path}/depth/a.png\n")
    frames = open_dataset(tmp_path, DatasetSpec(unit="mm"), frame_list=tmp_path / "list.txt")
    assert frames[0].depth.max() == 2


def test_absolute_paths_are_taken_under_a_relative_or_linked_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_pairs(tmp_path / "real", ["1"])
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    for root, listed in (("real", "real"), ("link", "link"), ("link", "real"), ("real", "link")):
        line = f"{tmp_path / listed}/rgb/1.jpg {tmp_path / listed}/depth/1.png\n"
        (tmp_path / "list.txt").write_text(line)
        assert open_dataset(root, frame_list="list.txt").names == ("1",)


@pytest.mark.parametrize(
    "line",
    [
        "rgb/my room.jpg depth/my room.png",
        "rgb/my room.jpg,depth/my room.png",
        "rgb/my room.jpg, depth/my room.png, 518.8",
        "rgb/my room.jpg\tdepth/my room.png",
        "rgb/my room.jpg depth/my room.png 518.8579",
        "my room",
    ],
)
def test_lists_with_blanks_and_commas_are_understood(tmp_path: Path, line: str) -> None:
    put_pairs(tmp_path, ["my room"])
    (tmp_path / "list.txt").write_text(line + "\n")
    assert open_dataset(tmp_path, frame_list=tmp_path / "list.txt").names == ("my room",)


def test_listed_files_outside_the_usual_folders_keep_the_sets_camera(tmp_path: Path) -> None:
    put_image(tmp_path / "walk/photos/1.jpg")
    put_depth(tmp_path / "walk/ranges/1.png")
    np.savetxt(tmp_path / "K.txt", [[30.0, 0, 15.0], [0, 31.0, 11.0], [0, 0, 1]])
    (tmp_path / "list.txt").write_text("walk/photos/1.jpg walk/ranges/1.png\n")
    spec = DatasetSpec(unit="mm", intrinsics="K.txt")
    frames = open_dataset(tmp_path, spec, frame_list=tmp_path / "list.txt")
    assert frames.names == ("walk/photos/1",)
    assert frames.scene(0) == "walk/photos"
    assert frames[0].camera.fx == 30


def test_listed_files_that_are_absent_are_counted_before_step_1(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    lines = ["rgb/a.jpg depth/a.png", *(f"rgb/{i}.jpg depth/a.png" for i in range(7))]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    with pytest.raises(MissingInput, match=r"7 files \(.*rgb/4\.jpg, \.\.\.\) missing"):
        open_dataset(tmp_path, DatasetSpec(unit="mm"), frame_list=tmp_path / "list.txt")


@pytest.mark.parametrize("text", ["", "\n\r\n", "rgb/a.jpg None 5\n"])
def test_empty_list_is_missing_input(tmp_path: Path, text: str) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(MissingInput, match=r"list\.txt: lists no frame"):
        open_dataset(tmp_path, frame_list=tmp_path / "list.txt")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.txt", "rgb/a.jpg depth/a.png far\n"),
        ("l.jsonl", "{\n"),
        ("l.jsonl", "[1]\n"),
        ("l.jsonl", '{"depth": "a"}\n'),
    ],
)
def test_lines_that_make_no_sense_are_named(tmp_path: Path, name: str, text: str) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / name).write_text("\n" + text)
    with pytest.raises(DataError, match=rf"{name}:2"):
        open_dataset(tmp_path, frame_list=tmp_path / name)


def test_a_line_of_several_words_is_the_name_of_a_frame(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a"])
    (tmp_path / "l.txt").write_text("a b c d\n")
    with pytest.raises(MissingInput, match=r"1 listed frame \(a b c d\) not in the folder"):
        open_dataset(tmp_path, frame_list=tmp_path / "l.txt")


# --- contact sheet -------------------------------------------------------------------------------


def test_contact_sheet_shows_every_sample_beside_its_depth(tmp_path: Path) -> None:
    put_pairs(tmp_path, ["a", "b", "c"])
    put_image(tmp_path / "rgb/c.jpg", value=250)
    sheet = contact_sheet(list(open_dataset(tmp_path)), columns=2, width=64)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 2 * (2 * 64 + 4 + 4) + 4
    assert np.abs(sheet[20, 20].astype(int) - 100).max() < 5  # the first photograph
    with pytest.raises(UsageError, match="at least one"):
        contact_sheet([])


def test_contact_sheet_states_the_ends_of_its_colours_to_three_digits() -> None:
    image = np.zeros((48, 64, 3), np.uint8)

    def label(far: float) -> np.ndarray:
        metres = np.full((48, 64), 3, np.float32)
        metres[24:] = far
        return contact_sheet([Sample("a", image, metres)], width=64)[-14:]

    assert (label(120) != label(123)).any()
