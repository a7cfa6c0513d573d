"""Rendering: seeds or scenes in; pictures, exact depth, normals, instances and cameras out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glpn.depth import Camera
from glpn.errors import UsageError
from glpn.synthetic import light as lighting
from glpn.synthetic.cast import NO_HIT, TILE, Eyes, Solids, cast, to_local
from glpn.synthetic.scene import MAX_LIGHTS, Light, Scene
from glpn.synthetic.sensor import Sensors, develop
from glpn.synthetic.surface import Look, Pixels, Surface, surface

_SKY = (0.6, 0.75, 1.0)  # radiance at the zenith, relative to the light from above
_CPU_CHUNK = 2  # scenes at a time on a CPU: what stays in its cache


@dataclass(frozen=True, eq=False)
class Rendering:
    """A batch of pictures with everything that is known of them, on the device that made them.

    Attributes:
        image: RGB uint8 [B, H, W, 3].
        depth: float32 metres [B, H, W] along the optical axis; 0 is the sky.
        normal: float32 [B, H, W, 3], unit, in camera axes (right, down, forward), towards the
            camera; 0 in the sky.
        instance: int32 [B, H, W]; which thing, from 1 on; 0 is the sky.
        cameras: one per picture, without `distortion`.
        distortion: float32 [B, 2]: k1, k2 of r' = r (1 + k1 r² + k2 r⁴), from ray to pixel.
    """

    image: Tensor
    depth: Tensor
    normal: Tensor
    instance: Tensor
    cameras: tuple[Camera, ...]
    distortion: Tensor

    def __len__(self) -> int:
        return len(self.cameras)


def render_scenes(
    scenes: Sequence[Scene], size: tuple[int, int], device: str | torch.device = "cpu"
) -> Rendering:
    """Render scenes at (height, width); each picture depends on its own scene alone.

    Raises:
        UsageError: no scene, or no pixel.
    """
    if not scenes or min(size) < 1:
        raise UsageError(f"render: expected scenes and a size, got {len(scenes)} at {size}")
    device = torch.device(device)
    chunk = _CPU_CHUNK if device.type == "cpu" else len(scenes)
    with torch.inference_mode():
        parts = [_render(scenes[i : i + chunk], size, device) for i in range(0, len(scenes), chunk)]
    return _joined(parts)


def _joined(parts: Sequence[Rendering]) -> Rendering:
    if len(parts) == 1:
        return parts[0]
    maps = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name in ("image", "depth", "normal", "instance", "distortion")
    }
    return Rendering(cameras=tuple(c for part in parts for c in part.cameras), **maps)


def _render(scenes: Sequence[Scene], size: tuple[int, int], device: torch.device) -> Rendering:
    batch = _Batch(scenes, size, device)
    solids, eyes = batch.solids, batch.eyes
    hits = cast(solids, eyes, wanted=batch.present)
    there = hits.solid != NO_HIT
    depth = torch.where(there, hits.depth, 1.0)
    row = hits.solid.clamp_min(0).long() + batch.first_row
    view = torch.stack([eyes.x, eyes.y, torch.ones_like(eyes.x)], 1)  # [B, 3, H, W]
    direction = torch.einsum("bij,bihw->bjhw", eyes.axes, view)
    length = view.square().sum(1).sqrt()
    footprint = depth * length / batch.focal[:, None, None]
    pixels = Pixels(*(v.reshape(-1) for v in (row, eyes.x, eyes.y, depth, footprint)))
    flat = surface(solids, to_local(solids, eyes), batch.look, pixels)
    shape = eyes.x.shape
    surfaces = Surface(*(_unflatten(field, shape) for field in flat))
    world = eyes.position[:, :, None, None] + depth[:, None] * direction
    radiance = batch.shade(surfaces, world, -direction / length[:, None], depth)
    radiance = torch.where(there[:, None], radiance, batch.sky(direction / length[:, None]))
    height, width = size
    normal = torch.einsum("bij,bjhw->bhwi", eyes.axes, surfaces.normal) * there[..., None]
    instance = torch.where(there, batch.instance[row], 0)
    return Rendering(
        image=develop(radiance[:, :, :height, :width], batch.sensors),
        depth=(depth * there)[:, :height, :width].contiguous(),
        normal=normal[:, :height, :width].contiguous(),
        instance=instance[:, :height, :width].contiguous(),
        cameras=batch.cameras,
        distortion=batch.distortion,
    )


def _unflatten(field: Tensor, shape: torch.Size) -> Tensor:
    """[C, B·H·W] → [B, C, H, W]; [B·H·W] → [B, H, W]."""
    if field.ndim == 1:
        return field.reshape(shape)
    return field.reshape(-1, *shape).transpose(0, 1)


class _Batch:
    """Scenes as padded tensors on the device."""

    def __init__(
        self, scenes: Sequence[Scene], size: tuple[int, int], device: torch.device
    ) -> None:
        self.device = device
        self.scenes = scenes
        most = max(len(scene.solids) for scene in scenes)
        numbers = self._put(np.stack([_padded(scene.solids, most) for scene in scenes]))
        present = np.stack([np.arange(most) < len(scene.solids) for scene in scenes])
        casts = np.stack([_padded(scene.casts, most) for scene in scenes])
        self.present = self._put(present)
        self.casting = self._put(present & casts)
        self.solids = Solids(
            centre=numbers[..., :3],
            half=numbers[..., 12:15] + (~self.present)[..., None].float(),
            quadric=numbers[..., 15:18],
            axes=numbers[..., 3:12].reshape(len(scenes), most, 3, 3),
        )
        self.look = self._look(numbers, most)
        self.instance = self._column("instance", most).int()
        self.first_row = (torch.arange(len(scenes), device=device) * most)[:, None, None]
        self.cameras = tuple(_camera(scene, size) for scene in scenes)
        self.focal = self._put([camera.fx for camera in self.cameras])
        self.distortion = self._put([scene.view.distortion for scene in scenes])
        self.eyes = self._eyes(size)
        self.sensors = Sensors(
            *(
                self._put([getattr(scene.sensor, name) for scene in scenes])
                for name in Sensors._fields
            )
        )

    def shade(self, surfaces: Surface, world: Tensor, view: Tensor, depth: Tensor) -> Tensor:
        """Radiance towards the camera [B, 3, H, W]."""
        lights, ambient = self._lights(), self._ambient()
        maps = lighting.shadow_maps(self.solids, self.casting, lights)
        diffuse, highlight = lighting.illuminate(surfaces, world, view, lights=lights, maps=maps)
        open_ = lighting.occlusion(world, surfaces.normal, depth, self.focal)
        diffuse = diffuse * (0.4 + 0.6 * open_[:, None])
        diffuse = diffuse + lighting.ambient(surfaces, ambient, open_)
        return surfaces.colour * (diffuse + surfaces.emission[:, None]) + highlight

    def sky(self, direction: Tensor) -> Tensor:
        """Radiance of the sky in world directions [B, 3, H, W]: paler towards the horizon."""
        above = self._ambient().above[:, :, None, None]
        height = direction[:, 2:3].clamp(0, 1).sqrt()
        zenith = above * above.new_tensor(_SKY)[:, None, None]
        return 1.5 * (above + (zenith - above) * height)

    def _put(self, values: object) -> Tensor:
        array = np.asarray(values)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def _column(self, name: str, most: int) -> Tensor:
        """A per-solid array of all scenes, end to end [B·P]."""
        rows = [_padded(getattr(scene, name), most) for scene in self.scenes]
        return self._put(np.concatenate(rows))

    def _look(self, numbers: Tensor, most: int) -> Look:
        tables, material = [], []
        first = 0
        for scene in self.scenes:
            tables.append(_material_table(scene))
            material.append(_padded(scene.material, most) + first)
            first += len(scene.materials)
        return Look(
            origin=numbers[..., 18:21].flatten(0, 1),
            bevel=self._column("bevel", most).clamp_min(1e-9),
            material=self._put(np.concatenate(material)),
            materials=self._put(np.concatenate(tables, 1)),
        )

    def _eyes(self, size: tuple[int, int]) -> Eyes:
        """Rays through pixel centres, on a picture padded to whole tiles."""
        height, width = (-(-side // TILE) * TILE for side in size)
        rows = [
            _rays(camera, (height, width), scene.view.distortion)
            for camera, scene in zip(self.cameras, self.scenes, strict=True)
        ]
        return Eyes(
            position=self._put([scene.view.position for scene in self.scenes]),
            axes=self._put([scene.view.axes for scene in self.scenes]),
            x=self._put(np.stack([x for x, _ in rows])),
            y=self._put(np.stack([y for _, y in rows])),
        )

    def _lights(self) -> lighting.Lights:
        dark = Light((0.0, 0.0, 1.0), np.eye(3), (0.0, 0.0, 0.0))
        most = max(1, max(len(scene.lights) for scene in self.scenes))
        padded = [[*scene.lights, *[dark] * MAX_LIGHTS][:most] for scene in self.scenes]
        order = ("position", "axes", "colour", "reach", "beyond", "falloff", "beam")
        return lighting.Lights(
            *(
                self._put([[getattr(light, key) for light in row] for row in padded])
                for key in order
            )
        )

    def _ambient(self) -> lighting.Ambient:
        above, below = ([scene.ambient[i] for scene in self.scenes] for i in (0, 1))
        return lighting.Ambient(self._put(above), self._put(below))


def _padded(array: NDArray[Any], most: int) -> NDArray[Any]:
    return np.pad(array, [(0, most - len(array))] + [(0, 0)] * (array.ndim - 1))


def _material_table(scene: Scene) -> NDArray[np.float32]:
    """The materials' fields in their order, colours as three rows each: [15, M]."""
    rows = [np.hstack(row) for row in scene.materials]
    return np.ascontiguousarray(np.array(rows, np.float32).T)


def _camera(scene: Scene, size: tuple[int, int]) -> Camera:
    return Camera.from_fov(scene.view.fov, size, source="synthetic")


def _rays(
    camera: Camera, size: tuple[int, int], distortion: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y of (x, y, 1) through each pixel's centre: the radial model inverted."""
    height, width = size
    x = (np.arange(width) - camera.cx) / camera.fx
    y = (np.arange(height) - camera.cy) / camera.fy
    k1, k2 = distortion
    if k1 == 0 and k2 == 0:
        return np.broadcast_to(x, size), np.broadcast_to(y[:, None], size)
    measured = x[None] ** 2 + y[:, None] ** 2
    factor = np.ones_like(measured)
    for _ in range(8):  # fixed-point iteration: the distortion is small
        square = measured * factor * factor
        factor = 1 / (1 + k1 * square + k2 * square * square)
    return np.asarray(x[None] * factor), np.asarray(y[:, None] * factor)
