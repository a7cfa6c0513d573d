"""Mesh furniture: replaces furniture of solids with models of a catalogue.

Small models stand on and in the large ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glpn.errors import DataError
from glpn.synthetic.furniture_models.catalogue import Model
from glpn.synthetic.furniture_models.obj import Mesh
from glpn.synthetic.scenes import belongings, room_types, seating, storage
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.room_types import Maker
from glpn.synthetic.scenes.solids import Piece, Thing, Vector, turn_about_z

_PLAIN_SHARE = 0.12  # share of the furniture that stays procedural, for more variety
_LEVEL = 0.97  # cosine to the vertical from which a face carries things
_EVEN = 0.006  # metres within which the places under a thing's corners are level
_LOWEST = 0.2  # metres: the floor below a table carries no ornaments
_TRIES = 3  # attempts to place one small thing


@dataclass(frozen=True)
class Stock:
    """The kinds of models that replace a maker, and what lies on them: its kinds, mean number."""

    kinds: tuple[str, ...]
    on_top: tuple[str, ...] = ()
    mean: float = 0.0


_MIXED = ("ornament", "ornament", "kitchenware")
_STOCK: dict[Maker, Stock] = {
    seating.sofa: Stock(("sofa", "sofa", "armchair")),
    seating.chair: Stock(("chair", "armchair")),
    seating.office_chair: Stock(("office chair", "chair")),
    seating.stool: Stock(("chair",)),
    seating.person: Stock(("person",)),
    seating.bed: Stock(("bed",)),
    storage.television: Stock(("tv stand",), ("tv", "ornament"), 3),
    storage.cupboard: Stock(("wardrobe", "shelf", "piano"), ("ornament",), 2),
    storage.shelf: Stock(("shelf", "shelf", "wardrobe"), _MIXED, 8),
    storage.rack: Stock(("shelf",), _MIXED, 8),
    storage.desk: Stock(("desk",), ("ornament", "tv", "table lamp", "kitchenware"), 5),
    storage.nightstand: Stock(("bedside",), ("table lamp", "ornament"), 2),
    storage.appliance: Stock(("appliance",), ("kitchenware",), 1),
    storage.washbasin: Stock(("washbasin",), ("toiletry",), 3),
    storage.toilet: Stock(("toilet",)),
    storage.bathtub: Stock(("bath",), ("toiletry",), 1),
    belongings.on_floor: Stock(("floor thing", "plant")),
    room_types.console: Stock(("wardrobe", "table", "tv stand"), ("ornament", "table lamp"), 4),
    room_types.standard_lamp: Stock(("floor lamp", "plant")),
}
_DINING = Stock(("table",), ("kitchenware", "kitchenware", "ornament"), 6)
_COFFEE = Stock(("coffee table",), _MIXED, 3)
_ISLAND = Stock(("counter", "table"), ("kitchenware",), 5)
_COUNTER = Stock(("counter",), ("kitchenware",), 3)
TABLES = {"dining": _DINING, "desks": _STOCK[storage.desk], "coffee": _COFFEE, "island": _ISLAND}


def make(kit: Kit, maker: Maker) -> Piece:
    """What the maker makes, usually with meshes if the kit has a library."""
    if kit.library is None or kit.chance(_PLAIN_SHARE):
        return maker(kit)
    if maker is room_types.counter:
        return _kitchen_row(kit) or maker(kit)
    if maker is room_types.bed_and_nightstand:
        return _bed(kit) or maker(kit)
    if maker is room_types.floor_thing:
        return _away(kit, make(kit, belongings.on_floor))
    stock = _STOCK.get(maker)
    return maker(kit) if stock is None else from_stock(kit, stock) or maker(kit)


def from_stock(kit: Kit, stock: Stock) -> Piece | None:
    """A model of one of the kinds with small things on it; None if there is none."""
    piece = mesh_piece(kit, stock.kinds)
    if piece is not None and stock.on_top:
        _dress(kit, piece, stock)
    return piece


def mesh_piece(kit: Kit, kinds: tuple[str, ...]) -> Piece | None:
    """One model as a piece; None if the library has none of the kinds."""
    found = _model(kit, kinds)
    if found is None:
        return None
    piece = Piece()
    piece.things.append(thing(kit, found[1]))
    return piece


def hung(kit: Kit, kinds: tuple[str, ...]) -> tuple[Piece, float] | None:
    """A model that hangs on a wall or from the ceiling, and its elevation."""
    found = _model(kit, kinds)
    if found is None:
        return None
    piece = Piece()
    piece.things.append(thing(kit, found[1]))
    return piece, found[0].elevation


def thing(kit: Kit, mesh: Mesh, at: Vector = (0.0, 0.0, 0.0), yaw: float = 0.0) -> Thing:
    """A mesh at a place, sometimes mirrored, in a shade of its colours."""
    mirror = np.diag([-1.0 if kit.chance(0.5) else 1.0, 1.0, 1.0])
    shade = math.exp(0.18 * kit.rng.standard_normal())
    hue = np.exp((0.35 if kit.chance(0.15) else 0.04) * kit.rng.standard_normal(3))
    r, g, b = (shade * hue).tolist()
    return Thing(mesh, turn_about_z(yaw) @ mirror, np.array(at), (r, g, b))


def _model(kit: Kit, kinds: tuple[str, ...]) -> tuple[Model, Mesh] | None:
    """A random model of these kinds and its mesh; a file that cannot be read is passed over."""
    if kit.library is None:
        return None
    for _ in range(4):
        model = kit.library.pick(kit.rng, (kinds[kit.whole(0, len(kinds) - 1)],))
        if model is None:
            continue
        try:
            return model, kit.library.load(model)
        except DataError:
            continue
    return None


def _kitchen_row(kit: Kit) -> Piece | None:
    """Lower cabinets and appliances side by side, upper cabinets above some of them."""
    row, x = Piece(), 0.0
    for _ in range(kit.whole(1, 4)):
        kinds = ("counter", "counter", "counter", "appliance")
        unit = mesh_piece(kit, (kinds[kit.whole(0, 3)],))
        if unit is None:
            return None
        low, high = unit.bounds()
        if high[2] < 1.1:
            _dress(kit, unit, _COUNTER)
            above = hung(kit, ("upper cabinet",)) if kit.chance(0.6) else None
            if above is not None and above[1] > 1.2:
                unit.add(above[0], (0, 0, above[1]))
        row.add(unit, (x - float(low[0]), 0, 0))
        x += float(high[0] - low[0]) + (0.0 if kit.chance(0.8) else kit.uniform(0, 0.1))
    return row


def _bed(kit: Kit) -> Piece | None:
    piece = mesh_piece(kit, ("bed",))
    if piece is None:
        return None
    low, high = piece.bounds()
    for side in (low[0] - 0.32, high[0] + 0.32):
        if kit.chance(0.6):
            piece.add(make(kit, storage.nightstand), (float(side), 0, 0))
    return piece


def _away(kit: Kit, thing_: Piece) -> Piece:
    """Something at some distance from the wall, turned at random."""
    piece = Piece()
    yaw = kit.uniform(-0.3, 0.3) if kit.chance(0.5) else kit.uniform(0, 2 * math.pi)
    (low, _), _ = thing_.footprint((0, 0, 0), yaw)[:, ::-1].tolist()
    piece.add(thing_, (0, 0.02 - low, 0), yaw)
    return piece


def _dress(kit: Kit, piece: Piece, stock: Stock) -> None:
    """Put small things on level places of the piece's first mesh."""
    carrier = piece.things[0]
    faces = _level_faces(carrier)
    if not len(faces):
        return
    (x0, y0), (x1, y1) = carrier.bounds()[:, :2].tolist()
    taken: list[tuple[float, float, float, float]] = []  # x, y, radius, z
    for _ in range(int(kit.rng.poisson(stock.mean))):
        found = _model(kit, stock.on_top)
        if found is None:
            return
        yaw = kit.uniform(-0.6, 0.6) if kit.chance(0.7) else kit.uniform(0, 2 * math.pi)
        small = thing(kit, found[1], yaw=yaw)
        low, high = small.bounds()
        wide, deep, tall = (high - low).tolist()
        for _ in range(_TRIES):
            if wide > x1 - x0 or deep > y1 - y0:
                break
            x, y = (
                kit.uniform(x0 + wide / 2, x1 - wide / 2),
                kit.uniform(y0 + deep / 2, y1 - deep / 2),
            )
            z = _level_at(kit, faces, (x, y), size=(wide, deep, tall))
            r = math.hypot(wide, deep) / 2
            if z is None or any(
                abs(z - c) < 0.05 and math.hypot(x - a, y - b) < 0.8 * (r + s)
                for a, b, s, c in taken
            ):
                continue
            taken.append((x, y, r, z))
            move = np.array([x - (low[0] + high[0]) / 2, y - (low[1] + high[1]) / 2, z - low[2]])
            piece.things.append(small._replace(at=small.at + move))
            break


def _level_faces(carrier: Thing) -> NDArray[np.float32]:
    """The horizontal triangles of a mesh in its piece [F, 3, 3]."""
    mesh = carrier.mesh.placed(carrier.matrix, carrier.at)
    a, b = mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0]
    normal = np.cross(a, b)
    level = np.abs(normal[:, 2]) > _LEVEL * np.linalg.norm(normal, axis=1)
    return np.asarray(mesh.corners[level])


def _level_at(
    kit: Kit, faces: NDArray[np.float32], at: tuple[float, float], *, size: Vector
) -> float | None:
    """A height at which a thing of that size stands free; usually the highest one."""
    (x, y), (wide, deep, tall) = at, size
    middle = _heights(faces, x, y)
    levels = middle[middle > _LOWEST]
    for dx, dy in ((-0.4, -0.4), (0.4, -0.4), (-0.4, 0.4), (0.4, 0.4)):
        corner = _heights(faces, x + dx * wide, y + dy * deep)
        if not corner.size or not levels.size:
            return None
        levels = levels[np.abs(levels[:, None] - corner).min(1) < _EVEN]
    free = [z for z in levels.tolist() if not ((middle > z + _EVEN) & (middle < z + tall)).any()]
    if not free:
        return None
    return float(max(free) if kit.chance(0.5) else free[kit.whole(0, len(free) - 1)])


def _heights(faces: NDArray[np.float32], x: float, y: float) -> NDArray[np.float64]:
    """The heights of the horizontal faces above and below a point of the plan."""
    flat = faces[..., :2] - np.array([x, y], np.float32)
    near = (flat.min(1) <= 0).all(1) & (flat.max(1) >= 0).all(1)
    flat, z = flat[near].astype(np.float64), faces[near][:, :, 2].mean(1)
    turn = np.roll(flat, -1, 1)
    side = flat[..., 0] * turn[..., 1] - flat[..., 1] * turn[..., 0]
    inside = (side >= 0).all(1) | (side <= 0).all(1)
    return np.unique(np.asarray(z[inside], np.float64))
