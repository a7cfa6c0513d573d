"""The loop's smaller parts, against values worked by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
from glpn.camera.camera import Camera
from glpn.data.sample import Sample
from glpn.depth.colormaps import UNKNOWN_COLOR
from glpn.depth.legend import legend
from glpn.errors import ConfigError
from glpn.training.data import (
    KeptFrames,
    canonical,
    focal_ratio,
    open_datasets,
    open_frames,
    scaled,
)
from glpn.training.log import Display
from glpn.training.optimiser import AveragedNetwork, build_optimiser, set_rate
from glpn.training.options import DataOptions, MixOptions, OptimiserOptions
from glpn.training.validation import Picture, write_pictures
from tests.training.runs import write_frames

TINY = GLPNConfig(hidden_sizes=(8, 16, 40, 64), depths=(2, 1, 1, 1), decoder_hidden_size=16)


def network() -> GLPNForDepthEstimation:
    torch.manual_seed(0)
    return GLPNForDepthEstimation(TINY)


def test_each_block_learns_slower_than_the_one_above() -> None:
    net = network()
    options = OptimiserOptions(kind="adamw", layer_decay=0.5, weight_decay=0.1)
    optimiser = build_optimiser(dict(net.named_parameters()), TINY.depths, options)
    set_rate(optimiser, 2.0)
    settings = {
        id(parameter): (group["lr"], group["weight_decay"])
        for group in optimiser.param_groups
        for parameter in group["params"]
    }
    found = {name: settings[id(parameter)] for name, parameter in net.named_parameters()}
    assert len(found) == len(settings)
    # blocks from the top: 1 (stage 3), 2 (stage 2), 3 (stage 1), 4 and 5 (stage 0)
    stages = "glpn.encoder.stages"
    assert found["head.conv1.weight"] == (2.0, 0.1)
    assert found["decoder.stages.1.fusion.norm1.weight"] == (2.0, 0.0)
    assert found[f"{stages}.3.blocks.0.attention.query.weight"] == (1.0, 0.1)
    assert found[f"{stages}.3.embed.proj.bias"] == (1.0, 0.0)
    assert found[f"{stages}.1.norm.weight"] == (0.25, 0.0)
    assert found[f"{stages}.0.blocks.1.ffn.expand.weight"] == (0.125, 0.1)
    assert found[f"{stages}.0.norm.bias"] == (0.125, 0.0)
    assert found[f"{stages}.0.blocks.0.ffn.expand.weight"] == (0.0625, 0.1)
    assert found[f"{stages}.0.embed.proj.weight"] == (0.0625, 0.1)


def test_the_average_follows_quickly_at_first_and_slowly_later() -> None:
    net = network()
    average = AveragedNetwork(net, 0.5)
    bias, own = average.network.head.conv2.bias, net.head.conv2.bias
    assert bias is not None and own is not None
    with torch.no_grad():
        bias.zero_()
        own.fill_(1.0)
    average.update(net, step=0)  # keeps 1/10 of 0
    assert bias.item() == pytest.approx(0.9)
    average.update(net, step=1)  # keeps 2/11 of 0.9
    assert bias.item() == pytest.approx(0.9 * 2 / 11 + 9 / 11)
    with torch.no_grad():
        own.fill_(3.0)
    before = bias.item()
    average.update(net, step=100)  # 101/110 is more than 0.5
    assert bias.item() == pytest.approx((before + 3) / 2)
    assert not average.network.training
    assert bias.requires_grad is False


def test_frames_come_at_the_size_that_the_processor_gives_photographs() -> None:
    depth = np.repeat(np.arange(1, 5, dtype=np.float32), 32)[:, None] * np.ones(
        (1, 192), np.float32
    )
    frame = Sample("a", np.zeros((128, 192, 3), np.uint8), depth)
    small = scaled(frame, GLPNImageProcessor(short_side=64))
    assert small.image.shape == (64, 96, 3)
    assert small.depth.shape == (64, 96)
    assert small.depth[:, 0].tolist() == [1] * 16 + [2] * 16 + [3] * 16 + [4] * 16
    assert scaled(frame, GLPNImageProcessor()) is frame


def test_frames_of_two_cameras_get_the_metres_of_one() -> None:
    depth = np.full((64, 96), 2.0, np.float32)
    image = np.zeros((64, 96, 3), np.uint8)
    cameras = (Camera(80, 80, 48, 32, "given"), Camera(40, 40, 48, 32, "given"), None)
    frames = (Sample("x", image, depth, None, camera) for camera in cameras)
    one = [canonical(frame, ratio=1.25) for frame in frames]  # that of the first: 80 / 64
    assert [float(frame.depth[0, 0]) for frame in one] == pytest.approx([2.0, 4.0, 2.0])


def test_a_mix_has_a_focal_ratio_only_if_all_its_datasets_have_the_same() -> None:
    def of(*focals: float | None) -> KeptFrames:
        image, depth = np.zeros((64, 96, 3), np.uint8), np.ones((64, 96), np.float32)
        cameras = (f and Camera(f, f, 48, 32, "given") for f in focals)
        return KeptFrames(tuple(Sample("x", image, depth, None, c or None) for c in cameras))

    assert focal_ratio([of(80, 80)]) == pytest.approx(80 / 64)
    assert focal_ratio([of(80, 80), of(81, 81)]) == pytest.approx(80 / 64)
    assert focal_ratio([of(80, 80), of(40, 40)]) is None
    assert focal_ratio([of(80, 80), of(None, None)]) is None
    assert focal_ratio([of(80, 40)]) is None
    assert focal_ratio([]) is None


def test_the_last_share_of_a_folder_is_held_out_in_one_block(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "set", 10)
    train, held_out = open_frames(DataOptions(train=str(folder), val_share=0.25))
    assert train.names == tuple(f"{i:03d}" for i in range(8))
    assert held_out is not None
    assert held_out.names == ("008", "009")
    train, held_out = open_frames(DataOptions(train=str(folder), limit=4))
    assert (train.names, held_out) == (("000", "003", "006", "009"), None)
    with pytest.raises(ConfigError, match="val_share"):
        open_frames(DataOptions(train=str(folder), limit=None, val_share=0.99))


def test_frames_that_a_list_or_a_split_holds_out_are_not_trained_on(tmp_path: Path) -> None:
    folder = write_frames(tmp_path / "set", 6)
    (tmp_path / "val.txt").write_text("001\n\n004\r\n")
    (folder / "val.txt").write_text("rgb/001.png depth/001.png\nrgb/004.png depth/004.png\n")
    (tmp_path / "all.txt").write_text("".join(f"00{i}\n" for i in range(6)))
    by_list, by_split = {"val_list": str(tmp_path / "val.txt")}, {"val_split": "val"}
    for chosen in (by_list, by_split, {**by_list, "val_limit": 1}, {**by_list, "val": str(folder)}):
        train, held_out = open_frames(DataOptions(train=str(folder), **chosen))
        assert train.names == ("000", "002", "003", "005")
        assert held_out is not None
        assert held_out.names == (("001",) if "val_limit" in chosen else ("001", "004"))
    assert "2 frames held out" in train.notes[-1]
    mix = {"a": MixOptions(str(folder)), "b": MixOptions(str(write_frames(tmp_path / "b", 6)))}
    mixed, _ = open_datasets(DataOptions(mix=mix, val=str(folder), **by_list), batch=2)
    assert [len(dataset.frames) for dataset in mixed] == [4, 6]
    with pytest.raises(ConfigError, match=r"data\.val_list.*no frame is left for training"):
        open_frames(DataOptions(train=str(folder), val_list=str(tmp_path / "all.txt")))


@pytest.mark.slow
def test_the_first_signal_is_a_wish_and_the_second_acts() -> None:
    """In a process of its own: sent to one that runs many tests, the second ended it at times."""
    script = """
        import os, signal
        from glpn.concurrency import StopRequested, StopSignals

        signal.signal(signal.SIGINT, signal.default_int_handler)
        with StopSignals() as signals:
            signals.pause()
            os.kill(os.getpid(), signal.SIGINT)
            print(signals.received == signal.SIGINT)
            try:
                signals.pause()
            except StopRequested:
                print("a wish")
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                print("at once")
    """
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True
    )
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout.splitlines() == ["True", "a wish", "at once"]


def test_pictures_of_validation_frames_end_in_a_legend(tmp_path: Path) -> None:
    metres = np.tile(np.linspace(1, 5, 320, dtype=np.float32), (240, 1))
    metres[:40] = 0
    image = np.full((240, 320, 3), 90, np.uint8)
    write_pictures([Picture(image, metres, metres)] * 2, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    known = metres[metres > 0]
    strip = legend(240, "inferno", *np.percentile(known, (2, 98)))
    assert pixels.shape == (480, 960 + strip.shape[1], 3)
    np.testing.assert_array_equal(pixels[:240, 960:], strip)
    assert (pixels[:40, 320:960] == UNKNOWN_COLOR).all()


def test_progress_without_a_reader_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = os.pipe()
    os.close(ours)  # as a `tee` that ended with its terminal
    stream = os.fdopen(theirs, "w")
    monkeypatch.setattr(sys, "stderr", stream)
    with Display(tmp_path, progress=True, tensorboard=False) as display:
        display.log("one")
        display.report({"kind": "train", "step": 1, "loss": 0.5})
    with pytest.raises(BrokenPipeError):
        stream.close()
    assert (tmp_path / "speed.jsonl").read_text().count("\n") == 1
