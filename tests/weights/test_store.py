"""Checkpoint files: what is accepted, what is refused and how; writing is all or nothing."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import glpn
from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor, GLPNModel, weights
from glpn.engines.options import EngineOptions
from glpn.engines.registry import usable_engines
from glpn.errors import CannotCreateOutput, CheckpointError, MissingInput, OutputFailed, UsageError
from glpn.jobs.shared_estimator import SharedEstimator
from tests.networks import photograph, randomise

TINY = {"hidden_sizes": (8, 16, 40, 64), "depths": (1, 1, 1, 1), "decoder_hidden_size": 16}


def tiny(**fields: Any) -> GLPNForDepthEstimation:
    torch.manual_seed(0)
    model = GLPNForDepthEstimation(GLPNConfig(**{**TINY, **fields}))
    randomise(model)
    return model.eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def safetensors_bytes(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(begin: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def damage(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite the folder's weights after `change` edited the tensors."""
    state = weights.read_tensors(folder)
    state = {name: value.clone() for name, value in state.items()}
    change(state)
    save_file(state, folder / weights.WEIGHTS_NAME)
    weights.sign(folder)  # so that the checks behind the checksums are reached


# --- round trips -----------------------------------------------------------------------------


def test_a_saved_model_loads_to_the_same_depth(folder: Path) -> None:
    pixels = photograph(64, 96)
    model = GLPNForDepthEstimation.from_pretrained(folder)
    assert not model.training
    torch.testing.assert_close(
        model(pixels).predicted_depth, tiny()(pixels).predicted_depth, rtol=0, atol=0
    )


def test_max_depth_can_be_told_at_loading(folder: Path) -> None:
    pixels = photograph(32, 32)
    near = GLPNForDepthEstimation.from_pretrained(folder)
    far = GLPNForDepthEstimation.from_pretrained(folder, max_depth=80)
    assert far.config.max_depth == 80
    torch.testing.assert_close(far(pixels).predicted_depth, near(pixels).predicted_depth * 8)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_files_are_widened_unless_told_otherwise(tmp_path: Path, dtype: Any) -> None:
    tiny().to(dtype).save_pretrained(tmp_path)
    assert GLPNForDepthEstimation.from_pretrained(tmp_path, dtype="auto").dtype == dtype
    wide = GLPNForDepthEstimation.from_pretrained(tmp_path)
    assert wide.dtype == torch.float32
    assert torch.isfinite(wide(photograph(32, 32)).predicted_depth).all()


def test_an_impossible_dtype_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match="float31"):
        GLPNForDepthEstimation.from_pretrained(folder, dtype="float31")


def test_the_encoder_alone_loads_from_a_whole_checkpoint_and_from_its_own(
    folder: Path, tmp_path: Path
) -> None:
    encoder = GLPNModel.from_pretrained(folder)
    encoder.save_pretrained(tmp_path / "encoder")
    again = GLPNModel.from_pretrained(tmp_path / "encoder")
    whole = GLPNForDepthEstimation.from_pretrained(folder).glpn.state_dict()
    for state in (encoder.state_dict(), again.state_dict()):
        assert state.keys() == whole.keys()
        assert all(torch.equal(state[name], whole[name]) for name in whole)


def test_every_name_survives_the_way_to_disk_and_back() -> None:
    state = tiny().state_dict()
    disk = weights.to_disk_names(state, prefix="")
    assert weights.to_memory_names(disk, prefix="").keys() == state.keys()
    assert disk.keys() == weights.expected_shapes(GLPNConfig(**TINY)).keys()


@pytest.mark.parametrize("preset", ["b0", "b1", "b2", "b3", "b4", "b5"])
def test_expected_shapes_are_those_of_the_modules(preset: str) -> None:
    config = GLPNConfig.preset(preset)
    with torch.device("meta"):
        state = GLPNForDepthEstimation(config).state_dict()
    disk = weights.to_disk_names(state, prefix="")
    expected = {name: tuple(value.shape) for name, value in disk.items()}
    assert weights.expected_shapes(config) == expected


def test_shards_named_by_an_index_load_like_one_file(folder: Path) -> None:
    state = weights.read_tensors(folder)
    names = sorted(state)
    halves = {"model-00001-of-00002.safetensors": names[::2]}
    halves["model-00002-of-00002.safetensors"] = names[1::2]
    for file, part in halves.items():
        save_file({name: state[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in halves.items() for name in part}
    index = {"metadata": {}, "weight_map": weight_map}
    (folder / weights.WEIGHTS_NAME).unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    again = weights.read_tensors(folder)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], state[name]) for name in state)


def test_a_saved_model_does_not_say_where_it_was_loaded_from(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    for source, target in ((folder, "a"), (tmp_path / "copy", "b")):
        model = GLPNForDepthEstimation.from_pretrained(source)
        assert model.name_or_path == model.config.name_or_path == str(source)
        model.save_pretrained(tmp_path / target)
        assert str(tmp_path) not in (tmp_path / target / "config.json").read_text()
        assert str(tmp_path) not in model.config.to_json_string()
    assert weights.settings_hash(tmp_path / "a") == weights.settings_hash(tmp_path / "b")


def test_a_model_does_not_follow_its_file(folder: Path) -> None:
    model = GLPNForDepthEstimation.from_pretrained(folder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    file = folder / weights.WEIGHTS_NAME
    with file.open("r+b") as stream:
        stream.write(b"\1" * file.stat().st_size)
    after = model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_a_folder_of_shards_predicts_and_records_the_hash_of_all(tmp_path: Path) -> None:
    model = tiny()
    photo = np.zeros((64, 64, 3), np.uint8)
    model.save_pretrained(tmp_path / "whole")
    model.save_pretrained(tmp_path / "parts", max_shard_size="200KB")
    for name in ("whole", "parts"):
        GLPNImageProcessor().save_pretrained(tmp_path / name)
    whole, parts = (glpn.load(tmp_path / name, threads=1)(photo) for name in ("whole", "parts"))
    assert np.array_equal(whole.metres, parts.metres)
    options = EngineOptions(tmp_path / "parts")
    assert SharedEstimator(options).model_hash == parts.provenance.model_hash
    files = sorted((tmp_path / "parts").glob("*.safetensors"))
    digests = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    assert len(files) > 1
    assert parts.provenance.model_hash == hashlib.sha256(digests.encode()).hexdigest()
    assert usable_engines(tmp_path / "parts") == ("torch",)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "weights.bin", ""])
def test_an_index_that_leaves_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    index = {"weight_map": {"head.head.0.weight": name}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"index\.json"):
        weights.read_tensors(tmp_path)


# --- arrays and headers, without torch -------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_arrays_hold_the_tensors_values(tmp_path: Path, dtype: Any) -> None:
    values = torch.randn(3, 5).to(dtype)
    counter = torch.tensor(7)
    save_file({"a": values, "x.num_batches_tracked": counter}, tmp_path / "x.safetensors")
    arrays = weights.read_arrays(tmp_path / "x.safetensors")
    assert arrays["a"].shape == (3, 5)
    np.testing.assert_array_equal(arrays["a"].astype(np.float64), values.double().numpy())
    assert arrays["x.num_batches_tracked"] == 7


def test_a_header_tells_names_shapes_and_places(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    save_file({"a": torch.ones(2, 3), "b": torch.zeros(4)}, file, metadata={"format": "pt"})
    header = weights.read_header(file)
    assert {name: entry.shape for name, entry in header.tensors.items()} == {"a": (2, 3), "b": (4,)}
    entry = header.tensors["a"]
    assert entry.dtype == "F32"
    assert file.read_bytes()[entry.begin : entry.end] == np.ones(6, "<f4").tobytes()
    assert header.metadata == {"format": "pt"}


def test_headers_and_arrays_need_no_torch(folder: Path) -> None:
    code = (
        "import sys; from glpn import weights;"
        f"weights.read_header({str(folder / weights.WEIGHTS_NAME)!r});"
        f"arrays = weights.read_arrays({str(folder)!r}); assert arrays;"
        "assert not {'torch', 'onnxruntime', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_hash_is_sha256_of_the_whole_file(tmp_path: Path) -> None:
    data = random.Random(0).randbytes(3 * 2**20 + 17)
    (tmp_path / "x").write_bytes(data)
    assert weights.file_hash(tmp_path / "x") == hashlib.sha256(data).hexdigest()
    with pytest.raises(MissingInput, match="absent"):
        weights.file_hash(tmp_path / "absent")


def test_the_hash_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for second, data in enumerate((b"first", b"other", b"third")):  # equal in length
        path.write_bytes(data)
        assert weights.file_hash(path) == hashlib.sha256(data).hexdigest()
        os.utime(path, (second, second))  # as if written long ago
        assert weights.file_hash(path) == weights.file_hash(path)
        assert weights.file_hash(path) == hashlib.sha256(data).hexdigest()


# --- damaged and hostile files ---------------------------------------------------------------

ZEROS = bytes(16)
DAMAGED = {
    "empty file": b"",
    "seven bytes": bytes(7),
    "header longer than the file": safetensors_bytes({}, length=1000),
    "header of 2^63 bytes": safetensors_bytes({}, length=2**63),
    "no JSON": safetensors_bytes(b"not json"),
    "no UTF-8": safetensors_bytes(b'{"\xff": 1}'),
    "a list": safetensors_bytes([1, 2]),
    "a number": safetensors_bytes(b"7"),
    "deep nesting": safetensors_bytes(b"[" * 100_000),
    "a huge whole number": safetensors_bytes(b'{"a": ' + b"9" * 5000 + b"}"),
    "one name twice": safetensors_bytes(
        b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
        b'"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}'
    ),
    "overlap": safetensors_bytes({"a": tensor(0, 16, [4]), "b": tensor(8, 16, [2])}, ZEROS),
    "gap": safetensors_bytes({"a": tensor(0, 4, [1]), "b": tensor(8, 16, [2])}, ZEROS),
    "trailing bytes": safetensors_bytes({"a": tensor(0, 8, [2])}, ZEROS),
    "past the end": safetensors_bytes({"a": tensor(0, 32, [8])}, ZEROS),
    "negative offset": safetensors_bytes({"a": tensor(-8, 8, [4])}, ZEROS),
    "end before begin": safetensors_bytes({"a": tensor(16, 0, [4])}, ZEROS),
    "negative shape": safetensors_bytes({"a": tensor(0, 16, [-2, -2])}, ZEROS),
    "overflowing shape": safetensors_bytes({"a": tensor(0, 16, [2**32, 2**32, 4])}, ZEROS),
    "overflowing offset": safetensors_bytes({"a": tensor(2**64 - 16, 2**64, [4])}, ZEROS),
    "fractional shape": safetensors_bytes({"a": tensor(0, 16, [4.0])}, ZEROS),
    "shape of truth values": safetensors_bytes({"a": tensor(0, 4, [True])}, ZEROS[:4]),
    "shape against offsets": safetensors_bytes({"a": tensor(0, 16, [5])}, ZEROS),
    "100 axes": safetensors_bytes({"a": tensor(0, 16, [1] * 99 + [4])}, ZEROS),
    "three offsets": safetensors_bytes(
        {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 8, 16]}}, ZEROS
    ),
    "no offsets": safetensors_bytes({"a": {"dtype": "F32", "shape": [4]}}, ZEROS),
    "unknown dtype": safetensors_bytes({"a": tensor(0, 16, [4], "F31")}, ZEROS),
    "listed dtype": safetensors_bytes({"a": tensor(0, 16, [4], ["F32"])}, ZEROS),
    "integer weights": safetensors_bytes({"a": tensor(0, 16, [2], "I64")}, ZEROS),
    "tensor that is a number": safetensors_bytes({"a": 7}),
    "metadata that is a list": safetensors_bytes({"__metadata__": [1]}),
    "metadata of numbers": safetensors_bytes({"__metadata__": {"a": 1}}),
    "format without a number": safetensors_bytes({"__metadata__": {"glpn_format": "one"}}),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_safetensors_file_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(DAMAGED[kind])
    for read in (weights.read_header, weights.read_tensors, weights.read_arrays):
        with pytest.raises(CheckpointError, match=r"model\.safetensors"):
            read(file)


def test_a_hundred_cuts_and_bit_flips_of_the_header_are_refused_or_harmless(tmp_path: Path) -> None:
    tiny().save_pretrained(tmp_path)
    file = tmp_path / weights.WEIGHTS_NAME
    whole = file.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    rng = random.Random(0)
    refused = 0
    for i in range(100):
        damaged = bytearray(whole)
        if i % 2:
            del damaged[rng.randrange(len(whole)) :]
        else:
            damaged[rng.randrange(header)] ^= 1 << rng.randrange(8)
        file.write_bytes(damaged)
        try:
            GLPNForDepthEstimation.from_pretrained(tmp_path)
        except CheckpointError:
            refused += 1
    # Only a flip inside the metadata (under 2 % of the header) can go unnoticed.
    assert refused >= 95


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_no_number_is_refused_by_name(folder: Path, value: Any) -> None:
    name = "decoder.stages.1.fusion.convolutional_layer1.1.running_var"
    damage(folder, lambda state: state[name].view(-1)[3:4].fill_(value))
    for read in (weights.read_tensors, weights.read_arrays, GLPNForDepthEstimation.from_pretrained):
        with pytest.raises(CheckpointError, match=name):
            read(folder)


def test_a_file_of_a_newer_format_says_which_glpn_it_needs(folder: Path) -> None:
    state = weights.read_tensors(folder)
    metadata = {"format": "pt", "glpn_format": "2", "glpn_needs": "3.1"}
    save_file(state, folder / weights.WEIGHTS_NAME, metadata=metadata)
    weights.sign(folder)
    with pytest.raises(CheckpointError, match=r"needs glpn >= 3\.1"):
        GLPNForDepthEstimation.from_pretrained(folder)


@pytest.mark.slow
def test_refusing_a_hostile_header_costs_no_memory(tmp_path: Path) -> None:
    sparse = tmp_path / "huge-header.safetensors"
    with sparse.open("wb") as stream:
        stream.write(struct.pack("<Q", 4 * 2**30))
        stream.truncate(8 * 2**30)
    claims = tmp_path / "claims.safetensors"
    claims.write_bytes(safetensors_bytes({"a": tensor(0, 2**40, [2**38])}, ZEROS))
    code = f"""
import resource
from glpn import weights
from glpn.errors import CheckpointError
import torch, safetensors.torch
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in {[str(sparse), str(claims)]!r}:
    for read in (weights.read_header, weights.read_arrays, weights.read_tensors):
        try:
            read(file)
        except CheckpointError:
            continue
        raise SystemExit("accepted")
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown < 100 * 1024, grown
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("suffix", [".bin", ".pt", ".pth", ".ckpt"])
def test_a_pickle_is_never_opened_but_sent_to_convert(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    torch.save({"a": torch.ones(1)}, file)
    with pytest.raises(CheckpointError, match="glpn convert"):
        weights.read_tensors(file)


def test_a_folder_with_a_pickle_alone_is_sent_to_convert(folder: Path) -> None:
    torch.save(weights.read_tensors(folder), folder / "pytorch_model.bin")
    (folder / weights.WEIGHTS_NAME).unlink()
    with pytest.raises(CheckpointError, match="glpn convert"):
        GLPNForDepthEstimation.from_pretrained(folder)


def test_missing_files_are_missing_input(folder: Path, tmp_path: Path) -> None:
    (folder / weights.WEIGHTS_NAME).unlink()
    with pytest.raises(MissingInput, match=r"model\.safetensors"):
        weights.read_tensors(folder)
    with pytest.raises(MissingInput, match="absent"):
        weights.read_header(tmp_path / "absent.safetensors")
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(MissingInput, match="pipe"):
        weights.read_arrays(tmp_path / "pipe.safetensors")


# --- weights against configuration -----------------------------------------------------------


def test_misfits_are_counted_and_the_first_five_of_each_kind_named(folder: Path) -> None:
    removed = [
        f"glpn.encoder.layer_norm.{i}.{leaf}" for i in range(4) for leaf in ("weight", "bias")
    ]

    def change(state: Any) -> None:
        for name in removed:
            del state[name]
        state["head.head.4.weight"] = torch.ones(1)
        state["head.head.2.bias"] = torch.ones(3)

    damage(folder, change)
    with pytest.raises(CheckpointError) as refusal:
        GLPNForDepthEstimation.from_pretrained(folder)
    message = str(refusal.value)
    assert str(folder) in message
    assert "8 missing" in message
    assert sum(name in message for name in removed) == 5
    assert "1 unexpected: head.head.4.weight" in message
    assert "1 wrong shape: head.head.2.bias [3] instead of [1]" in message


def test_one_tensor_under_two_names_is_refused(folder: Path) -> None:
    state = weights.read_tensors(folder)
    name = "glpn.encoder.layer_norm.0.weight"
    doubled = {**state, name.removeprefix("glpn."): state[name]}
    with pytest.raises(CheckpointError, match="layer_norm"):
        weights.to_memory_names(doubled, prefix="glpn.")


def test_another_networks_weights_are_refused(folder: Path) -> None:
    config = GLPNConfig(**{**TINY, "depths": (2, 1, 1, 1)})
    (folder / "config.json").write_text(config.to_json())
    weights.sign(folder)
    with pytest.raises(CheckpointError, match=r"missing: glpn\.encoder\.block\.0\.1"):
        GLPNForDepthEstimation.from_pretrained(folder)


# --- writing ---------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_previous_model_intact(folder: Path) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputFailed, match=r"model\.safetensors"):
            tiny(max_depth=5).save_pretrained(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CannotCreateOutput, match="file"):
            tiny().save_pretrained(place)


def test_saving_again_replaces_both_files_and_leaves_nothing_else(folder: Path) -> None:
    tiny(max_depth=5).save_pretrained(folder)
    written = {"checksums.json", "config.json", "model.safetensors"}
    assert {file.name for file in folder.iterdir()} == written
    assert GLPNForDepthEstimation.from_pretrained(folder).config.max_depth == 5


def test_equal_weights_make_equal_files(tmp_path: Path) -> None:
    for attempt in range(8):  # the order of metadata would be one of two by chance
        tiny().save_pretrained(tmp_path / str(attempt))
    hashes = {weights.file_hash(path) for path in tmp_path.glob("*/model.safetensors")}
    assert len(hashes) == 1


def test_written_files_carry_the_format_and_channels_last_weights_are_laid_out_plainly(
    tmp_path: Path,
) -> None:
    model = tiny().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.save_pretrained(tmp_path)
    header = weights.read_header(tmp_path / weights.WEIGHTS_NAME)
    assert header.metadata["format"] == "pt"
    assert header.metadata["glpn_format"] == "1"
    arrays = weights.read_arrays(tmp_path)
    np.testing.assert_array_equal(
        arrays["head.head.0.weight"], model.head.conv1.weight.detach().numpy()
    )


def test_weights_without_permission_to_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read: Permission"):
        weights.file_hash(tmp_path / "model.safetensors")
