"""GLPNImageProcessor: sizes, levels, batches, files, and depth back to the photograph's size."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import glpn
from glpn.errors import ConfigError, DataError, InvalidImage, MissingInput, UsageError
from glpn.image.photo import read_photo
from glpn.processing.processor import PROCESSOR_NAME, GLPNFeatureExtractor, GLPNImageProcessor
from glpn.processing.resize import resize_depth
from tests.corpus.bytes_of import encoded, scene

# The file beside the published NYU checkpoint, as the older feature extractor wrote it.
PUBLISHED = {
    "do_rescale": True,
    "do_resize": True,
    "feature_extractor_type": "GLPNFeatureExtractor",
    "image_processor_type": "GLPNFeatureExtractor",
    "resample": 2,
    "size_divisor": 32,
}

sides = st.integers(1, 6000)


def write(folder: Path, values: object) -> Path:
    (folder / PROCESSOR_NAME).write_text(json.dumps(values))
    return folder


# --- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (480, 640)),
        ((479, 641), (448, 640)),
        ((1, 1), (32, 32)),
        ((31, 31), (32, 32)),
        ((33, 33), (32, 32)),
        ((1, 5000), (32, 4992)),
        ((5000, 1), (4992, 32)),
    ],
)
def test_sides_are_rounded_down_but_never_below_the_divisor(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert GLPNImageProcessor().input_size(*size) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((3024, 4032), (480, 640)),
        ((240, 320), (480, 640)),
        ((4032, 3024), (640, 480)),
        ((1080, 1920), (480, 832)),  # 480 x 853 rounded down
    ],
)
def test_short_side_scales_up_and_down_before_rounding(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert GLPNImageProcessor(short_side=480).input_size(*size) == expected


def test_max_pixels_shrinks_a_large_photo_and_keeps_its_aspect() -> None:
    # 12.19 MP to 1.2 MP: a factor of sqrt(1.2 / 12.19) = 0.3137, so 948 x 1265, rounded down.
    processor = GLPNImageProcessor(max_pixels=1_200_000)
    assert processor.input_size(3024, 4032) == (928, 1248)
    assert processor.input_size(480, 640) == (480, 640)


@given(sides, sides, st.sampled_from([None, 64, 480]))
def test_input_size_is_divisible_and_within_the_limit(height: int, width: int, short: Any) -> None:
    processor = GLPNImageProcessor(short_side=short)
    h, w = processor.input_size(height, width, max_pixels=200_000)
    assert h % 32 == w % 32 == 0
    assert h >= 32
    assert w >= 32
    assert h * w <= 200_000


def test_the_longest_strip_that_the_pixel_limit_lets_in_stays_within_the_input_limit() -> None:
    height, width = GLPNImageProcessor().input_size(1, 25_000_000, max_pixels=1_200_000)
    assert height == 32
    assert width * 32 <= 1_200_000


def test_the_lower_of_two_pixel_limits_holds() -> None:
    processor = GLPNImageProcessor(max_pixels=100_000)
    expected = processor.input_size(480, 640)
    assert processor.input_size(480, 640, max_pixels=1_000_000) == expected
    assert processor.input_size(480, 640, max_pixels=50_000) < expected


def test_do_resize_false_keeps_the_size() -> None:
    processor = GLPNImageProcessor(do_resize=False, short_side=480, max_pixels=9)
    assert processor(scene(33, 47), "np").pixel_values.shape == (1, 3, 33, 47)


# --- levels --------------------------------------------------------------------------------------


def test_levels_are_255ths_of_the_rgb_values_channels_first() -> None:
    image = scene(64, 96)
    pixels = GLPNImageProcessor()(image, "np").pixel_values
    assert pixels.dtype == np.float32
    expected = (image.transpose(2, 0, 1)[None] / 255).astype(np.float32)
    np.testing.assert_array_equal(pixels, expected)


def test_normalising_subtracts_imagenet_s_mean_and_divides_by_its_deviation() -> None:
    image = np.full((32, 32, 3), (255, 0, 51), np.uint8)
    pixels = GLPNImageProcessor(do_normalize=True)(image, "np").pixel_values[0, :, 0, 0]
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    np.testing.assert_allclose(pixels, expected, rtol=1e-6)
    own = GLPNImageProcessor(do_normalize=True, image_mean=0.5, image_std=[0.5, 0.5, 0.25])
    pixels = own(image, "np").pixel_values[0, :, 0, 0]
    np.testing.assert_allclose(pixels, [1, -1, -1.2], rtol=1e-6)


def test_without_rescaling_the_levels_stay_and_are_float32() -> None:
    pixels = GLPNImageProcessor(do_rescale=False)(scene(32, 32), "np").pixel_values
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels[0], scene(32, 32).transpose(2, 0, 1))


# --- images in, batches out ----------------------------------------------------------------------


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    image = scene(64, 96)
    path = tmp_path / "a.png"
    path.write_bytes(encoded(image, "PNG"))
    tensor = torch.from_numpy(image)
    sources = [
        path,
        str(path),
        path.read_bytes(),
        Image.fromarray(image),
        image,
        image.transpose(2, 0, 1),
        image / 255,
        tensor,
        tensor.permute(2, 0, 1),
        read_photo(image),
    ]
    processor = GLPNImageProcessor()
    expected = image.transpose(2, 0, 1) / np.float32(255)
    for source in sources:
        np.testing.assert_array_equal(processor(source, "np").pixel_values[0], expected)
    batch = processor(sources, return_tensors="pt").pixel_values
    assert batch.shape == (10, 3, 64, 96)
    assert batch.dtype == torch.float32


def test_a_stack_of_images_is_a_list() -> None:
    stack = np.stack([scene(32, 64), scene(32, 64)[::-1]])
    processor = GLPNImageProcessor()
    expected = processor(list(stack), "np").pixel_values
    np.testing.assert_array_equal(processor(stack, "np").pixel_values, expected)
    tensors = torch.from_numpy(stack).permute(0, 3, 1, 2)
    np.testing.assert_array_equal(processor(tensors, "np").pixel_values, expected)


def test_mixed_sizes_come_as_a_list_equal_to_each_alone() -> None:
    images = [scene(64, 96), scene(70, 50), scene(33, 32)]
    processor = GLPNImageProcessor()
    together = processor(images).pixel_values
    assert [pixels.shape for pixels in together] == [(3, 64, 96), (3, 64, 32), (3, 32, 32)]
    for pixels, image in zip(together, images, strict=True):
        np.testing.assert_array_equal(pixels, processor(image, "np").pixel_values[0])


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_mixed_sizes_in_one_tensor_are_an_error_that_names_them(kind: str) -> None:
    with pytest.raises(UsageError, match=r"\[3, 64, 96\], \[3, 64, 32\]"):
        GLPNImageProcessor()([scene(64, 96), scene(70, 50)], return_tensors=kind)
    agreeing = GLPNImageProcessor()([scene(64, 96), scene(70, 100)], return_tensors=kind)
    assert agreeing.pixel_values.shape == (2, 3, 64, 96)


@pytest.mark.parametrize("kind", ["np", "pt"])
def test_mixed_shapes_of_another_layout_are_an_error_that_names_them(kind: str) -> None:
    last = GLPNImageProcessor(data_format="channels_last")
    with pytest.raises(UsageError, match=r"same shape, got \[64, 96, 3\], \[32, 96, 3\]"):
        last([scene(64, 96), scene(40, 96)], return_tensors=kind)
    own = GLPNImageProcessor(do_convert_rgb=False)
    with pytest.raises(UsageError, match=r"same shape, got \[3, 64, 96\], \[1, 64, 96\]"):
        own([scene(64, 96), scene(64, 96)[:, :, 0]], return_tensors=kind)


def test_an_empty_batch_is_an_empty_result() -> None:
    processor = GLPNImageProcessor()
    assert processor([]).pixel_values == []
    assert processor([], "np").pixel_values.shape == (0, 3, 32, 32)
    assert processor([], "pt").pixel_values.shape == (0, 3, 32, 32)


def test_the_batch_is_a_mapping_a_record_and_can_be_moved() -> None:
    batch = GLPNImageProcessor()(scene(32, 32), return_tensors="pt")
    assert batch["pixel_values"] is batch.pixel_values
    assert dict(**batch).keys() == {"pixel_values"}
    assert batch.to(torch.float64).pixel_values.dtype == torch.float64
    assert batch.to("meta").pixel_values.device.type == "meta"
    with pytest.raises(AttributeError, match="labels"):
        _ = batch.labels
    with pytest.raises(UsageError, match="return_tensors='pt'"):
        GLPNImageProcessor()(scene(32, 32), return_tensors="np").to("cpu")


def test_options_hold_for_one_call() -> None:
    processor = GLPNImageProcessor()
    assert processor(scene(64, 96), "np", size_divisor=64).pixel_values.shape == (1, 3, 64, 64)
    assert processor(scene(64, 96), "np").pixel_values.shape == (1, 3, 64, 96)
    with pytest.raises(UsageError, match=r"'size_divisors'.*'size_divisor'"):
        processor(scene(64, 96), size_divisors=64)
    with pytest.raises(UsageError, match="'tf'"):
        processor(scene(64, 96), return_tensors="tf")


def test_a_bad_image_is_named_and_inputs_are_left_alone(tmp_path: Path) -> None:
    image = scene(40, 50)
    before = image.copy()
    GLPNImageProcessor()(image, "pt").pixel_values.zero_()
    np.testing.assert_array_equal(image, before)
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    with pytest.raises(InvalidImage, match=r"bad\.jpg"):
        GLPNImageProcessor()([image, tmp_path / "bad.jpg"])


# --- depth maps as labels ------------------------------------------------------------------------


def test_depth_maps_get_the_size_of_their_images_and_unknown_becomes_zero() -> None:
    depth = np.full((70, 100), 2.5)
    depth[:35] = 4.0
    depth[0], depth[1], depth[2], depth[3] = np.nan, np.inf, -1, 0
    labels = GLPNImageProcessor().preprocess_depth(depth)
    assert labels.dtype == np.float32
    assert labels.shape == (1, 64, 96)
    assert set(np.unique(labels)) == {0, 2.5, 4}  # nearest: no depth in between is made up
    assert (labels[0, :3] == 0).all()
    assert (labels[0, 32:] == 2.5).all()


def test_depth_maps_are_sampled_under_the_pixel_centres_like_pillow_s_nearest() -> None:
    depth = np.random.default_rng(0).uniform(1, 9, (75, 110)).astype(np.float32)
    expected = np.asarray(Image.fromarray(depth).resize((96, 64), Image.Resampling.NEAREST))
    batch = GLPNImageProcessor().preprocess_depth([depth, torch.from_numpy(depth)], "pt")
    np.testing.assert_array_equal(batch[0], expected)
    np.testing.assert_array_equal(batch[1], expected)


@pytest.mark.parametrize(
    "bad", [np.ones((9, 9), np.uint16), np.ones(9), np.ones((0, 5)), np.ones((2, 2, 2, 2))]
)
def test_a_depth_map_that_is_no_map_of_metres_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(DataError, match="depth map"):
        GLPNImageProcessor().preprocess_depth(bad)


def test_no_depth_maps_are_no_labels() -> None:
    assert GLPNImageProcessor().preprocess_depth([]).shape == (0, 32, 32)


# --- depth back to the photograph's size ---------------------------------------------------------


def prediction(kind: str, shape: tuple[int, ...] = (2, 24, 32)) -> Any:
    depth = np.random.default_rng(5).uniform(0.001, 9, shape).astype(np.float32)
    return torch.from_numpy(depth) if kind == "tensor" else depth


@pytest.mark.parametrize("kind", ["tensor", "array"])
@pytest.mark.parametrize("sizes", ["list", "array", "tensor"])
def test_each_prediction_gets_its_own_size_and_stays_of_its_kind(kind: str, sizes: str) -> None:
    wanted: Any = [(37, 50), (480, 640)]
    wanted = {"list": wanted, "array": np.array(wanted), "tensor": torch.tensor(wanted)}[sizes]
    depth = prediction(kind)
    outputs = SimpleNamespace(predicted_depth=depth)
    results = GLPNImageProcessor().post_process_depth_estimation(outputs, wanted)
    assert [tuple(r["predicted_depth"].shape) for r in results] == [(37, 50), (480, 640)]
    for result, source in zip(results, depth, strict=True):
        resized = result["predicted_depth"]
        assert type(resized) is type(depth)
        assert resized.dtype == depth.dtype
        assert source.min() <= resized.min()
        assert resized.max() <= source.max()


def test_sizes_may_be_left_out_for_all_or_some() -> None:
    depth = prediction("array")
    processor = GLPNImageProcessor()
    for result, source in zip(
        processor.post_process_depth_estimation({"predicted_depth": depth}), depth, strict=True
    ):
        np.testing.assert_array_equal(result["predicted_depth"], source)
    results = processor.post_process_depth_estimation({"predicted_depth": depth}, [None, (9, 8)])
    assert [r["predicted_depth"].shape for r in results] == [(24, 32), (9, 8)]


@pytest.mark.parametrize("kind", ["tensor", "array"])
def test_bicubic_undershoot_at_an_edge_never_becomes_a_negative_depth(kind: str) -> None:
    edge = np.full((8, 8), 0.01, np.float32)
    edge[:, 4:] = 10
    source = torch.from_numpy(edge) if kind == "tensor" else edge
    resized = resize_depth(source, (80, 80))
    assert float(resized.min()) == pytest.approx(0.01)
    assert float(resized.max()) == 10


@given(*[st.integers(1, 40)] * 4)
def test_numpy_and_torch_resize_alike(h: int, w: int, new_h: int, new_w: int) -> None:
    depth = np.random.default_rng(h * 41 + w).uniform(0, 10, (h, w))
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-4)):
        ours = resize_depth(depth.astype(dtype), (new_h, new_w))
        torchs = resize_depth(torch.from_numpy(depth.astype(dtype)), (new_h, new_w))
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, torchs.numpy(), atol=tolerance)


def test_a_photo_sized_resize_agrees_across_its_strips() -> None:
    depth = np.random.default_rng(1).uniform(0, 10, (96, 128))
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(depth)[None, None], size=(700, 900), mode="bicubic", align_corners=False
    )[0, 0].clamp(float(depth.min()), float(depth.max()))
    np.testing.assert_allclose(resize_depth(depth, (700, 900)), reference.numpy(), atol=1e-9)


def test_half_precision_predictions_stay_half() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        assert resize_depth(torch.ones(4, 5, dtype=dtype), (8, 9)).dtype == dtype
    assert resize_depth(np.ones((4, 5), np.float16), (8, 9)).dtype == np.float16


def test_predictions_in_whole_numbers_become_floats() -> None:
    for depth in (torch.full((1, 4, 5), 7, dtype=torch.uint8), np.full((1, 4, 5), 7, np.int32)):
        [result] = GLPNImageProcessor().post_process_depth_estimation(
            SimpleNamespace(predicted_depth=depth), [(8, 9)]
        )
        assert float(result["predicted_depth"].max()) == float(result["predicted_depth"].min()) == 7


def test_impossible_target_sizes_and_outputs_are_usage_errors() -> None:
    processor = GLPNImageProcessor()
    outputs = SimpleNamespace(predicted_depth=prediction("array"))
    for sizes, message in (
        ([(9, 8)], "expected 2, one per depth map; got 1"),
        ([(9, 8), (0, 3)], "positive"),
        ([(9, 8), 7], "height, width"),
        ([(9, 8), (1, 2, 3)], "height, width"),
    ):
        with pytest.raises(UsageError, match=message):
            processor.post_process_depth_estimation(outputs, sizes)
    wrong: tuple[Any, ...] = ({}, None, SimpleNamespace(predicted_depth=np.ones((3, 4))))
    for bad in wrong:
        with pytest.raises(UsageError, match="predicted_depth"):
            processor.post_process_depth_estimation(bad)


# --- files ---------------------------------------------------------------------------------------


def test_saved_and_loaded_processors_are_equal(tmp_path: Path) -> None:
    for values in (
        {},
        {"size_divisor": 64, "short_side": 480, "max_pixels": 500_000, "do_resize": False},
        {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": (0.1, 0.2, 0.3)},
        {"resample": Image.Resampling.BICUBIC, "rescale_factor": 1 / 127.5, "extra": {"a": [1]}},
    ):
        processor = GLPNImageProcessor(**values)
        processor.save_pretrained(tmp_path / "made" / "here")
        assert GLPNImageProcessor.from_pretrained(tmp_path / "made" / "here") == processor
        assert GLPNImageProcessor.from_dict(processor.to_dict()) == processor
    assert os_names(tmp_path / "made" / "here") == [PROCESSOR_NAME]


def os_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_published_file_and_all_variants_load_as_the_defaults(tmp_path: Path) -> None:
    assert GLPNImageProcessor.from_pretrained(write(tmp_path, PUBLISHED)) == GLPNImageProcessor()
    for kind in ("GLPNImageProcessor", "GLPNImageProcessorFast", "GLPNImageProcessorPil"):
        values = {"image_processor_type": kind, "do_normalize": None, "rescale_factor": None}
        assert GLPNImageProcessor.from_dict(values) == GLPNImageProcessor()


def test_unknown_keys_are_kept_and_written_back(tmp_path: Path) -> None:
    values = {**PUBLISHED, "processor_class": "Mine", "crop_size": None}
    processor = GLPNImageProcessor.from_dict(values)
    assert processor.extra == {"processor_class": "Mine", "crop_size": None}
    assert processor.save_pretrained(tmp_path) == [str(tmp_path / PROCESSOR_NAME)]
    written = json.loads((tmp_path / PROCESSOR_NAME).read_text())
    assert written["processor_class"] == "Mine"
    assert written["image_processor_type"] == "GLPNImageProcessor"


def test_a_short_side_is_written_for_transformers_too_and_read_back(tmp_path: Path) -> None:
    processor = GLPNImageProcessor(short_side=192, size_divisor=64)
    values = processor.to_dict()
    assert values["image_processor_type"] == "DPTImageProcessor"
    assert values["size"] == {"height": 192, "width": 192} and values["keep_aspect_ratio"]
    assert values["ensure_multiple_of"] == 64
    read = GLPNImageProcessor.from_dict(values)
    assert read == processor and read.extra == {}
    read.short_side = None  # nothing stale remains
    assert GLPNImageProcessor(size_divisor=64).to_dict() == read.to_dict()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("do_resize", 1),
        ("do_normalize", "yes"),
        ("size_divisor", 0),
        ("size_divisor", 32.5),
        ("size_divisor", 10**9),
        ("short_side", -1),
        ("focal_ratio", 0),
        ("focal_ratio", "wide"),
        ("max_pixels", True),
        ("resample", 9),
        ("resample", "bilinear"),
        ("rescale_factor", "1/255"),
        ("rescale_factor", float("inf")),
        ("image_mean", [0.5, 0.5]),
        ("image_mean", [0.5, 0.5, "x"]),
        ("image_std", [1, 1, 0]),
        ("image_processor_type", "DPTImageProcessor"),
    ],
)
def test_an_impossible_value_is_an_error_that_names_the_key(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{key}: expected"):
        GLPNImageProcessor.from_dict({**PUBLISHED, key: value})


def test_a_damaged_file_is_a_config_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / PROCESSOR_NAME).write_text('{"do_resize": tru')
    with pytest.raises(ConfigError, match=PROCESSOR_NAME):
        GLPNImageProcessor.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="JSON object"):
        GLPNImageProcessor.from_pretrained(write(tmp_path, [1]))


def test_a_folder_without_the_file_is_missing_input(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=PROCESSOR_NAME):
        GLPNImageProcessor.from_pretrained(tmp_path)


def test_what_is_neither_folder_nor_name_nor_reachable_hub_id_is_missing_input(
    tmp_path: Path,
) -> None:
    for source in ("no-such-model", str(tmp_path / "none"), "./a/b"):
        with pytest.raises(MissingInput, match=str(source)):
            GLPNImageProcessor.from_pretrained(source)
    with pytest.raises(MissingInput, match="someone/something"):
        GLPNImageProcessor.from_pretrained(
            "someone/something", cache_dir=tmp_path, local_files_only=True
        )
    with pytest.raises(UsageError, match="'revison'"):
        GLPNImageProcessor.from_pretrained("someone/something", revison="main")


def test_a_hub_id_downloaded_before_loads_without_the_network(tmp_path: Path) -> None:
    # The layout of the hub library's cache: a reference names a commit, its snapshot has the file.
    repository = tmp_path / "models--someone--something"
    commit = "0123456789" * 4
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    write(snapshot, {**PUBLISHED, "size_divisor": 64})
    loaded = GLPNImageProcessor.from_pretrained(
        "someone/something", cache_dir=tmp_path, local_files_only=True
    )
    assert loaded.size_divisor == 64


def test_the_older_name_is_the_same_processor() -> None:
    old = GLPNFeatureExtractor.from_dict(PUBLISHED)
    assert isinstance(old, GLPNFeatureExtractor)
    assert isinstance(old, GLPNImageProcessor)
    assert glpn.GLPNFeatureExtractor is GLPNFeatureExtractor
    np.testing.assert_array_equal(
        old(scene(), "np").pixel_values, GLPNImageProcessor()(scene(), "np").pixel_values
    )


def test_assignment_validates_and_copies_are_independent() -> None:
    processor = GLPNImageProcessor(extra={"a": [1]}, image_mean=[0.1, 0.2, 0.3])
    again = pickle.loads(pickle.dumps(copy.deepcopy(processor)))
    assert again == processor
    again.size_divisor = 16
    assert processor.size_divisor == 32
    with pytest.raises(ConfigError, match="size_divisor"):
        again.size_divisor = 0
    with pytest.raises(ConfigError, match="did you mean 'size_divisor'"):
        again.size_divisors = 16


def test_overrides_replace_fields_of_a_file(tmp_path: Path) -> None:
    GLPNImageProcessor().save_pretrained(tmp_path)
    assert GLPNImageProcessor.from_pretrained(tmp_path, size_divisor=64).size_divisor == 64
    assert GLPNImageProcessor.from_dict(PUBLISHED, do_resize=False).do_resize is False
    file = tmp_path / "other.json"
    GLPNImageProcessor(resample=3).to_json_file(file)
    assert GLPNImageProcessor.from_json_file(file).resample == 3


# --- arrays as code for transformers passes them -------------------------------------------------


def test_a_float_image_stays_in_0_to_1_without_rescaling() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = np.kron(np.stack([levels] * 3, axis=2), np.ones((2, 2, 1), np.uint8))
    unit = image.astype(np.float32) / 255
    expected = unit.transpose(2, 0, 1)
    for source in (unit, torch.from_numpy(unit)):
        for resize in (True, False):
            processor = GLPNImageProcessor(do_resize=resize, do_rescale=False)
            np.testing.assert_array_equal(processor(source).pixel_values[0], expected)


def test_a_float_image_at_its_own_size_is_not_rounded_to_levels() -> None:
    unit = np.random.default_rng(0).random((9, 7, 3), np.float32)
    for rescale in (True, False):
        pixels = GLPNImageProcessor(do_resize=False, do_rescale=rescale)(unit).pixel_values[0]
        np.testing.assert_allclose(pixels, unit.transpose(2, 0, 1), rtol=1e-6)


def test_floats_from_0_to_255_are_refused_with_the_remedy() -> None:
    with pytest.raises(InvalidImage, match=r"\[0, 1\].*divide it by 255"):
        GLPNImageProcessor()(scene(32, 32).astype(np.float32))


def test_integers_booleans_alpha_and_nested_lists_are_understood() -> None:
    image = scene(33, 64)
    processor = GLPNImageProcessor()
    expected = processor(image).pixel_values[0]
    alpha = np.dstack([image, image[:, :, :1]])
    for source in (image.astype(np.int32), image.astype(np.int64), alpha, [[image], [image]]):
        np.testing.assert_array_equal(processor(source).pixel_values[0], expected)
    assert processor(alpha, do_convert_rgb=False).pixel_values[0].shape == (4, 32, 64)
    mask = image[:, :, 0] > 128
    assert set(np.unique(processor(mask, resample=0).pixel_values[0])) == {0.0, 1.0}
    for bad in (image.astype(np.int32) + 200, image.astype(np.int64) - 300):
        with pytest.raises(InvalidImage, match=r"0\.\.255"):
            processor(bad)


def test_the_layout_of_ambiguous_arrays_can_be_told() -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 40, 3), np.uint8)
    processor = GLPNImageProcessor(do_resize=False)
    first = processor(image, input_data_format="channels_first").pixel_values[0]
    last = processor(image, input_data_format="channels_last").pixel_values[0]
    assert (first.shape, last.shape) == ((3, 40, 3), (3, 3, 40))
    np.testing.assert_array_equal(last, first.transpose(2, 0, 1))
    turned = processor(image, data_format="channels_last").pixel_values[0]
    assert turned.shape == (3, 40, 3)
    with pytest.raises(ConfigError, match="input_data_format"):
        processor(image, input_data_format="HWC")
    with pytest.raises(InvalidImage, match="channels_first"):
        processor(scene(33, 64), input_data_format="channels_first")


def test_the_batch_goes_to_a_device_and_only_floats_are_cast() -> None:
    batch = GLPNImageProcessor()(scene(32, 32), return_tensors="pt", device="meta")
    assert batch.pixel_values.device.type == "meta"
    batch = GLPNImageProcessor()(scene(32, 32), return_tensors="pt")
    batch.update(ids=torch.ones(2, dtype=torch.long), target_size=(32, 32))
    batch.to("cpu", torch.float16)
    assert (batch.pixel_values.dtype, batch.ids.dtype) == (torch.float16, torch.long)
    assert batch.target_size == (32, 32)


def test_everything_but_tensors_works_where_torch_is_not_installed() -> None:
    program = """
import sys
sys.modules["torch"] = None
import numpy as np
from glpn import GLPNImageProcessor
from glpn.errors import MissingDependency
from glpn.processing.resize import resize_depth
processor = GLPNImageProcessor()
image = np.zeros((40, 40, 3), np.uint8)
assert processor(image, "np").pixel_values.shape == (1, 3, 32, 32)
assert resize_depth(np.ones((4, 4)), (9, 9)).shape == (9, 9)
try:
    processor(image, "pt")
except MissingDependency as e:
    assert "'.[torch]'" in str(e)
else:
    raise SystemExit("no error")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
