"""What the loop promises: the same numbers every time, and a stop that names what is wrong."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import glpn
from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNModel
from glpn.data.datasets import open_dataset
from glpn.errors import ConfigError, DataError, MissingInput
from glpn.training import train
from glpn.training.checkpoint import list_checkpoints, newest_checkpoint
from glpn.training.recipe import read_recipe
from glpn.training.step import _step_seed
from tests.data.rooms import room
from tests.training.runs import SIZE, log_of, tiny_recipe, write_frame, write_frames

RECIPES = Path(glpn.__file__).parent / "training/recipes"
GOLDEN = Path(__file__).parents[1] / "golden/training.json"


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_frames(tmp_path_factory.mktemp("frames") / "set", 8)


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in log_of(run)]


@pytest.mark.slow
def test_losses_are_the_golden_ones(frames: Path, tmp_path: Path) -> None:
    train(tiny_recipe(frames, tmp_path))
    golden = json.loads(GOLDEN.read_text())
    # processors of one capability round differently too: the bits are held by repeating a run
    assert losses(tmp_path) == pytest.approx(golden["losses"], rel=1e-5)


@pytest.mark.slow
def test_a_run_repeats_itself_and_another_seed_does_not(frames: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny_recipe(frames, tmp_path / name, f"loop.seed={seed}", "loop.steps=3"))
    assert losses(tmp_path / "a") == losses(tmp_path / "b") != losses(tmp_path / "c")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["run.workers=1", "data.keep=memory"])
def test_how_frames_are_read_does_not_change_what_is_learnt(
    frames: Path, tmp_path: Path, how: str
) -> None:
    train(tiny_recipe(frames, tmp_path / "plain", "loop.steps=3"))
    train(tiny_recipe(frames, tmp_path / "other", "loop.steps=3", how))
    assert losses(tmp_path / "plain") == losses(tmp_path / "other")


@pytest.mark.slow
def test_frames_kept_on_the_device_are_augmented_alike(frames: Path, tmp_path: Path) -> None:
    train(tiny_recipe(frames, tmp_path / "disk", "loop.steps=1"))
    train(tiny_recipe(frames, tmp_path / "device", "loop.steps=1", "data.keep=device"))
    # but for the rounding to 8 bits between the augmentations on the CPU
    assert losses(tmp_path / "device") == pytest.approx(losses(tmp_path / "disk"), abs=2e-3)


@pytest.mark.slow
def test_it_learns_four_frames_by_heart(frames: Path, tmp_path: Path) -> None:
    result = train(
        tiny_recipe(
            frames,
            tmp_path,
            "data.val_share=0",
            f"data.val={frames}",
            "data.limit=4",
            "data.val_limit=4",
            "augment.crop=none",
            "augment.cutdepth=none",
            "augment.flip_probability=0",
            "augment.hsv_probability=0",
            "model.config.drop_path_rate=0",
            "model.config.hidden_dropout_prob=0",
            "model.config.max_depth=6",
            "schedule.kind=one-cycle",
            "schedule.rate=5e-3",
            "loop.steps=80",
            "loop.validate_every=80",
            "run.save_every=80",
        )
    )
    first, last = log_of(tmp_path, "validation")
    assert result.metrics is not None
    assert result.metrics.abs_rel == last["abs_rel"] < 0.12 < first["abs_rel"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        "loop.accumulate=2",
        "loop.precision=bf16",
        "loop.precision=fp16",
        "loop.checkpointing=true",
        "loop.ema=0",
        "optimiser.kind=adam",
        "optimiser.kind=muon",
        "optimiser.layer_decay=0.8",
        "model.config.fusion=sum",
        "augment.cutdepth=square",
        "run.tensorboard=true",
        "schedule.warmup=2",
    ],
)
def test_every_option_trains(frames: Path, tmp_path: Path, change: str) -> None:
    result = train(tiny_recipe(frames, tmp_path, "loop.steps=2", change))
    assert result.step == 2
    assert all(math.isfinite(loss) for loss in losses(tmp_path))
    assert result.best == min(line["abs_rel"] for line in log_of(tmp_path, "validation"))


@pytest.mark.slow
def test_gradient_checkpointing_changes_nothing_but_memory(frames: Path, tmp_path: Path) -> None:
    for name in ("false", "true"):
        recipe = tiny_recipe(frames, tmp_path / name, "loop.steps=3", f"loop.checkpointing={name}")
        train(recipe)
    assert losses(tmp_path / "true") == pytest.approx(losses(tmp_path / "false"), rel=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # the compiler's own imports
def test_a_compiled_step_computes_the_same(frames: Path, tmp_path: Path) -> None:
    calm = ("loop.steps=2", "model.config.drop_path_rate=0", "model.config.hidden_dropout_prob=0")
    train(tiny_recipe(frames, tmp_path / "eager", *calm))
    train(tiny_recipe(frames, tmp_path / "compiled", *calm, "loop.compile=true"))
    assert losses(tmp_path / "compiled") == pytest.approx(losses(tmp_path / "eager"), rel=1e-4)


@pytest.mark.slow
def test_best_and_last_are_models_that_predict_what_was_validated(
    frames: Path, tmp_path: Path
) -> None:
    result = train(tiny_recipe(frames, tmp_path, "data.short_side=32", "augment.crop=[32, 32]"))
    estimator = glpn.load(tmp_path / "last", engine="torch", device="cpu")
    assert estimator.processor.short_side == 32
    depths = list(estimator([frames / "rgb/006.png", frames / "rgb/007.png"]))
    errors = []
    for index, depth in zip((6, 7), depths, strict=True):
        from PIL import Image

        target = np.asarray(Image.open(frames / f"depth/{index:03d}.png")) / 1000
        valid = (target > 1e-3) & (target < 10)
        errors.append((np.abs(depth.metres - target) / target)[valid].mean())
    assert result.metrics is not None
    assert np.mean(errors) == pytest.approx(result.metrics.abs_rel, rel=1e-5)
    assert GLPNForDepthEstimation.from_pretrained(tmp_path / "best").config.max_depth == 10


@pytest.mark.slow
def test_it_stops_when_nothing_is_gained(frames: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(
        frames,
        tmp_path,
        "loop.steps=50",
        "loop.validate_every=1",
        "loop.patience=2",
        "loop.metric=delta1",  # 0 for a network that learns nothing
        "schedule.kind=constant",
        "schedule.rate=0",
    )
    result = train(recipe)
    assert (result.step, result.stopped_by, result.best) == (2, None, 0)
    assert train(recipe, resume=True).step == 2


@pytest.mark.slow
def test_pictures_of_validation_frames_are_written(frames: Path, tmp_path: Path) -> None:
    train(tiny_recipe(frames, tmp_path, "loop.steps=2", "run.samples=2"))
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["step-00000000.png", "step-00000002.png"]


def test_the_frames_learnt_and_held_out_are_recorded_as_lists(frames: Path, tmp_path: Path) -> None:
    result = train(tiny_recipe(frames, tmp_path / "run", "loop.steps=1"))
    assert result.held_out is not None
    assert result.held_out == tmp_path / "run/held_out.txt"
    assert result.held_out.read_text().split() == ["006", "007"]
    learnt = (tmp_path / "run/trained_on.txt").read_text().split()
    assert learnt == [f"{i:03d}" for i in range(6)]
    assert open_dataset(frames, frame_list=result.held_out).names == ("006", "007")
    assert result.validated == result.step == 1


@pytest.mark.slow
def test_a_fine_tuned_model_inherits_the_terms_of_its_start(frames: Path, tmp_path: Path) -> None:
    start = ("model.start=glpn-b0-indoor", "model.config={}", "loop.steps=1")
    train(tiny_recipe(frames, tmp_path / "run", *start))
    card = (tmp_path / "run/last/README.md").read_text()
    bundled = (Path(glpn.__file__).parent / "models/glpn-b0-indoor/README.md").read_text()
    licence = next(line for line in bundled.splitlines() if line.startswith("license"))
    assert licence in card.splitlines()
    assert "base_model: glpn-b0-indoor" in card
    assert "## Terms" in card
    train(tiny_recipe(frames, tmp_path / "random", "loop.steps=1"))
    assert not (tmp_path / "random/last/README.md").exists()


# --- where it starts -----------------------------------------------------------------------


@pytest.mark.slow
def test_it_starts_from_a_whole_model_and_keeps_its_scale(frames: Path, tmp_path: Path) -> None:
    train(tiny_recipe(frames, tmp_path / "first", "data.short_side=32", "augment.crop=[32, 32]"))
    start = tmp_path / "first/last"
    recipe = tiny_recipe(
        frames, tmp_path / "second", "augment.crop=[32, 32]", f"model.start={start}"
    ).to_dict()
    recipe["model"]["config"] = {"drop_path_rate": 0.0}
    train(type(tiny_recipe(frames, tmp_path)).from_dict(recipe))
    (first, *_), (*_, last) = (
        log_of(tmp_path / name, "validation") for name in ("second", "first")
    )
    assert {k: v for k, v in first.items() if k != "step"} == {
        k: v for k, v in last.items() if k != "step"
    }
    config = GLPNForDepthEstimation.from_pretrained(tmp_path / "second/last").config
    assert config.drop_path_rate == 0
    assert config.decoder_hidden_size == 16


@pytest.mark.slow
def test_it_starts_from_an_encoder_alone(frames: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    config = GLPNConfig(hidden_sizes=(8, 16, 40, 64), depths=(1, 1, 1, 1))
    encoder = GLPNModel(config)
    encoder.save_pretrained(tmp_path / "encoder")
    train(
        tiny_recipe(
            frames,
            tmp_path / "run",
            f"model.encoder={tmp_path / 'encoder'}",
            "schedule.kind=constant",
            "schedule.rate=0",
            "loop.steps=1",
        )
    )
    trained = GLPNForDepthEstimation.from_pretrained(tmp_path / "run/last")
    for name, value in encoder.state_dict().items():
        assert torch.equal(trained.glpn.state_dict()[name], value)


@pytest.mark.slow
def test_frozen_parameters_stay_and_unknown_ones_are_refused(frames: Path, tmp_path: Path) -> None:
    train(tiny_recipe(frames, tmp_path, "optimiser.freeze=['glpn']", "run.save_every=1"))
    checkpoint, _ = newest_checkpoint(tmp_path / "checkpoints")
    assert checkpoint is not None
    moments = {n.split(":")[0] for n in checkpoint.tensors if n.startswith("optimiser.")}
    assert moments
    assert not any(name.startswith("optimiser.glpn") for name in moments)
    for names, message in (
        ("['encoder']", "no parameter"),
        ("['glpn','decoder','head']", "left to train"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(tiny_recipe(frames, tmp_path / "no", f"optimiser.freeze={names}"))


# --- what can be wrong ---------------------------------------------------------------------


def test_a_loss_that_is_no_number_stops_before_the_update_and_names_the_frames(
    frames: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(
        frames, tmp_path, "schedule.kind=constant", "schedule.rate=1e18", "run.save_every=1"
    )
    with pytest.raises(DataError, match=r"step \d: the (loss|gradient) is nan.*frames: 00") as e:
        train(recipe)
    assert e.value.exit_code == 65
    stopped_at = int(str(e.value).split()[1].rstrip(":"))
    checkpoint, complaints = newest_checkpoint(tmp_path / "checkpoints")
    assert not complaints
    assert checkpoint is not None
    assert checkpoint.step == stopped_at - 1


@pytest.mark.slow
def test_maps_without_a_valid_pixel_are_skipped_and_counted(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "set", 4)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    write_frame(frames, "000", image, np.zeros(SIZE))
    changes = ("data.val_share=0", "loop.steps=4", "loop.ema=0")
    train(tiny_recipe(frames, tmp_path / "one", *changes))
    lines = log_of(tmp_path / "one")
    assert [line["empty"] for line in lines] == [1, 2, 3, 4]
    assert all(math.isfinite(line["loss"]) for line in lines)
    for index in range(1, 4):
        write_frame(frames, f"{index:03d}", image, np.zeros(SIZE))
    train(tiny_recipe(frames, tmp_path / "all", *changes, "loop.log_every=100"))
    lines = log_of(tmp_path / "all")
    assert [line["skipped"][:8] for line in lines] == ["no frame"] * 4
    checkpoint, _ = newest_checkpoint(tmp_path / "all/checkpoints")
    assert checkpoint is not None
    assert not any(name.startswith("optimiser.") for name in checkpoint.tensors)


def test_depth_beyond_the_networks_reach_is_unknown_to_it(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "set", 4)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    write_frame(frames, "000", image, np.full(SIZE, 30.0))
    train(tiny_recipe(frames, tmp_path / "run", "data.val_share=0", "loop.steps=1"))
    assert log_of(tmp_path / "run")[0]["empty"] == 1


def test_depth_beyond_the_networks_reach_can_stay_a_target(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "set", 4)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    write_frame(frames, "000", image, np.full(SIZE, 30.0))
    recipe = ("data.val_share=0", "loop.steps=1", "loop.beyond_max_depth=learn")
    train(tiny_recipe(frames, tmp_path / "run", *recipe))
    assert log_of(tmp_path / "run")[0]["empty"] == 0


def test_an_all_invalid_validation_frame_is_an_error_before_the_first_step(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "set", 4)
    write_frame(frames, "003", np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE))
    with pytest.raises(DataError, match="003"):
        train(tiny_recipe(frames, tmp_path / "run"))
    assert not log_of(tmp_path / "run")


@pytest.mark.slow
def test_a_frame_that_disappears_stops_the_run_by_name_and_the_checkpoint_is_sound(
    tmp_path: Path,
) -> None:
    frames = write_frames(tmp_path / "set", 8)
    recipe = tiny_recipe(frames, tmp_path / "run", "loop.steps=100000", "run.save_every=1")

    def remove_when_it_runs() -> None:
        while len(list_checkpoints(tmp_path / "run/checkpoints")) < 3:
            time.sleep(0.01)
        (frames / "rgb/002.png").unlink()

    remover = threading.Thread(target=remove_when_it_runs)
    remover.start()
    with pytest.raises(MissingInput, match=r"002\.png"):
        train(recipe)
    remover.join()
    assert newest_checkpoint(tmp_path / "run/checkpoints")[1] == []


@pytest.mark.slow
def test_a_killed_reading_process_is_a_clear_error_and_no_hang(
    frames: Path, tmp_path: Path
) -> None:
    recipe = tiny_recipe(frames, tmp_path, "loop.steps=100000", "run.workers=1")

    def kill_a_reader() -> None:
        while not (tmp_path / "log.jsonl").exists() or len(log_of(tmp_path)) < 3:
            time.sleep(0.01)
        for process in psutil.Process().children():
            if "spawn_main" in " ".join(process.cmdline()):
                killed_at.append(time.monotonic())
                os.kill(process.pid, signal.SIGKILL)

    killed_at: list[float] = []
    killer = threading.Thread(target=kill_a_reader)
    killer.start()
    with pytest.raises(DataError, match=r"process that reads frames was killed.*run\.workers"):
        train(recipe)
    killer.join()
    assert time.monotonic() - killed_at[0] < 60


def test_bad_pairs_are_refused_before_the_first_step(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "set", 4)
    write_frame(frames, "002", np.zeros((*SIZE, 3), np.uint8), np.ones((80, 96)))
    with pytest.raises(DataError, match=r"1 frame .*002"):
        train(tiny_recipe(frames, tmp_path / "run"))
    assert not (tmp_path / "run/log.jsonl").exists()


@pytest.mark.slow
def test_a_photo_without_depth_is_reported_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = write_frames(tmp_path / "set", 4)
    (frames / "depth/002.png").unlink()
    train(tiny_recipe(frames, tmp_path / "run", "run.progress=true"))
    shown = capsys.readouterr().err
    assert "left out: 1 file" in shown
    assert "002" in shown
    names = [(tmp_path / "run" / f"{part}.txt").read_text() for part in ("trained_on", "held_out")]
    assert sorted("".join(names).split()) == ["000", "001", "003"]


def test_the_doctor_lets_healthy_frames_train(tmp_path: Path) -> None:
    (tmp_path / "set/rgb").mkdir(parents=True)
    (tmp_path / "set/depth").mkdir()
    (tmp_path / "set/dataset.toml").write_text('unit = "mm"\n')
    for seed in range(8):
        frame = room(seed)
        write_frame(tmp_path / "set", frame.name, frame.image, frame.depth)
    recipe = tiny_recipe(tmp_path / "set", tmp_path / "run", "loop.steps=2", "run.doctor=true")
    assert train(recipe).step == 2


def test_the_doctor_stops_a_run_on_bad_data(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "set", 6)
    shutil.copy(frames / "depth/001.png", frames / "depth/000.png")
    for index in range(6):
        write_frame(frames, f"{index:03d}", np.full((*SIZE, 3), 9, np.uint8), np.zeros(SIZE))
    with pytest.raises(DataError, match="data check"):
        train(tiny_recipe(frames, tmp_path / "run", "run.doctor=true"))


def test_a_recipe_without_data_says_which_key_to_add(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.train=FOLDER"):
        train(read_recipe(RECIPES / "smoke.toml", [f"run.folder={tmp_path}"]))


def test_frames_of_different_sizes_need_a_crop(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "set", 3)
    write_frame(frames, "001", np.zeros((80, 96, 3), np.uint8), np.ones((80, 96)))
    changes = ("data.val_share=0", "augment.crop=none")
    with pytest.raises(DataError, match=r"set augment\.crop"):
        train(tiny_recipe(frames, tmp_path / "run", *changes))


def test_a_crop_larger_than_a_frame_names_the_frame(frames: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^00\d: crop"):
        train(tiny_recipe(frames, tmp_path, "augment.crop=[128, 128]"))


def test_every_step_has_random_numbers_of_its_own() -> None:
    seeds = {_step_seed(*key) for key in np.ndindex(5, 20, 3)}
    assert len(seeds) == 300


@pytest.mark.slow
def test_the_model_remembers_the_focal_length_it_learnt_from(tmp_path: Path) -> None:
    frames = write_frames(tmp_path / "set", 4)
    train(tiny_recipe(frames, tmp_path / "unknown", "loop.steps=1"))
    assert glpn.GLPNImageProcessor.from_pretrained(tmp_path / "unknown/last").focal_ratio is None
    (frames / "K.txt").write_text("80 0 48\n0 80 32\n0 0 1\n")
    (frames / "dataset.toml").write_text('unit = "mm"\nintrinsics = "K.txt"\n')
    known = (tmp_path / "known", "loop.steps=1", "model.start=glpn-b0-indoor", "model.config={}")
    train(tiny_recipe(frames, *known))
    processor = glpn.GLPNImageProcessor.from_pretrained(tmp_path / "known/last")
    assert processor.focal_ratio == pytest.approx(80 / SIZE[0])  # not the starting model's 1.081


@pytest.mark.slow
def test_the_best_model_keeps_its_errors_on_held_out_frames(frames: Path, tmp_path: Path) -> None:
    train(tiny_recipe(frames, tmp_path))
    depth = glpn.load(tmp_path / "best", engine="torch", device="cpu")(frames / "rgb/006.png")
    assert depth.relative_error > 0
    assert depth.provenance.error_data == "2 frames of its training, held out"
