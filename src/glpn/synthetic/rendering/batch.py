"""Batches: scenes as padded tensors; the views of one scene share its tensors and shadow maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glpn.camera.camera import Camera
from glpn.synthetic.furniture_models.tracer import Tracer
from glpn.synthetic.rendering.cast import TILE, Eyes, Solids
from glpn.synthetic.rendering.light import Ambient, Lights
from glpn.synthetic.rendering.sensor import Sensors
from glpn.synthetic.scenes.scene import MAX_LIGHTS, Light, Scene

_DARK = Light((0.0, 0.0, 1.0), np.eye(3), (0.0, 0.0, 0.0))


class Worlds(NamedTuple):
    """W scenes, padded to P solids: [W, P, …], with masks of real and of shadow-casting solids,
    and their meshes.

    `look` is the input of `surface.table`: bevel 1, texture origin 3, material 15: [W, P, 19].
    """

    solids: Solids
    present: Tensor
    casting: Tensor
    instance: Tensor
    look: Tensor
    lights: Lights
    ambient: Ambient
    tracers: tuple[Tracer | None, ...] = ()


class Shots(NamedTuple):
    """B images: the index of their world [B], rays, sensors and focal lengths in pixels."""

    world: Tensor
    eyes: Eyes
    sensors: Sensors
    focal: Tensor

    def part(self, some: slice) -> Shots:
        """A slice of the images."""
        eyes, sensors = ((field[some] for field in row) for row in (self.eyes, self.sensors))
        return Shots(self.world[some], Eyes(*eyes), Sensors(*sensors), self.focal[some])


def gather(
    scenes: Sequence[Scene], size: tuple[int, int], device: torch.device
) -> tuple[Worlds, Shots, tuple[Camera, ...]]:
    """Tensors of scenes on a device; scenes that share their solids become one world."""
    distinct = list({id(scene.solids): scene for scene in scenes}.values())
    place = {id(scene.solids): number for number, scene in enumerate(distinct)}
    cameras = tuple(
        Camera.from_fov(scene.view.across(size), size, source="synthetic") for scene in scenes
    )
    shots = Shots(
        world=_put([place[id(scene.solids)] for scene in scenes], device),
        eyes=_eyes(scenes, cameras, size, device),
        sensors=Sensors(
            *(
                _put([getattr(scene.sensor, name) for scene in scenes], device)
                for name in Sensors._fields
            )
        ),
        focal=_put([camera.fx for camera in cameras], device),
    )
    return _worlds(distinct, device), shots, cameras


def _put(values: object, device: torch.device) -> Tensor:
    array = np.asarray(values)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _worlds(scenes: Sequence[Scene], device: torch.device) -> Worlds:
    most = max(len(scene.solids) for scene in scenes)

    def stacked(arrays: Sequence[np.ndarray]) -> Tensor:
        return _put(np.stack([_padded(array, most) for array in arrays]), device)

    numbers = stacked([scene.solids for scene in scenes])
    present = stacked([np.ones(len(scene.solids), bool) for scene in scenes])
    looks = [np.hstack([s.bevel[:, None], s.solids[:, 18:21], _materials(s)]) for s in scenes]
    above, below = (_put([scene.ambient[i] for scene in scenes], device) for i in (0, 1))
    return Worlds(
        solids=Solids(
            centre=numbers[..., :3],
            half=numbers[..., 12:15] + (~present)[..., None].float(),
            quadric=numbers[..., 15:18],
            axes=numbers[..., 3:12].reshape(len(scenes), most, 3, 3),
        ),
        present=present,
        casting=present & stacked([scene.casts for scene in scenes]),
        instance=stacked([scene.instance for scene in scenes]).int(),
        look=stacked(looks),
        lights=_lights(scenes, device),
        ambient=Ambient(above, below),
        tracers=tuple(scene.tracer for scene in scenes),
    )


def _padded(array: np.ndarray, most: int) -> np.ndarray:
    padded = np.zeros((most, *array.shape[1:]), array.dtype)
    padded[: len(array)] = array
    return padded


def _materials(scene: Scene) -> NDArray[np.float32]:
    """The material of each solid: its fields in order, colours as three numbers, [P, 15]."""
    rows = [(m[0], m[1], *m[2], *m[3], *m[4:]) for m in scene.materials]
    return np.array(rows, np.float32)[scene.material]


def _lights(scenes: Sequence[Scene], device: torch.device) -> Lights:
    most = max(1, max(len(scene.lights) for scene in scenes))
    padded = [[*scene.lights, *[_DARK] * MAX_LIGHTS][:most] for scene in scenes]
    order = ("position", "axes", "colour", "reach", "beyond", "falloff", "beam")
    return Lights(
        *(_put([[getattr(light, key) for light in row] for row in padded], device) for key in order)
    )


def _eyes(
    scenes: Sequence[Scene],
    cameras: Sequence[Camera],
    size: tuple[int, int],
    device: torch.device,
) -> Eyes:
    """Rays through pixel centres of an image padded to whole tiles."""
    height, width = (-(-side // TILE) * TILE for side in size)
    x, y = zip(
        *(
            _rays(camera, (height, width), scene.view.distortion)
            for camera, scene in zip(cameras, scenes, strict=True)
        ),
        strict=True,
    )
    return Eyes(
        position=_put([scene.view.position for scene in scenes], device),
        axes=_put([scene.view.axes for scene in scenes], device),
        x=_put(np.stack(x), device),
        y=_put(np.stack(y), device),
    )


def _rays(
    camera: Camera, size: tuple[int, int], distortion: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y of the ray (x, y, 1) through each pixel centre; inverts the radial model."""
    height, width = size
    x = (np.arange(width) - camera.cx) / camera.fx
    y = (np.arange(height) - camera.cy) / camera.fy
    k1, k2 = distortion
    if k1 == 0 and k2 == 0:
        return np.broadcast_to(x, size), np.broadcast_to(y[:, None], size)
    measured = x[None] ** 2 + y[:, None] ** 2
    factor = np.ones_like(measured)
    for _ in range(8):  # fixed-point iteration converges, because the distortion is small
        square = measured * factor * factor
        factor = 1 / (1 + k1 * square + k2 * square * square)
    return np.asarray(x[None] * factor), np.asarray(y[:, None] * factor)
