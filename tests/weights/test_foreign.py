"""Checkpoints of others become glpn's folders and, for the authors' form, go back unchanged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNModel, weights
from glpn.errors import CannotCreateOutput, CheckpointError, ConfigError, MissingInput, UsageError
from glpn.weights import conversion, foreign
from tests.networks import photograph, randomise

# Thin, but with the authors' property that the decoder is as wide as the shallowest map.
THIN = {"hidden_sizes": (8, 16, 40, 64), "decoder_hidden_size": 8}
B4_DEPTHS = (3, 8, 27, 3)


def network(depths: tuple[int, ...] = (2, 1, 1, 1), **fields: Any) -> GLPNForDepthEstimation:
    torch.manual_seed(0)
    model = GLPNForDepthEstimation(GLPNConfig(**{**THIN, "depths": depths, **fields}))
    randomise(model)
    return model.eval()


def disk_state(model: GLPNForDepthEstimation) -> dict[str, Tensor]:
    return weights.to_disk_names(model.state_dict(), prefix="")


# Hugging Face name → the authors' name, written from the published table, not from the code.
AUTHORS = (
    (r"glpn\.encoder\.patch_embeddings\.(\d)\.proj", "encoder.patch_embed{}.proj"),
    (r"glpn\.encoder\.patch_embeddings\.(\d)\.layer_norm", "encoder.patch_embed{}.norm"),
    (r"glpn\.encoder\.layer_norm\.(\d)", "encoder.norm{}"),
    (r"glpn\.encoder\.block\.(\d)\.(\d+)\.layer_norm_1", "encoder.block{}.{}.norm1"),
    (r"glpn\.encoder\.block\.(\d)\.(\d+)\.layer_norm_2", "encoder.block{}.{}.norm2"),
    (r"glpn\.encoder\.block\.(\d)\.(\d+)\.attention\.self\.query", "encoder.block{}.{}.attn.q"),
    (r"glpn\.encoder\.block\.(\d)\.(\d+)\.attention\.self\.key", "encoder.block{}.{}.attn.kv"),
    (
        r"glpn\.encoder\.block\.(\d)\.(\d+)\.attention\.output\.dense",
        "encoder.block{}.{}.attn.proj",
    ),
    (r"glpn\.encoder\.block\.(\d)\.(\d+)\.attention\.self\.sr", "encoder.block{}.{}.attn.sr"),
    (
        r"glpn\.encoder\.block\.(\d)\.(\d+)\.attention\.self\.layer_norm",
        "encoder.block{}.{}.attn.norm",
    ),
    (r"glpn\.encoder\.block\.(\d)\.(\d+)\.mlp\.dense1", "encoder.block{}.{}.mlp.fc1"),
    (r"glpn\.encoder\.block\.(\d)\.(\d+)\.mlp\.dense2", "encoder.block{}.{}.mlp.fc2"),
    (
        r"glpn\.encoder\.block\.(\d)\.(\d+)\.mlp\.dwconv\.dwconv",
        "encoder.block{}.{}.mlp.dwconv.dwconv",
    ),
)
AUTHORS_DECODER = (
    (r"decoder\.stages\.0\.convolution", "decoder.bot_conv"),
    (r"decoder\.stages\.1\.convolution", "decoder.skip_conv1"),
    (r"decoder\.stages\.2\.convolution", "decoder.skip_conv2"),
    (
        r"decoder\.stages\.(\d)\.fusion\.convolutional_layer(\d)\.(\d)",
        "decoder.fusion{}.conv{}.{}",
    ),
    (r"decoder\.stages\.(\d)\.fusion\.convolutional_layer3", "decoder.fusion{}.conv3"),
    (r"head\.head\.(\d)", "last_layer_depth.{}"),
)


def authors_name(name: str) -> str:
    module, leaf = name.rsplit(".", 1)
    for pattern, target in AUTHORS:
        if match := re.fullmatch(pattern, module):
            stage, *rest = match.groups()
            return f"{target.format(int(stage) + 1, *rest)}.{leaf}"
    for pattern, target in AUTHORS_DECODER:
        if match := re.fullmatch(pattern, module):
            return f"{target.format(*match.groups())}.{leaf}"
    raise AssertionError(name)


def authors_state(disk: dict[str, Tensor]) -> dict[str, Tensor]:
    state = {}
    for name, value in disk.items():
        if ".self.value." in name:
            continue
        if ".self.key." in name:
            value = torch.cat((value, disk[name.replace(".self.key.", ".self.value.")]))
        state[authors_name(name)] = value.clone()
    return state


def assert_same(ours: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert ours.keys() == wanted.keys()
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)


# --- the authors' files ----------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["model.", "net.glpn_model."])
@pytest.mark.parametrize("key", ["state_dict", "model_state_dict"])
def test_files_of_lightning_and_of_training_loops_are_read(
    tmp_path: Path, prefix: str, key: str
) -> None:
    model = network()
    state = {f"{prefix}{name}": value for name, value in disk_state(model).items()}
    state["criterion.weight"] = torch.ones(3)
    contents = {key: state, "epoch": 3, "pytorch-lightning_version": "2.5", "loss": 0.1}
    torch.save(contents, tmp_path / "last.ckpt")
    report = conversion.convert(tmp_path / "last.ckpt", tmp_path / "new")
    assert any("1 tensors outside the network were left out" in note for note in report.notes)
    pixels = photograph(64, 96)
    again = GLPNForDepthEstimation.from_pretrained(
        tmp_path / "new", num_attention_heads=(1, 2, 5, 8)
    )
    torch.testing.assert_close(again(pixels)[0], model(pixels)[0], rtol=0, atol=0)


def test_a_network_that_the_authors_format_lacks_is_refused_before_anything_else(
    tmp_path: Path,
) -> None:
    network(decoder_hidden_size=16).save_pretrained(tmp_path / "wide")
    with pytest.raises(UsageError, match=r"decoder_hidden_size 16 .*hidden_sizes, 8"):
        conversion.convert(tmp_path / "wide", tmp_path / "new.ckpt", form="authors")
    network(hidden_act="relu").save_pretrained(tmp_path / "relu")
    with pytest.raises(UsageError, match="hidden_act 'relu'"):
        conversion.convert(tmp_path / "relu", tmp_path / "new.ckpt", form="authors")
    assert not (tmp_path / "new.ckpt").exists()


@pytest.mark.parametrize("wrapping", ["plain", "module", "state_dict", "model"])
def test_the_authors_files_become_a_folder_that_gives_the_same_depth(
    tmp_path: Path, wrapping: str
) -> None:
    model = network(layer_norm_convention="authors")
    state = authors_state(disk_state(model))
    if wrapping == "module":
        state = {f"module.{name}": value for name, value in state.items()}
    contents = {wrapping: state, "epoch": 3} if wrapping in ("state_dict", "model") else state
    torch.save(contents, tmp_path / "best.ckpt")

    report = conversion.convert(tmp_path / "best.ckpt", tmp_path / "new")

    assert {file.name for file in (tmp_path / "new").iterdir()} == {
        "checksums.json",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert report.kind == "authors"
    assert not report.encoder_only
    assert any("10 m" in note for note in report.notes)
    again = GLPNForDepthEstimation.from_pretrained(tmp_path / "new")
    assert again.config.layer_norm_convention == "authors"
    pixels = photograph(64, 96)
    torch.testing.assert_close(again(pixels)[0], model(pixels)[0], rtol=0, atol=0)


def test_b4_has_890_authors_names_and_972_here_and_the_way_back_is_exact(tmp_path: Path) -> None:
    state = authors_state(disk_state(network(B4_DEPTHS)))
    torch.save(state, tmp_path / "theirs.ckpt")
    there = conversion.convert(tmp_path / "theirs.ckpt", tmp_path / "folder", max_depth=80)
    back = conversion.convert(tmp_path / "folder", tmp_path / "back.ckpt", form="authors")
    assert (there.read, there.written) == (890, 972)
    assert (back.read, back.written) == (972, 890)
    assert there.config.depths == B4_DEPTHS
    assert there.config.max_depth == back.config.max_depth == 80
    assert not there.notes
    assert_same(torch.load(tmp_path / "back.ckpt", weights_only=True), state)


def test_key_comes_before_value_in_the_authors_matrix(tmp_path: Path) -> None:
    state = authors_state(disk_state(network()))
    matrix = state["encoder.block2.0.attn.kv.weight"]
    matrix[:16] = 1.0
    matrix[16:] = 2.0
    torch.save(state, tmp_path / "x.ckpt")
    conversion.convert(tmp_path / "x.ckpt", tmp_path / "new")
    attention = GLPNForDepthEstimation.from_pretrained(tmp_path / "new").glpn.encoder.stages[1]
    assert (attention.blocks[0].attention.key.weight == 1).all()
    assert (attention.blocks[0].attention.value.weight == 2).all()


# --- Hugging Face files ----------------------------------------------------------------------


def test_a_pickled_folder_keeps_its_configuration(tmp_path: Path) -> None:
    model = network(max_depth=40, hidden_act="relu", custom_key="kept")
    model.save_pretrained(tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").unlink()
    torch.save(disk_state(model), tmp_path / "old" / "pytorch_model.bin")
    report = conversion.convert(tmp_path / "old", tmp_path / "new", variant="custom")
    again = GLPNForDepthEstimation.from_pretrained(tmp_path / "new")
    assert report.kind == "huggingface"
    assert not report.notes
    assert again.config.custom_key == "kept"
    assert (again.config.max_depth, again.config.hidden_act) == (40, "relu")
    assert_same(again.state_dict(), model.state_dict())


def test_a_pickle_without_a_configuration_tells_its_own_numbers(tmp_path: Path) -> None:
    model = network(
        depths=(1, 2, 1, 1),
        sr_ratios=(4, 2, 1, 1),
        mlp_ratios=(4, 4, 2, 4),
        patch_sizes=(7, 5, 3, 3),
        decoder_hidden_size=12,
        num_channels=4,
    )
    torch.save(disk_state(model), tmp_path / "weights.bin")
    report = conversion.convert(tmp_path / "weights.bin", tmp_path / "new", max_depth=10)
    config = report.config.to_dict()
    config.pop("custom_key", None)
    assert config == model.config.to_dict()


def test_b0_has_250_names(tmp_path: Path) -> None:
    torch.save(disk_state(GLPNForDepthEstimation(GLPNConfig())), tmp_path / "b0.bin")
    report = conversion.convert(tmp_path / "b0.bin", tmp_path / "new", variant="b0")
    assert (report.read, report.written) == (250, 250)
    assert report.config == GLPNConfig()


def test_a_folder_with_one_checkpoint_of_any_name_is_converted(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    torch.save(authors_state(disk_state(network())), source / "best.ckpt")
    report = conversion.convert(source, tmp_path / "new")
    assert report.config.depths == (2, 1, 1, 1)
    (source / "last.ckpt").write_bytes((source / "best.ckpt").read_bytes())
    with pytest.raises(
        CheckpointError, match=r"2 pickles \(best\.ckpt, last\.ckpt\); give the path"
    ):
        conversion.convert(source, tmp_path / "other")


def test_a_configuration_that_the_tensors_contradict_is_refused(tmp_path: Path) -> None:
    model = network()
    model.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(model.config.replace(depths=(2, 2, 1, 1)).to_json())
    with pytest.raises(CheckpointError, match=r"missing: glpn\.encoder\.block\.1\.1"):
        conversion.convert(tmp_path, tmp_path / "new")


def test_another_variant_than_asked_for_is_refused(tmp_path: Path) -> None:
    network().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"'b4'.*'custom'"):
        conversion.convert(tmp_path, tmp_path / "new", variant="b4")


# --- encoders --------------------------------------------------------------------------------


def test_an_imagenet_file_becomes_an_encoder_without_its_classifier(tmp_path: Path) -> None:
    model = network(layer_norm_convention="authors")
    encoder = weights.to_disk_names(model.glpn.state_dict(), prefix="glpn.")
    state = {name.removeprefix("encoder."): value for name, value in authors_state(encoder).items()}
    state |= {"head.weight": torch.ones(1000, 64), "head.bias": torch.ones(1000)}
    torch.save(state, tmp_path / "mit_b0.pth")
    report = conversion.convert(tmp_path / "mit_b0.pth", tmp_path / "mit")
    assert report.kind == "mit"
    assert report.encoder_only
    assert any("2 tensors" in note for note in report.notes)
    assert {file.name for file in (tmp_path / "mit").iterdir()} == {
        "checksums.json",
        "config.json",
        "model.safetensors",
    }
    again = GLPNModel.from_pretrained(tmp_path / "mit")
    assert again.config.layer_norm_convention == "authors"
    assert_same(again.state_dict(), model.glpn.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("head", ["classification", "segmentation", "none"])
@pytest.mark.parametrize("pickled", [False, True])
def test_a_segformer_of_transformers_starts_a_depth_network(
    tmp_path: Path, head: str, pickled: bool
) -> None:
    transformers = pytest.importorskip("transformers")
    kinds = {
        "classification": transformers.SegformerForImageClassification,
        "segmentation": transformers.SegformerForSemanticSegmentation,
        "none": transformers.SegformerModel,
    }
    fields = {"hidden_sizes": [8, 16, 40, 64], "depths": [1, 1, 2, 1]}
    theirs = kinds[head](
        transformers.SegformerConfig(**fields, num_attention_heads=[2, 4, 5, 8])
    ).eval()
    source = tmp_path / "segformer"
    theirs.save_pretrained(source)
    if pickled:
        torch.save(weights.read_tensors(source), source / "pytorch_model.bin")
        (source / "model.safetensors").unlink()

    report = conversion.convert(source, tmp_path / "encoder")

    assert (report.kind, report.encoder_only) == ("segformer", True)
    ours = GLPNModel.from_pretrained(tmp_path / "encoder")
    pixels = photograph(64, 96)
    with torch.no_grad():
        wanted = getattr(theirs, "segformer", theirs)(pixels).last_hidden_state
        difference = ours(pixels).last_hidden_state - wanted
    assert difference.abs().max() <= 1e-5 * wanted.abs().max()
    whole = GLPNForDepthEstimation(ours.config)
    whole.glpn.load_state_dict(foreign.encoder_state(tmp_path / "encoder"))
    if not pickled:
        assert_same(foreign.encoder_state(source), ours.state_dict())


def test_an_encoder_is_taken_out_of_a_whole_network(tmp_path: Path) -> None:
    model = network()
    model.save_pretrained(tmp_path)
    assert_same(foreign.encoder_state(tmp_path), model.glpn.state_dict())


def test_training_never_opens_a_pickle(tmp_path: Path) -> None:
    torch.save({"patch_embed1.proj.weight": torch.ones(1)}, tmp_path / "mit_b0.pth")
    with pytest.raises(CheckpointError, match="glpn convert"):
        foreign.encoder_state(tmp_path / "mit_b0.pth")


# --- hostile and damaged sources -------------------------------------------------------------


class Bomb:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".ckpt", ".pth"])
@pytest.mark.parametrize("modern", [True, False])
def test_a_pickle_bomb_is_refused_and_never_goes_off(
    tmp_path: Path, suffix: str, modern: bool
) -> None:
    canary = tmp_path / "canary"
    file = tmp_path / f"bomb{suffix}"
    contents = {"encoder.patch_embed1.proj.weight": Bomb(canary)}
    torch.save(contents, file, _use_new_zipfile_serialization=modern)
    with pytest.raises(CheckpointError, match="more than plain tensors") as refusal:
        conversion.convert(file, tmp_path / "new")
    assert "weights_only" not in str(refusal.value)
    assert not canary.exists()
    assert not (tmp_path / "new").exists()


def compressed_bomb(file: Path) -> None:
    """A genuine checkpoint whose one tensor is 160 MB of zeros, packed into under 1 MB."""
    torch.save({"a": torch.zeros(40 * 2**20)}, file.with_suffix(".plain"))
    with (
        zipfile.ZipFile(file.with_suffix(".plain")) as plain,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed,
    ):
        for entry in plain.infolist():
            packed.writestr(entry.filename, plain.read(entry))
    file.with_suffix(".plain").unlink()


def lying_bomb(file: Path) -> None:
    """A checkpoint whose directory declares 40 GB for an entry of a few bytes."""
    torch.save({"a": torch.zeros(4)}, file)
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
        archive.getinfo(archive.namelist()[-1]).file_size = 40 * 10**9


def repeating_bomb(file: Path) -> None:
    """4 bytes that claim, by strides of zero, to be a matrix of 4 TB."""
    name = "encoder.patch_embed1.proj.weight"
    torch.save({name: torch.zeros(1).expand(10**6, 10**6)}, file)


@pytest.mark.slow
def test_refusing_size_bombs_costs_no_memory(tmp_path: Path) -> None:
    bombs = (compressed_bomb, lying_bomb, repeating_bomb)
    for bomb in bombs:
        bomb(tmp_path / f"{bomb.__name__}.ckpt")
    files = [str(tmp_path / f"{bomb.__name__}.ckpt") for bomb in bombs]
    code = f"""
import resource, torch
from glpn.weights import conversion
from glpn.errors import CheckpointError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for file in {files!r}:
    try:
        conversion.convert(file, {str(tmp_path / "new")!r})
    except CheckpointError as e:
        assert "bytes in a file of" in str(e), e
    else:
        raise SystemExit("accepted")
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
assert grown < 100 * 1024, grown
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "contents", [[1, 2], torch.ones(2), {}, {"a": 1}, {"a": "text"}, {1: torch.ones(1)}, None]
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, contents: Any) -> None:
    torch.save(contents, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"x\.ckpt"):
        conversion.convert(tmp_path / "x.ckpt", tmp_path / "new")


def test_tensors_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"backbone.stem.weight": torch.ones(3)}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"backbone\.stem\.weight"):
        conversion.convert(tmp_path / "x.ckpt", tmp_path / "new")


@pytest.mark.parametrize("shape", [(), (0, 3, 7, 7), (8,), (10**5, 3, 7, 7)])
def test_a_first_tensor_of_impossible_shape_is_refused(
    tmp_path: Path, shape: tuple[Any, ...]
) -> None:
    state = authors_state(disk_state(network()))
    state["encoder.patch_embed1.proj.weight"] = torch.ones(shape)
    torch.save(state, tmp_path / "x.ckpt")
    with pytest.raises((CheckpointError, ConfigError)):
        conversion.convert(tmp_path / "x.ckpt", tmp_path / "new")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path: Path, value: Any) -> None:
    state = authors_state(disk_state(network()))
    state["encoder.norm3.bias"][5] = value
    torch.save(state, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"glpn\.encoder\.layer_norm\.2\.bias"):
        conversion.convert(tmp_path / "x.ckpt", tmp_path / "new")


def test_missing_and_left_over_tensors_are_refused_by_name(tmp_path: Path) -> None:
    state = authors_state(disk_state(network()))
    del state["encoder.norm3.bias"]
    state["encoder.norm9.bias"] = torch.ones(1)
    torch.save(state, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"1 missing: glpn\.encoder\.layer_norm\.2\.bias"):
        conversion.convert(tmp_path / "x.ckpt", tmp_path / "new")


def test_every_cut_of_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save(authors_state(disk_state(network())), tmp_path / "whole.ckpt")
    data = (tmp_path / "whole.ckpt").read_bytes()
    for share in (0, 0.01, 0.25, 0.5, 0.99):
        (tmp_path / "cut.ckpt").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(CheckpointError, match=r"cut\.ckpt"):
            conversion.convert(tmp_path / "cut.ckpt", tmp_path / "new")


def test_a_missing_source_a_bad_form_and_a_bad_destination_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="absent"):
        conversion.convert(tmp_path / "absent.ckpt", tmp_path / "new")
    network().save_pretrained(tmp_path / "model")
    with pytest.raises(UsageError, match="'onnx'"):
        conversion.convert(tmp_path / "model", tmp_path / "new", form="onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotCreateOutput, match="file"):
        conversion.convert(tmp_path / "model", tmp_path / "file")
