"""The training data of the bundled models: sets of frames, and random windows of them.

All depth is converted to that of one camera, the Kinect of NYU Depth V2, whose focal length is
1.081 frame heights. Another camera with a focal length of r frame heights sees the same image at
another distance, so its depth is multiplied by 1.081 / r (Yin et al. 2023, Metric3D, section 3.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

NYU_INSIDE = (8, 8, 632, 472)  # left, top, right, bottom: nothing outside is real
NYU_FOCAL = 1.081  # the Kinect's 518.9 pixels over 480 rows
FRAME = (192, 256)  # the network's scale: a whole 480×640 frame is seen at this size
CROP = (160, 192)
STORED = 240  # rows of a whole frame as kept in memory
RENDERED = (216, 288)  # rooms and streets are rendered at this size
ROOMS = 8000
STREETS = 3000
INTERIORS = ("apartment", "lobby", "lab", "workshop", "hall", "warehouse", "studio")  # panoramas
FAR = 1.005  # share of the network's range beyond which depth counts as unknown


@dataclass(frozen=True)
class Frames:
    """One set: RGB uint8 [3, H, W], with metres [H, W] for the Kinect's focal length or without.

    Attributes:
        rows: of the whole frame at the scale of these arrays, which may be cut.
    """

    images: Sequence[Tensor]
    depths: Sequence[Tensor] | None
    rows: int

    def __len__(self) -> int:
        return len(self.images)


def nyu(data: Path, split: str) -> Frames:
    """The labelled frames of one split, the white border cut off."""
    images, depths = [], []
    for stem in (data / "nyu795" / f"{split}.txt").read_text().split():
        photo = Image.open(data / f"nyu795/rgb/{stem}.jpg").convert("RGB").crop(NYU_INSIDE)
        levels = Image.open(data / f"nyu795/depth/{stem}.png").crop(NYU_INSIDE)
        size = shrunk(photo.size, frame_rows=480)
        images.append(as_tensor(photo.resize(size, Image.Resampling.BILINEAR)))
        values = np.asarray(levels.resize(size, Image.Resampling.NEAREST), np.float32)
        depths.append(torch.from_numpy((values + 0.5) / 25.5))
    return Frames(images, depths, STORED)


def photographs(folder: Path, *, leave_out: Sequence[str] = ()) -> Frames:
    """Photos without depth; views of some panoramas can be left out."""
    images = []
    for path in sorted(folder.glob("*.jpg")):
        if path.stem.rpartition("_")[2] in leave_out:
            continue
        photo = Image.open(path).convert("RGB")
        size = shrunk(photo.size, frame_rows=photo.height)
        if min(size) >= 200:
            images.append(as_tensor(photo.resize(size, Image.Resampling.BILINEAR)))
    return Frames(images, None, STORED)


def office(data: Path) -> Frames:
    """The HoloLens frames, with the sensor's depth."""
    folder = data / "hololens_office"
    focal = np.loadtxt(folder / "K.txt")[1, 1]
    images, depths = [], []
    for path in sorted((folder / "rgb").iterdir()):
        photo = Image.open(path).convert("RGB")
        size = shrunk(photo.size, frame_rows=photo.height)
        images.append(as_tensor(photo.resize(size, Image.Resampling.BILINEAR)))
        levels = Image.open(folder / f"depth/{path.stem}.png").resize(
            size, Image.Resampling.NEAREST
        )
        metres = np.asarray(levels, np.float32) / 1000 * NYU_FOCAL * photo.height / focal
        depths.append(torch.from_numpy(metres.astype(np.float32)))
    return Frames(images, depths, STORED)


def rendered(folder: Path, *, kind: str = "indoor", count: int = ROOMS) -> Frames:
    """Procedural scenes 0 … count - 1, rendered once and stored in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    starts = [first for first in range(0, count, 200) if not _part(folder, kind, first).exists()]
    if starts:
        with get_context("spawn").Pool() as pool:
            pool.starmap(_render_part, [(folder, kind, first) for first in starts])
    images: list[Tensor] = []
    depths: list[Tensor] = []
    for first in range(0, count, 200):
        with np.load(_part(folder, kind, first)) as part:
            scale = (NYU_FOCAL / part["focal"])[:, None, None]
            metres = np.float16(part["depth"] * scale)
            images += torch.from_numpy(part["image"]).permute(0, 3, 1, 2).contiguous().unbind()
            depths += torch.from_numpy(metres).unbind()
    return Frames(images, depths, RENDERED[0])


def _part(folder: Path, kind: str, first: int) -> Path:
    return folder / f"{kind}_{first:06d}.npz"


def _render_part(folder: Path, kind: str, first: int) -> None:
    from glpn.synthetic import render

    torch.set_num_threads(1)
    parts = [render(range(i, i + 8), RENDERED, kind=kind) for i in range(first, first + 200, 8)]
    scratch = folder / f"{kind}_{first:06d}.part.npz"
    np.savez(
        scratch,
        image=np.concatenate([part.image.numpy() for part in parts]),
        depth=np.concatenate([part.depth.numpy().astype(np.float16) for part in parts]),
        focal=np.array([c.fy / RENDERED[0] for part in parts for c in part.cameras], np.float32),
    )
    scratch.replace(_part(folder, kind, first))


def shrunk(size: tuple[int, int], *, frame_rows: int) -> tuple[int, int]:
    """Width and height of a part of a frame after the whole frame is scaled to STORED rows."""
    return round(size[0] * STORED / frame_rows), round(size[1] * STORED / frame_rows)


def as_tensor(photo: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1).contiguous()


# --- Windows ------------------------------------------------------------------------------------


def windows(
    frames: Frames,
    count: int,
    rng: np.random.Generator,
    *,
    size: tuple[int, int] = CROP,
    max_depth: float,
) -> tuple[Tensor, Tensor]:
    """Random windows: RGB 0..1 [count, 3, h, w] and metres [count, h, w], 0 where unknown."""
    chosen = rng.choice(len(frames), count)
    pairs = [_window(frames, int(i), rng, size=size, max_depth=max_depth) for i in chosen]
    return torch.stack([pixels for pixels, _ in pairs]), torch.stack([m for _, m in pairs])


def _window(
    frames: Frames,
    index: int,
    rng: np.random.Generator,
    *,
    size: tuple[int, int],
    max_depth: float,
) -> tuple[Tensor, Tensor]:
    """One window at a random zoom, maybe mirrored.

    Zooming in by s at the same focal length shows what a camera s times closer sees: depth / s.
    """
    image = frames.images[index]
    zoom = math.exp(rng.uniform(math.log(0.85), math.log(1.4)))
    rows, columns = (round(side * frames.rows / FRAME[0] / zoom) for side in size)
    shrink = min(1.0, image.shape[1] / rows, image.shape[2] / columns)
    rows, columns = int(rows * shrink), int(columns * shrink)
    zoom /= shrink
    top = rng.integers(0, image.shape[1] - rows + 1)
    left = rng.integers(0, image.shape[2] - columns + 1)
    part = (..., slice(top, top + rows), slice(left, left + columns))
    pixels = F.interpolate(image[part][None].float() / 255, size, mode="bilinear", antialias=True)
    metres = torch.zeros(1, 1, *size)
    if frames.depths is not None:
        metres = F.interpolate(frames.depths[index][part][None, None].float(), size) / zoom
        metres = torch.where(metres < FAR * max_depth, metres, 0.0)
    if rng.random() < 0.5:
        pixels, metres = pixels.flip(3), metres.flip(3)
    return pixels[0], metres[0, 0]


@dataclass(frozen=True)
class Looks:
    """How windows are augmented.

    Attributes:
        cut_depth: "vertical", "square" or "none".
        max_depth: metres at CutDepth's 1.
        spoiled: share of the windows that are blurred, noisy, hazy or coarse.
    """

    cut_depth: str = "vertical"
    max_depth: float = 10.0
    spoiled: float = 0.0


def disturbed(pixels: Tensor, metres: Tensor, rng: np.random.Generator, looks: Looks) -> Tensor:
    """Brightness, gamma, white balance, sometimes grey; damage to some; CutDepth on a quarter."""
    return torch.stack(
        [
            _cut_depth(_spoiled(_recoloured(p, rng), rng, looks), m, rng, looks)
            for p, m in zip(pixels, metres, strict=True)
        ]
    )


def _recoloured(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    pixels = (pixels * rng.uniform(0.7, 1.3)).clamp(1e-3, 1) ** rng.uniform(0.8, 1.25)
    gains = torch.from_numpy(rng.uniform(0.85, 1.15, (3, 1, 1))).float()
    pixels = (pixels * gains).clamp(0, 1)
    if rng.random() < 0.15:
        pixels = pixels.mean(0, keepdim=True).expand(3, -1, -1).clone()
    return pixels


def _spoiled(pixels: Tensor, rng: np.random.Generator, looks: Looks) -> Tensor:
    """Damage the window in one of four ways, or not at all."""
    if not looks.spoiled or rng.random() >= looks.spoiled:
        return pixels
    ways = (_blurred, _noisy, _hazy, _coarse)
    return ways[rng.integers(len(ways))](pixels, rng).clamp(0, 1)


def _blurred(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """Defocus or motion blur, up to a twelfth of the window's height."""
    half = 6
    reach = torch.arange(-half, half + 1.0)
    down, across = torch.meshgrid(reach, reach, indexing="ij")
    if rng.random() < 0.5:
        kernel = (rng.uniform(0.7, 4.0) + 0.5 - torch.hypot(across, down)).clamp(0, 1)
    else:
        angle, length = rng.uniform(0, math.pi), rng.uniform(1, half)
        along = across * math.cos(angle) + down * math.sin(angle)
        aside = down * math.cos(angle) - across * math.sin(angle)
        kernel = (1 - aside.abs()).clamp(0) * (length + 0.5 - along.abs()).clamp(0, 1)
    kernel = (kernel / kernel.sum()).expand(3, 1, -1, -1)
    padded = F.pad(pixels[None], (half,) * 4, mode="replicate")
    return F.conv2d(padded, kernel, groups=3)[0]


def _noisy(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    noise = torch.from_numpy(rng.standard_normal(pixels.shape, np.float32))
    return pixels + float(rng.uniform(0.01, 0.12)) * noise


def _hazy(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """A grey veil, thicker here and thinner there."""
    veil = torch.from_numpy(rng.uniform(0, 1, (1, 1, 4, 5)).astype(np.float32))
    veil = F.interpolate(veil, pixels.shape[1:], mode="bicubic").clamp(0, 1)[0]
    thickness = rng.uniform(0.1, 0.7) * (0.5 + 0.5 * veil)
    return pixels * (1 - thickness) + float(rng.uniform(0.4, 1.0)) * thickness


def _coarse(pixels: Tensor, rng: np.random.Generator) -> Tensor:
    """A small image, enlarged."""
    size = [max(int(side / rng.uniform(1.5, 5)), 8) for side in pixels.shape[1:]]
    small = F.interpolate(pixels[None], size, mode="bilinear", antialias=True)
    return F.interpolate(small, pixels.shape[1:], mode="bilinear")[0]


def _cut_depth(pixels: Tensor, metres: Tensor, rng: np.random.Generator, looks: Looks) -> Tensor:
    """Vertical CutDepth (GLPN, eq. 1-2), or the square one it is compared with, on a quarter."""
    if looks.cut_depth == "none" or rng.random() >= 0.25 or not bool((metres > 0).any()):
        return pixels
    height, width = metres.shape
    across = _strip(width, *rng.random(2))
    down = _strip(height, *rng.random(2)) if looks.cut_depth == "square" else slice(None)
    pixels[:, down, across] = metres[None, down, across] / looks.max_depth
    return pixels


def _strip(side: int, alpha: float, beta: float) -> slice:
    first = int(alpha * side)
    return slice(first, first + int(max((side - alpha * side) * beta * 0.75, 1)))


def stacked(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """The windows of several sets, end to end."""
    return torch.cat([pixels for pixels, _ in parts]), torch.cat([metres for _, metres in parts])
