"""Ray casting: the nearest solid along every pixel's ray, exact, by tiles of 8 × 8 pixels.

Each tile tests only the solids whose box reaches into its frustum, front to back, and stops when
no later solid can be nearer. A ray has the direction (x, y, 1) in camera axes, so its parameter is
the depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from glpn.synthetic.rendering import compiled

TILE = 8
NEAR = 0.05  # metres; rays start here
NO_HIT = -1
_STEP = 3  # solids per tile between two checks for finished tiles
_CURVED_COLUMNS = 15  # columns of a row that hold the quadric
_TINY = 1e-9  # avoids division by a zero direction; an error of a nanometre per metre


class Solids(NamedTuple):
    """Solids of a batch of scenes: centre, half, quadric [B, P, 3], axes [B, P, 3, 3] (rows)."""

    centre: Tensor
    half: Tensor
    quadric: Tensor
    axes: Tensor


class Eyes(NamedTuple):
    """Cameras of a batch: position [B, 3], axes [B, 3, 3], ray directions x and y [B, H, W].

    H and W are multiples of TILE.
    """

    position: Tensor
    axes: Tensor
    x: Tensor
    y: Tensor


class Local(NamedTuple):
    """Rays in the solids' unit frames: p = origin + depth · (slope @ (x, y, 1)).

    origin [B, P, 3], slope [B, P, 3, 3].
    """

    origin: Tensor
    slope: Tensor


class Hits(NamedTuple):
    """Per pixel [B, H, W]: depth in metres and index of the solid; inf and NO_HIT on a miss."""

    depth: Tensor
    solid: Tensor


def to_local(solids: Solids, eyes: Eyes) -> Local:
    """Rays of every camera in the unit frame of every solid."""
    scaled = solids.axes / solids.half[..., None]  # [B, P, 3, 3]
    offset = eyes.position[:, None] - solids.centre
    origin = (scaled * offset[..., None, :]).sum(-1)
    turned = scaled[..., None, :] * eyes.axes[:, None, None]  # [B, P, 3 unit, 3 camera, 3 world]
    slope = turned.sum(-1)
    return Local(origin, slope + torch.tensor((0, 0, _TINY), device=slope.device))


def cast(solids: Solids, eyes: Eyes, *, wanted: Tensor) -> Hits:
    """The nearest solid per pixel among those `wanted` [B, P].

    On a CPU the compiled kernel computes this, if available; torch gives the same up to rounding.
    """
    local = to_local(solids, eyes)
    if compiled.available(eyes.x.device):
        boxes, near, order = _front_to_back(solids, eyes, wanted)
        rows = _rows(solids, local, curved=True)
        return Hits(
            *compiled.cast_pictures(
                (eyes.x, eyes.y), rows, boxes.flatten(2), ranked=(near, order), nearest=NEAR
            )
        )
    return cast_with_torch(solids, local, eyes, wanted=wanted)


def cast_with_torch(solids: Solids, local: Local, eyes: Eyes, *, wanted: Tensor) -> Hits:
    """`cast` on any device; `local` is `to_local` of the same."""
    tiles = _Tiles(eyes)
    round_ = solids.quadric.any(-1)
    tiles.trace(solids, local, wanted=wanted & ~round_, curved=False)
    tiles.trace(solids, local, wanted=wanted & round_, curved=True)
    return tiles.hits(solids.centre.shape[1])


class _Tiles:
    """Pixels grouped in tiles [T, 64]: ray directions and the nearest hit so far."""

    def __init__(self, eyes: Eyes) -> None:
        self.eyes = eyes
        batch, height, width = eyes.x.shape
        self.shape = (batch, height // TILE, width // TILE)
        self.x, self.y = self._cut(eyes.x), self._cut(eyes.y)
        self.depth = torch.full_like(self.x, torch.inf)
        self.solid = torch.full(self.x.shape, NO_HIT, device=self.x.device, dtype=torch.int32)

    def trace(self, solids: Solids, local: Local, *, wanted: Tensor, curved: bool) -> None:
        """Update depth and solid with the wanted solids."""
        reaching, near, order = self._reach(solids, wanted)
        tile, rank = reaching.flatten(0, 2).nonzero(as_tuple=True)
        if not tile.numel():
            return
        count = torch.bincount(tile, minlength=self.x.shape[0])
        start = count.cumsum(0) - count
        scene = tile // (self.shape[1] * self.shape[2])
        number = scene * order.shape[1] + rank
        nearest = near.reshape(-1)[number]
        solid = order.reshape(-1)[number] + scene * order.shape[1]
        table = _table(solids, local, curved=curved)
        active = torch.arange(count.numel(), device=count.device)
        done = 0
        while True:
            pair = start[active] + done
            left = count[active] > done
            reachable = nearest[pair.clamp_max(nearest.numel() - 1)]
            left &= reachable < self.depth[active].amax(1)
            active = active[left]
            if not active.numel():
                return
            self._advance(active, solid, table=table, span=(start[active] + done, count, done))
            done += _STEP

    def hits(self, solids: int) -> Hits:
        """From tiles back to pixels, with indices into the solids of each scene."""
        first = torch.arange(self.shape[0], device=self.x.device, dtype=torch.int32) * solids
        solid = self._join(self.solid)
        inside = solid - first[:, None, None]
        return Hits(self._join(self.depth), torch.where(solid == NO_HIT, solid, inside))

    def _advance(
        self, active: Tensor, solid: Tensor, *, table: Tensor, span: tuple[Tensor, Tensor, int]
    ) -> None:
        """Test the next _STEP solids of the active tiles."""
        first, count, done = span
        x, y = self.x[active], self.y[active]
        depth, hit = self.depth[active], self.solid[active]
        left = count[active] - done
        dummy = table.shape[0] - 1
        for step in range(_STEP):
            pair = (first + step).clamp_max(solid.numel() - 1)
            index = torch.where(left > step, solid[pair], dummy)
            near, far = _interval(table[index], x, y)
            closer = (near < torch.minimum(far, depth)) & (near > NEAR)
            depth = torch.where(closer, near, depth)
            hit = torch.where(closer, index.to(torch.int32)[:, None], hit)
        self.depth[active], self.solid[active] = depth, hit

    def _reach(self, solids: Solids, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whether each solid reaches into each tile [B, rows, columns, P], nearest first.

        Also returns the smallest depth of each solid [B, P] and their sorted order. A box is
        outside the frustum of a tile if it is entirely behind one of the planes.
        """
        batch, rows, columns = self.shape
        boxes, near, order = _front_to_back(solids, self.eyes, wanted)
        boxes = boxes.gather(1, order[..., None, None].expand_as(boxes))
        centre, arms = boxes[:, :, 0], boxes[:, :, 1:]
        x, y = (v.reshape(batch, rows, columns, -1) for v in (self.x, self.y))
        across = _between(centre, arms, 0, x.amin((1, 3)), x.amax((1, 3)))  # [B, columns, P]
        down = _between(centre, arms, 1, y.amin((2, 3)), y.amax((2, 3)))  # [B, rows, P]
        across &= near.isfinite()[:, None]
        return across[:, None] & down[:, :, None], near, order

    def _cut(self, pixels: Tensor) -> Tensor:
        batch, rows, columns = self.shape
        cut = pixels.reshape(batch, rows, TILE, columns, TILE).transpose(2, 3)
        return cut.reshape(-1, TILE * TILE)

    def _join(self, tiles: Tensor) -> Tensor:
        batch, rows, columns = self.shape
        joined = tiles.reshape(batch, rows, columns, TILE, TILE).transpose(2, 3)
        return joined.reshape(batch, rows * TILE, columns * TILE)


def _front_to_back(solids: Solids, eyes: Eyes, wanted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes in camera axes [B, P, 4, 3]: centre and arms; least depths [B, P], sorted; the order.

    The depth of a solid that is not wanted or lies behind the camera is inf.
    """
    centre = eyes.axes[:, None] * (solids.centre - eyes.position[:, None])[..., None, :]
    arms = (solids.axes[..., None, :] * eyes.axes[:, None, None]).sum(-1)
    boxes = torch.cat([centre.sum(-1)[:, :, None], arms * solids.half[..., None]], 2)
    reach = boxes[:, :, 1:, 2].abs().sum(-1)
    ahead = wanted & (boxes[:, :, 0, 2] + reach > NEAR)
    near = (boxes[:, :, 0, 2] - reach).masked_fill(~ahead, torch.inf)
    return boxes, *near.sort(dim=1)


def _between(centre: Tensor, arms: Tensor, axis: int, low: Tensor, high: Tensor) -> Tensor:
    """Whether boxes reach between the planes c = low · z and c = high · z: [B, bands, P]."""
    inside = torch.ones((), dtype=torch.bool, device=centre.device)
    for slope, side in ((low, 1.0), (high, -1.0)):
        bound = slope[:, :, None]  # [B, bands, 1]
        furthest = side * (centre[:, None, :, axis] - bound * centre[:, None, :, 2])
        for arm in range(3):
            along = arms[:, None, :, arm, axis] - bound * arms[:, None, :, arm, 2]
            furthest = furthest + along.abs()
        inside = inside & (furthest >= 0)
    return inside


def _table(solids: Solids, local: Local, *, curved: bool) -> Tensor:
    """Parameters of each solid's intersection test [B·P + 1, 12 or 15, 1]; the last never hits."""
    rows = _rows(solids, local, curved=curved).flatten(0, 1)
    never = torch.zeros_like(rows[:1])
    never[:, 9:12] = 1e3
    never[:, (2, 5, 8)] = _TINY
    return torch.cat([rows, never])[..., None]


def _rows(solids: Solids, local: Local, *, curved: bool) -> Tensor:
    """Per solid slope, origin and, if `curved`, quadric: [B, P, 12 or 15]."""
    columns = [local.slope.flatten(2), local.origin]
    return torch.cat([*columns, solids.quadric] if curved else columns, -1)


def nearest_of(
    solids: Solids, local: Local, candidates: Tensor, *, at: tuple[Tensor, Tensor]
) -> Hits:
    """The nearest of K candidate solids per ray: indices [K, B, n], ray x and y [B, n]."""
    if compiled.available(at[0].device):
        rows = _rows(solids, local, curved=True)
        return Hits(*compiled.nearest_of(at, rows, candidates, nearest=NEAR))
    return nearest_with_torch(solids, local, candidates, at=at)


def nearest_with_torch(
    solids: Solids, local: Local, candidates: Tensor, *, at: tuple[Tensor, Tensor]
) -> Hits:
    """`nearest_of` on any device."""
    x, y = at
    batch, count = solids.centre.shape[:2]
    first = torch.arange(batch, device=x.device)[:, None] * count
    table = _table(solids, local, curved=True)[..., 0].T.contiguous()  # [15, B·P + 1]
    depth = torch.full_like(x, torch.inf)
    solid = torch.full(x.shape, NO_HIT, device=x.device, dtype=torch.int32)
    rays = x.reshape(1, -1), y.reshape(1, -1)
    for candidate in candidates:
        index = torch.where(candidate == NO_HIT, batch * count, candidate + first)
        near, far = _interval(table[:, index.reshape(-1)][None], *rays)
        near, far = near.reshape(x.shape), far.reshape(x.shape)
        closer = (near < torch.minimum(far, depth)) & (near > NEAR)
        depth = torch.where(closer, near, depth)
        solid = torch.where(closer, candidate, solid)
    return Hits(depth, solid)


def _interval(row: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Depths at which rays enter and leave a solid: row [n, 12 or 15, 1], x and y [n, 64].

    On a miss, the entry is behind the exit.
    """
    g, h, k = row[:, 0:9:3], row[:, 1:9:3], row[:, 2:9:3]  # [n, 3, 1]
    slope = torch.addcmul(torch.addcmul(k, g, x[:, None]), h, y[:, None])  # [n, 3, 64]
    reciprocal = slope.reciprocal()
    middle = reciprocal * -row[:, 9:12]
    width = reciprocal.abs_()
    near, far = (middle - width).amax(1), width.add_(middle).amin(1)
    if row.shape[1] == _CURVED_COLUMNS:
        entry, exit_ = _interval_quadric(row, slope.unbind(1))
        near, far = torch.maximum(near, entry), torch.minimum(far, exit_)
    return near, far


def _interval_quadric(row: Tensor, slopes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Entry and exit of Σ q p² <= 1; the entry is inf on a miss.

    Computed about the point of closest approach, which keeps thin rods exact in float32.
    """
    origin, quadric = row[:, 9:12].unbind(1), row[:, 12:15].unbind(1)
    weighted = [q * slope for q, slope in zip(quadric, slopes, strict=True)]
    square = weighted[0] * slopes[0] + weighted[1] * slopes[1] + weighted[2] * slopes[2]
    product = origin[0] * weighted[0] + origin[1] * weighted[1] + origin[2] * weighted[2]
    inverse = (square + 1e-12).reciprocal()
    closest = -product * inverse
    outside = torch.full_like(closest, -1)
    for axis in range(3):
        point = torch.addcmul(origin[axis], closest, slopes[axis])
        outside = torch.addcmul(outside, quadric[axis] * point, point)
    reach = (-outside * inverse).clamp_min(0).sqrt()
    return (closest - reach).masked_fill_(outside > 0, torch.inf), closest + reach
