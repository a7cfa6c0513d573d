"""Renders scenes as images with exact depth, normals, instances and cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glpn.camera.camera import Camera
from glpn.errors import UsageError
from glpn.synthetic.rendering import light as lighting
from glpn.synthetic.rendering.batch import Shots, Worlds, gather
from glpn.synthetic.rendering.cast import NO_HIT, Hits, Solids, cast, nearest_of, to_local
from glpn.synthetic.rendering.edges import Corners, blend, corners_at_edges, mean_around
from glpn.synthetic.rendering.meshes import Overlay, overlay
from glpn.synthetic.rendering.sensor import develop
from glpn.synthetic.rendering.surface import Pixels, Surface, surface, surface_table
from glpn.synthetic.scenes.scene import Scene

_SKY = (0.6, 0.75, 1.0)  # radiance at the zenith, relative to the ambient light from above
_CPU_BATCH = 4  # images whose rays a CPU casts together, for fewer and longer steps


@dataclass(frozen=True, eq=False)
class Rendering:
    """A batch of images with their ground truth, on the device that rendered them.

    Attributes:
        image: RGB uint8 [B, H, W, 3].
        depth: float32 metres [B, H, W] along the optical axis; 0 is the sky.
        normal: float32 [B, H, W, 3], unit, in camera axes (right, down, forward), towards the
            camera; 0 in the sky.
        instance: int32 [B, H, W], the number of the object, counted from 1; 0 is the sky.
        cameras: one per image, without `distortion`.
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
    """Render scenes at (height, width); each image depends only on its own scene.

    Scenes that share their solids, as the views of one room do, are prepared once.

    Raises:
        UsageError: no scene, or no pixel.
    """
    if not scenes or min(size) < 1:
        raise UsageError(f"render: expected scenes and a size, got {len(scenes)} at {size}")
    device = torch.device(device)
    most = _CPU_BATCH if device.type == "cpu" else len(scenes)
    with torch.inference_mode():
        parts = [_render(scenes[i : i + most], size, device) for i in range(0, len(scenes), most)]
    cameras = tuple(camera for part in parts for camera in part[1])
    image, depth, normal, instance = (
        torch.cat(maps)
        for maps in zip(*(part for parts_, _ in parts for part in parts_), strict=True)
    )
    bent = torch.tensor([scene.view.distortion for scene in scenes], device=device)
    return Rendering(image, depth, normal, instance, cameras, bent)


Maps = tuple[Tensor, Tensor, Tensor, Tensor]  # image, depth, normal, instance


def _render(
    scenes: Sequence[Scene], size: tuple[int, int], device: torch.device
) -> tuple[list[Maps], tuple[Camera, ...]]:
    """Images in chunks, and all their cameras."""
    worlds, shots, cameras = gather(scenes, size, device)
    shadows = lighting.shadow_maps(worlds.solids, worlds.casting, worlds.lights, worlds.tracers)
    solids = Solids(*(field[shots.world] for field in worlds.solids))
    hits = cast(solids, shots.eyes, wanted=worlds.present[shots.world])
    # A CPU shades one image at a time, so that its maps stay in the cache.
    chunk = 1 if device.type == "cpu" else len(scenes)
    parts = []
    for start in range(0, len(scenes), chunk):
        some = slice(start, start + chunk)
        pictures = _Pictures(worlds, shots.part(some), shadows)
        parts.append(pictures.maps(Hits(*(field[some] for field in hits)), size))
    return parts, cameras


class _Pictures:
    """Images during rendering. Pixels are flat: [B, C, N] or, end to end, [C, B·N]."""

    def __init__(self, worlds: Worlds, shots: Shots, shadows: Tensor) -> None:
        world = shots.world
        self.shots, self.eyes = shots, shots.eyes
        self.solids = Solids(*(field[world] for field in worlds.solids))
        self.instance = worlds.instance[world]
        self.lights = lighting.Lights(*(field[world] for field in worlds.lights)).lit()
        self.ambient = lighting.Ambient(*(field[world] for field in worlds.ambient))
        self.shadows = shadows[world]
        self.local = to_local(self.solids, self.eyes)
        self.table = surface_table(self.solids, self.local, worlds.look[world])
        count = self.instance.shape[1]
        self.tracers = [worlds.tracers[number] for number in world.tolist()]
        self.first = torch.arange(len(world), device=world.device)[:, None] * count  # [B, 1]

    def maps(self, hits: Hits, size: tuple[int, int]) -> Maps:
        """The finished maps at (height, width), from the hits of the rays."""
        shape = self.eyes.x.shape
        flat = Hits(*(field.flatten(1) for field in hits))
        x, y = self.eyes.x.flatten(1), self.eyes.y.flatten(1)
        there = flat.solid != NO_HIT
        pixels, seen, meshes = self._seen(flat, x, y)
        depth = pixels.depth.reshape(there.shape)
        instance = self.instance.gather(1, flat.solid.clamp_min(0).long()) * there
        edge = hits.solid
        if meshes is not None:
            there = _with(there, meshes.where, torch.ones_like(meshes.where, dtype=torch.bool))
            instance = _with(instance, meshes.where, meshes.instance)
            edge = _with(edge, meshes.where, meshes.edge)
        world, towards = self._rays(x, y, depth)
        normal = _per_picture(seen.normal, len(x))
        point, slope = (v.reshape(len(x), 3, *shape[1:]) for v in (world, normal))
        open_ = lighting.occlusion(point, slope, depth.reshape(shape), self.shots.focal)
        light = self._shade(seen, world, towards, open_.flatten(1))
        light = torch.where(there[:, None], light, self._sky(towards))
        corners = corners_at_edges(edge, seen.face.reshape(shape), self.eyes)
        if corners is not None:
            light = blend(light, corners, self._colour(corners, flat, open_.flatten(1)))
        height, width = size
        image = light.reshape(len(x), 3, *shape[1:])[:, :, :height, :width]
        facing = self.eyes.axes @ normal * there[:, None]
        facing = facing.transpose(1, 2).reshape(*shape, 3)
        return (
            develop(image, self.shots.sensors),
            (depth * there).reshape(shape)[:, :height, :width].contiguous(),
            facing[:, :height, :width].contiguous(),
            instance.reshape(shape)[:, :height, :width].contiguous(),
        )

    def _seen(self, hits: Hits, x: Tensor, y: Tensor) -> tuple[Pixels, Surface, Overlay | None]:
        """The nearest surfaces along rays x, y [B, N], from the hits on solids."""
        pixels = self._pixels(hits, x, y)
        seen = surface(self.table, pixels)
        meshes = overlay(self.tracers, self.eyes, (x, y), depth=hits.depth, focal=self.shots.focal)
        if meshes is not None:
            pixels, seen = meshes.over(pixels, seen)
        return pixels, seen, meshes

    def _pixels(self, hits: Hits, x: Tensor, y: Tensor) -> Pixels:
        """Rays x, y and their hits, each [B, N]; a miss counts as a hit at 1 m."""
        row = hits.solid.clamp_min(0) + self.first
        depth = torch.where(hits.solid == NO_HIT, 1.0, hits.depth)
        length = torch.addcmul(torch.addcmul(torch.ones_like(x), x, x), y, y).sqrt()
        footprint = depth * length / self.shots.focal[:, None]
        return Pixels(*(v.reshape(-1) for v in (row, x, y, depth, footprint)))

    def _rays(self, x: Tensor, y: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """World positions of the hits, and unit directions back to the camera [B, 3, N]."""
        ray = torch.stack([x, y, torch.ones_like(x)], 1)
        direction = self.eyes.axes.transpose(1, 2) @ ray
        world = torch.addcmul(self.eyes.position[:, :, None], direction, depth[:, None])
        inverse = torch.addcmul(torch.addcmul(torch.ones_like(x), x, x), y, y).rsqrt_().neg_()
        return world, direction * inverse[:, None]

    def _shade(self, seen: Surface, world: Tensor, towards: Tensor, open_: Tensor) -> Tensor:
        """Radiance towards the camera [B, 3, N]; `open_` [B, N] is the unoccluded ambient share."""
        seen = Surface(*(_per_picture(field, len(world)) for field in seen))
        diffuse, highlight = lighting.illuminate(
            seen, world, towards, lights=self.lights, maps=self.shadows
        )
        around = lighting.ambient(seen, self.ambient)
        diffuse = torch.addcmul(seen.emission[:, None], diffuse, (0.4 + 0.6 * open_)[:, None])
        diffuse = torch.addcmul(diffuse, around, open_[:, None])
        return torch.addcmul(highlight, seen.colour, diffuse)

    def _sky(self, towards: Tensor) -> Tensor:
        """Radiance of the sky behind each pixel [B, 3, N]: paler towards the horizon."""
        above = self.ambient.above[:, :, None]
        height = (-towards[:, 2:3]).clamp(0, 1).sqrt()
        zenith = above * above.new_tensor(_SKY)[:, None]
        return 1.5 * (above + (zenith - above) * height)

    def _colour(self, corners: Corners, hits: Hits, open_: Tensor) -> Tensor:
        """Radiance [B, 3, n] at pixel corners that lie on an edge."""
        x, y = corners.x, corners.y
        candidates = torch.stack([hits.solid.gather(1, index) for index in corners.around])
        found = nearest_of(self.solids, self.local, candidates, at=(x, y))
        there = found.solid != NO_HIT
        pixels, seen, meshes = self._seen(found, x, y)
        if meshes is not None:
            there = _with(there, meshes.where, torch.ones_like(meshes.where, dtype=torch.bool))
        world, towards = self._rays(x, y, pixels.depth.reshape(x.shape))
        share = mean_around(open_, corners.around)
        light = self._shade(seen, world, towards, share)
        return torch.where(there[:, None], light, self._sky(towards))


def _with(field: Tensor, where: Tensor, values: Tensor) -> Tensor:
    """A map with other values at some places of the flat map."""
    return field.flatten().index_copy(0, where, values.to(field.dtype)).reshape(field.shape)


def _per_picture(field: Tensor, batch: int) -> Tensor:
    """[C, B·N] → [B, C, N]; [B·N] → [B, N]."""
    if field.ndim == 1:
        return field.reshape(batch, -1)
    return field.reshape(field.shape[0], batch, -1).transpose(0, 1)
