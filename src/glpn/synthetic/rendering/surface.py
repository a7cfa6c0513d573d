"""Surfaces: geometry and material at each pixel, before lighting.

All maps are channels first: [C, N] for the N pixels of a batch laid end to end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from glpn.synthetic.rendering import compiled
from glpn.synthetic.rendering.cast import Local, Solids
from glpn.synthetic.scenes import textures
from glpn.synthetic.scenes.patterns import SIDE

_BEFORE = 1 - 1e-6  # tolerance when matching the hit to a plane of the box
# Rows of the table: origin, slope, half, axes, quadric; bevel, texture origin, material.
_ROWS = (3, 9, 3, 9, 3, 1, 3, 15)
CURVED = 3  # the `face` of a hit on a quadric; a plane's is its axis


class Surface(NamedTuple):
    """Inputs of the lighting, per pixel. Colours are linear.

    normal and shading [3, N]: unit, in the world, exact and as light sees it; colour [3, N];
    specular, gloss, emission [N]; face [N], int32.
    """

    normal: Tensor
    shading: Tensor
    colour: Tensor
    specular: Tensor
    gloss: Tensor
    emission: Tensor
    face: Tensor


class Pixels(NamedTuple):
    """Hits: row of the solid in the table [N], ray x and y, depth, metres per pixel."""

    row: Tensor
    x: Tensor
    y: Tensor
    depth: Tensor
    footprint: Tensor


class _Face(NamedTuple):
    """The face that was hit, per pixel [N]: of the x axis, of the z axis, or the quadric."""

    is_x: Tensor
    is_z: Tensor
    curved: Tensor


def surface_table(solids: Solids, local: Local, look: Tensor) -> Tensor:
    """The parameters of all solids [B·P, 46]; look is `batch.Worlds.look` [B, P, 19]."""
    fields = (
        local.origin,
        local.slope.flatten(2),
        solids.half,
        solids.axes.flatten(2),
        solids.quadric,
        look,
    )
    return torch.cat(fields, -1).flatten(0, 1)


def surface(table: Tensor, pixels: Pixels) -> Surface:
    """Geometry and material at each hit.

    On a CPU the compiled kernel computes this, if available; torch gives the same up to rounding.
    """
    device = table.device
    if not compiled.available(device):
        return surface_with_torch(table, pixels)
    tables = _bank(str(device)), _relief(str(device)), _offsets(str(device))
    maps, face = compiled.surface(table, pixels, textures=tables)
    return Surface(maps[:3], maps[3:6], maps[6:9], maps[9], maps[10], maps[11], face)


def surface_with_torch(table: Tensor, pixels: Pixels) -> Surface:
    """`surface` on any device."""
    rows = pick(table.T.contiguous(), pixels.row)
    picked = torch.split_with_sizes(rows, _ROWS)
    origin, slope, half, axes, quadric, bevel, shift, material = picked
    slope, axes = slope.reshape(3, 3, -1), axes.reshape(3, 3, -1)  # [3 axes, 3 coordinates, N]
    direction = torch.addcmul(slope[:, 2], slope[:, 0], pixels.x)
    direction = direction.addcmul_(slope[:, 1], pixels.y)
    point = torch.addcmul(origin, direction, pixels.depth)  # [3, N] in half extents
    entry = (direction.sign() + origin).div_(direction).neg_()  # depth at the planes facing the eye
    normal, face = _normal(direction, entry, pixels.depth, quadric * point / half)
    metres = point * half
    bent = _bevelled(normal, metres, half, bevel[0].clamp_min(1e-9).masked_fill_(face.curved, 1e-9))
    slant = _facing(direction.mul_(half), normal)
    u, v, swap, extent = _coordinates(point, metres + shift, half, face, material)
    colour, tilt = _paint(u, v, material, footprint=pixels.footprint / slant, extent=extent)
    return Surface(
        normal=_unit(_turned(normal, axes)),
        shading=_unit(_turned(_bumped(bent, tilt * material[10], face, swap), axes)),
        colour=colour,
        specular=material[11],
        gloss=material[12],
        emission=material[13],
        face=torch.where(face.curved, CURVED, face.is_x.int() + 2 * face.is_z.int()),
    )


def pick(table: Tensor, index: Tensor) -> Tensor:
    """Select columns of a table, [C, M] to [C, N]; index_select is fast only along axis 0."""
    picked = table.new_empty(table.shape[0], index.numel())
    for channel, out in zip(table, picked, strict=True):
        torch.index_select(channel, 0, index, out=out)
    return picked


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Dot products of vectors along the second last axis."""
    (ax, ay, az), (bx, by, bz) = a.unbind(-2), b.unbind(-2)
    return (ax * bx).addcmul_(ay, by).addcmul_(az, bz)


def _turned(vector: Tensor, axes: Tensor) -> Tensor:
    """From the axes of a solid to world axes [3, N]."""
    return (vector[0] * axes[0]).addcmul_(vector[1], axes[1]).addcmul_(vector[2], axes[2])


def _unit(vectors: Tensor) -> Tensor:
    return vectors * dot(vectors, vectors).clamp_min_(1e-12).rsqrt_()


def _normal(
    direction: Tensor, entry: Tensor, depth: Tensor, gradient: Tensor
) -> tuple[Tensor, _Face]:
    """The unit normal in local axes [3, N] and the face that was hit.

    A box is hit on the last of its planes that the ray enters; a quadric after all of them.
    """
    x, y, z = entry
    round_ = (gradient[0] != 0) | (gradient[1] != 0) | (gradient[2] != 0)
    curved = round_ & (torch.maximum(torch.maximum(x, y), z) < depth * _BEFORE)
    x, y, z = torch.where(curved, gradient.abs(), entry)
    is_x = (x >= y) & (x >= z)
    is_z = (z > y) & ~is_x
    flat = torch.stack([is_x, ~(is_x | is_z), is_z]) * direction.sign().neg_()
    return torch.where(curved, _unit(gradient), flat), _Face(is_x, is_z, curved)


def _bevelled(normal: Tensor, metres: Tensor, half: Tensor, bevel: Tensor) -> Tensor:
    """Normals that bend towards the neighbouring face along the edges of a box."""
    bend = 1 - (half - metres.abs()) / bevel
    return torch.addcmul(normal, bend.clamp_(0, 1), metres.sign(), value=0.7)


def _bumped(normal: Tensor, tilt: Tensor, face: _Face, swap: Tensor) -> Tensor:
    """The normal tilted along the face's two axes; `tilt` [2, N] is along u and v."""
    first, second = torch.where(swap, tilt.flip(0), tilt)
    x, y, z = normal
    return torch.stack(
        [
            x - first.masked_fill(face.is_x, 0),
            y - torch.where(face.is_x, first, second * face.is_z),
            z - second.masked_fill(face.is_z, 0),
        ]
    )


def _facing(direction: Tensor, normal: Tensor) -> Tensor:
    """Cosine between the ray and the surface, from 0.12 on [N]."""
    cosine = dot(direction, normal).abs_() * dot(direction, direction).rsqrt_()
    return cosine.clamp_min_(0.12)


def _coordinates(
    point: Tensor, metres: Tensor, half: Tensor, face: _Face, material: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Texture coordinates u, v [N], a mask of swapped axes, and the metres that a texture covers.

    A texture runs along the longer side of its face, unless it is upright; one without a scale
    fills its face.
    """
    fit, upright = material[1] <= 0, material[14] > 0
    (first_p, second_p), (first_m, second_m), (first_h, second_h) = (
        (torch.where(face.is_x, v[1], v[0]), torch.where(face.is_z, v[1], v[2]))
        for v in (point, metres, half)
    )
    swap = (second_h > first_h) & ~(upright | fit)
    scale = material[1].clamp_min(1e-6)
    u = torch.where(swap, second_m, first_m) / scale
    v = torch.where(swap, first_m, -second_m) / scale
    u = torch.where(fit, 0.5 + 0.4999 * first_p, u)
    v = torch.where(fit, 0.5 - 0.4999 * second_p, v)
    return u, v, swap, torch.where(fit, 2 * torch.maximum(first_h, second_h), scale)


def _paint(
    u: Tensor, v: Tensor, material: Tensor, *, footprint: Tensor, extent: Tensor
) -> tuple[Tensor, Tensor]:
    """Colour [3, N] and the relief's slopes [2, N]; a texture covers `extent` metres."""
    pattern = _sample(_bank(str(u.device)), u, v, material[0].int(), footprint / extent)
    ratio = extent / material[9]
    relief = _sample(_relief(str(u.device)), u * ratio, v * ratio, None, footprint / material[9])
    colour = torch.lerp(material[2:5], material[5:8], pattern)
    shade = torch.addcmul(torch.ones_like(u), material[8], relief[0]).clamp_min_(0.2)
    return colour.mul_(shade), relief[1:]


def _sample(
    table: Tensor, u: Tensor, v: Tensor, texture: Tensor | None, footprint: Tensor
) -> Tensor:
    """Bilinear [C, N] from the mip level whose texels are as large as the pixel."""
    offsets = _offsets(str(u.device))
    level = (footprint * SIDE).clamp_(1, 100).log2_().round_().int()
    side = SIDE >> level
    first = offsets[level]
    if texture is not None:
        first = first + texture * int(textures.level_offsets()[-1])
    x, y = u.frac().mul_(side).sub_(0.5), v.frac().mul_(side).sub_(0.5)
    left, top = x.floor(), y.floor()
    across, down = x - left, y - top
    left, top = left.int(), top.int()
    wrap = side - 1  # sides are powers of two: -1 & wrap is the last texel
    columns = (left & wrap, (left + 1) & wrap)
    rows = (first + (top & wrap) * side, first + ((top + 1) & wrap) * side)
    corner = [pick(table, row + column) for row in rows for column in columns]
    upper = torch.lerp(corner[0], corner[1], across)
    return torch.lerp(upper, torch.lerp(corner[2], corner[3], across), down)


@lru_cache(maxsize=4)
def _bank(device: str) -> Tensor:
    return torch.from_numpy(textures.bank()).to(device).float().div_(255)


@lru_cache(maxsize=4)
def _relief(device: str) -> Tensor:
    return torch.from_numpy(textures.relief()).to(device)


@lru_cache(maxsize=4)
def _offsets(device: str) -> Tensor:
    return torch.from_numpy(textures.level_offsets()).int().to(device)
