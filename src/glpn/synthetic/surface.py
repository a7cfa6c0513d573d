"""Surfaces: what the hit solids look like at each pixel, before light falls on them.

All maps are channels first: [C, N] for the N pixels of a batch laid end to end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from glpn.synthetic import textures
from glpn.synthetic.cast import Local, Solids
from glpn.synthetic.patterns import SIDE

_BEFORE = 1 - 1e-6  # a box's plane this much nearer than the hit is not what was hit


class Surface(NamedTuple):
    """Per pixel: what light needs to know. Colours are linear.

    normal and shading [3, N]: unit, in the world, exact and as light sees it; colour [3, N];
    specular, gloss, emission [N].
    """

    normal: Tensor
    shading: Tensor
    colour: Tensor
    specular: Tensor
    gloss: Tensor
    emission: Tensor


class Look(NamedTuple):
    """Tables of a batch: per solid origin [B·P, 3], bevel, material [B·P]; materials [18, M]."""

    origin: Tensor
    bevel: Tensor
    material: Tensor
    materials: Tensor


class Pixels(NamedTuple):
    """Rays that hit: the solid's row in the tables [N], ray x and y, depth, metres per pixel."""

    row: Tensor
    x: Tensor
    y: Tensor
    depth: Tensor
    footprint: Tensor


def surface(solids: Solids, local: Local, look: Look, pixels: Pixels) -> Surface:
    """Geometry and material at each hit."""
    row = pixels.row
    origin = _rows(local.origin, row)
    slope = _rows(local.slope.flatten(2), row).reshape(3, 3, -1)
    direction = slope[:, 0] * pixels.x + slope[:, 1] * pixels.y + slope[:, 2]
    point = origin + pixels.depth * direction  # [3, N] in half extents
    half = _rows(solids.half, row)
    axes = _rows(solids.axes.flatten(2), row).reshape(3, 3, -1)  # [3 axes, 3 world, N]
    entry = -(direction.sign() + origin) / direction  # depth at the three planes that face the eye
    gradient = _rows(solids.quadric, row) * point / half
    normal, face, curved = _normal(direction, entry, pixels.depth, gradient)
    metres = point * half
    bevelled = _bevel(normal, metres, half, look.bevel[row].masked_fill(curved, 1e-9))
    material = pick(look.materials, look.material[row])  # [18, N]
    world = (normal[:, None] * axes).sum(0)
    slant = _facing(direction * half, normal)
    offset = metres + _columns(look.origin, row)
    u, v, swap, extent = _coordinates(point, offset, half, face, material)
    colour, tilt = _paint(u, v, material, footprint=pixels.footprint / slant, extent=extent)
    along_u, along_v = _tangents(axes, face, swap)
    shading = (bevelled[:, None] * axes).sum(0)
    shading = shading - material[10] * (tilt[0] * along_u + tilt[1] * along_v)
    return Surface(
        normal=_unit(world),
        shading=_unit(shading),
        colour=colour,
        specular=material[11],
        gloss=material[12],
        emission=material[13],
    )


def _rows(table: Tensor, row: Tensor) -> Tensor:
    """[B, P, C] picked by row → [C, N]."""
    return _columns(table.flatten(0, 1), row)


def _columns(table: Tensor, row: Tensor) -> Tensor:
    return pick(table.T.contiguous(), row)


def pick(table: Tensor, index: Tensor) -> Tensor:
    """Columns of a table [C, M] → [C, N]: as index_select, which is slow but along axis 0."""
    picked = table.new_empty(table.shape[0], index.numel())
    for channel, out in zip(table, picked, strict=True):
        torch.index_select(channel, 0, index, out=out)
    return picked


def _normal(
    direction: Tensor, entry: Tensor, depth: Tensor, gradient: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Unit normal in local axes [3, N], the face's axis [N], and where the quadric was hit.

    A box is hit on the last of its planes that the ray enters; a quadric after all of them.
    """
    x, y, z = entry
    curved = (gradient != 0).any(0) & (torch.maximum(torch.maximum(x, y), z) < depth * _BEFORE)
    x, y, z = torch.where(curved, gradient.abs(), entry)
    face = torch.where((x >= y) & (x >= z), 0, torch.where(y >= z, 1, 2))
    flat = torch.stack([(face == axis) * -direction[axis].sign() for axis in range(3)])
    return torch.where(curved, _unit(gradient), flat), face, curved


def _bevel(normal: Tensor, metres: Tensor, half: Tensor, bevel: Tensor) -> Tensor:
    """Normals that bend towards the neighbouring face along a box's edges."""
    edge = (half - metres.abs()) / bevel
    bend = (1 - edge).clamp(0, 1) * metres.sign()
    return normal + 0.7 * bend


def _facing(direction: Tensor, normal: Tensor) -> Tensor:
    """Cosine between the ray and the surface, from 0.12 on [N]."""
    cosine = (direction * normal).sum(0).abs() * direction.square().sum(0).rsqrt()
    return cosine.clamp_min(0.12)


def _coordinates(
    point: Tensor, metres: Tensor, half: Tensor, face: Tensor, material: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Texture coordinates u, v [N], where the axes are swapped, and metres of a texture.

    A texture runs along the longer side of its face, unless it is upright; one without a scale
    fills its face.
    """
    fit, upright = material[1] <= 0, material[14] > 0
    (first_p, second_p), (first_m, second_m), (first_h, second_h) = (
        (torch.where(face == 0, v[1], v[0]), torch.where(face == 2, v[1], v[2]))
        for v in (point, metres, half)
    )
    swap = (second_h > first_h) & ~upright & ~fit
    scale = material[1].clamp_min(1e-6)
    u = torch.where(swap, second_m, first_m) / scale
    v = torch.where(swap, first_m, -second_m) / scale
    u = torch.where(fit, 0.5 + 0.4999 * first_p, u)
    v = torch.where(fit, 0.5 - 0.4999 * second_p, v)
    return u, v, swap, torch.where(fit, 2 * torch.maximum(first_h, second_h), scale)


def _tangents(axes: Tensor, face: Tensor, swap: Tensor) -> tuple[Tensor, Tensor]:
    """World directions [3, N] of u and v."""
    first = torch.where(face == 0, axes[1], axes[0])
    second = torch.where(face == 2, axes[1], axes[2])
    return torch.where(swap, second, first), torch.where(swap, first, second)


def _paint(
    u: Tensor, v: Tensor, material: Tensor, *, footprint: Tensor, extent: Tensor
) -> tuple[Tensor, Tensor]:
    """Colour [3, N] and the relief's slopes [2, N]; a texture covers `extent` metres."""
    pattern = _sample(_bank(str(u.device)), u, v, material[0].int(), footprint / extent)
    ratio = extent / material[9]
    relief = _sample(_relief(str(u.device)), u * ratio, v * ratio, None, footprint / material[9])
    dark, light = material[2:5], material[5:8]
    colour = dark + (light - dark) * pattern
    return colour * (1 + material[8] * relief[0]).clamp_min(0.2), relief[1:]


def _sample(
    table: Tensor, u: Tensor, v: Tensor, texture: Tensor | None, footprint: Tensor
) -> Tensor:
    """Bilinear [C, N] from the mip level whose texels are as large as the pixel."""
    offsets = torch.from_numpy(textures.level_offsets()).int().to(u.device)
    level = (footprint * SIDE).clamp(1, 100).log2().round().int()
    side = SIDE >> level
    first = offsets[level]
    if texture is not None:
        first = first + texture * int(textures.level_offsets()[-1])
    x, y = (u - u.floor()) * side - 0.5, (v - v.floor()) * side - 0.5
    left, top = x.floor(), y.floor()
    across, down = x - left, y - top
    left, top = left.int(), top.int()
    columns = ((left + side) & (side - 1), (left + 1) & (side - 1))
    rows = (first + ((top + side) & (side - 1)) * side, first + ((top + 1) & (side - 1)) * side)
    corner = [pick(table, row + column) for row in rows for column in columns]
    upper = torch.lerp(corner[0], corner[1], across)
    return torch.lerp(upper, torch.lerp(corner[2], corner[3], across), down)


@lru_cache(maxsize=4)
def _bank(device: str) -> Tensor:
    return torch.from_numpy(textures.bank()).to(device).float().div_(255)


@lru_cache(maxsize=4)
def _relief(device: str) -> Tensor:
    return torch.from_numpy(textures.relief()).to(device)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.square().sum(0).clamp_min(1e-12).sqrt()
