"""Furniture: stands it along a room's walls and in its middle, and hangs it on walls and ceiling.

`room_types.py` lists the furniture of each type of room; `seating.py` and `storage.py` build it
from solids; `mesh_furniture.py` replaces it with models of a catalogue.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from glpn.synthetic.scenes import belongings, mesh_furniture, seating, storage
from glpn.synthetic.scenes import materials as mat
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.room_types import Maker
from glpn.synthetic.scenes.scene import MAX_SOLIDS
from glpn.synthetic.scenes.solids import BOX, CYLINDER, ELLIPSOID, Piece

if TYPE_CHECKING:
    from glpn.synthetic.scenes.rooms import Room


def furnish(room: Room) -> None:
    """Stand the room's furniture: the pieces that define it, then the middle, then the walls."""
    for maker in room.type.first:
        _anchor(room, maker)
    _furnish_middle(room)
    for number in room.kit.rng.permutation(4):
        _furnish_wall(room, int(number))


def _anchor(room: Room, maker: Maker) -> None:
    """The furniture that defines the room, at a free place along any wall."""
    piece = mesh_furniture.make(room.kit, maker)
    low, high = piece.bounds()
    for _ in range(10):
        number = room.kit.whole(0, 3)
        slack = room.walls[number].length - float(high[0] - low[0]) - 0.04
        if slack > 0 and _stand(room, number, piece, room.kit.uniform(0.02, slack)):
            return


def _stand(room: Room, number: int, piece: Piece, start: float) -> bool:
    """Put a piece against a wall if there is space, its left end `start` metres along the wall."""
    kit, wall, (at, yaw) = room.kit, room.walls[number], room.places[number]
    low, high = piece.bounds()
    x = start - wall.length / 2
    middle = x - float(low[0])
    span = (x, middle + float(high[0]))
    if span[1] > wall.length / 2 or not wall.free(span, height=float(high[2])):
        return False
    away = 0.02 - float(low[1]) + (kit.uniform(0, 0.25) if kit.chance(0.2) else 0)
    turn = kit.uniform(-0.12, 0.12) if kit.chance(0.15) else 0.0
    c, s = math.cos(yaw), math.sin(yaw)
    place = (at[0] + c * middle - s * away, at[1] + s * middle + c * away, 0.0)
    if not room.put(piece, place, yaw + turn, check=True):
        return False
    wall.taken.append(span)
    return True


def _furnish_wall(room: Room, number: int) -> None:
    """Furniture along one wall, from one end to the other."""
    kit, wall = room.kit, room.walls[number]
    makers = list(room.type.along)
    weights = np.cumsum([room.type.along[maker] for maker in makers])
    reach = weights / weights[-1]
    x = 0.03 + kit.rng.exponential(room.type.gap)
    for _ in range(60):
        if x > wall.length - 0.3 or room.solids > 0.85 * MAX_SOLIDS:
            return
        start = x - wall.length / 2
        if not wall.free((start, start + 0.3), height=0.1):
            x += 0.12
            continue
        piece = mesh_furniture.make(kit, makers[int(np.searchsorted(reach, kit.rng.random()))])
        if _stand(room, number, piece, x):
            x += float(np.ptp(piece.bounds()[:, 0])) + 0.02 + kit.rng.exponential(room.type.gap)
        else:
            x += 0.3


def _furnish_middle(room: Room) -> None:
    """Groups, rugs, people and small things away from the walls."""
    for name in room.type.middle:
        kit = room.kit
        if name == "rug" and kit.chance(0.5):
            _lay_rug(room)
        elif name == "clutter":
            for _ in range(int(kit.rng.poisson(9))):
                _scatter(room, mesh_furniture.make(kit, belongings.on_floor), tries=3)
        elif name == "person" and kit.chance(0.18):
            _scatter(room, mesh_furniture.make(kit, seating.person), tries=3)
        elif name in ("dining", "coffee", "island", "desks") and kit.chance(0.9):
            _group(room, name)
        elif name == "chairs":
            for _ in range(kit.whole(0, 4)):
                _scatter(room, mesh_furniture.make(kit, seating.office_chair), tries=2)
        elif name == "racks":
            _rows(room)
        elif name == "columns" and kit.chance(0.5):
            for _ in range(kit.whole(1, 3)):
                column = Piece()
                r = kit.uniform(0.15, 0.4)
                shape = CYLINDER if kit.chance(0.5) else BOX
                column.solid(room.done.wall, shape, (-r, r), (-r, r), (0, room.done.height))
                _scatter(room, column, tries=3)


def _scatter(room: Room, piece: Piece, *, tries: int, yaw: float | None = None) -> bool:
    """Try to find a free place away from the walls."""
    kit = room.kit
    for _ in range(tries):
        at = (kit.uniform(0.15, 0.85) * room.width, kit.uniform(0.15, 0.85) * room.depth, 0.0)
        turn = kit.uniform(0, 2 * math.pi) if yaw is None else yaw
        if room.put(piece, at, turn, check=True):
            return True
    return False


def _lay_rug(room: Room) -> None:
    kit = room.kit
    half, deep = kit.uniform(0.25, 0.42) * room.width, kit.uniform(0.2, 0.4) * room.depth
    piece = Piece()
    if kit.chance(0.15):
        half = deep = min(half, deep)
        piece.solid(kit.new(mat.rug), CYLINDER, (-half, half), (-deep, deep), (0, 0.012))
    else:
        piece.block(kit.new(mat.rug), (-half, half), (-deep, deep), (0, 0.012))
    at = (room.width * kit.uniform(0.4, 0.6), room.depth * kit.uniform(0.4, 0.6), 0.0)
    room.put(piece, at, kit.uniform(-0.05, 0.05))


def _group(room: Room, name: str) -> None:
    """A table with its chairs, in the middle."""
    kit, piece = room.kit, Piece()
    real = (
        None if kit.library is None else mesh_furniture.from_stock(kit, mesh_furniture.TABLES[name])
    )
    if real is not None:
        piece.add(real)
        if name in ("dining", "desks"):
            (x0, _, _), (x1, deep, _) = real.bounds().tolist()
            _seats(kit, piece, name, size=(x1 - x0, deep))
    elif name == "coffee":
        piece.add(
            storage.table(kit, kit.uniform(0.7, 1.3), kit.uniform(0.5, 0.7), kit.uniform(0.35, 0.5))
        )
    elif name == "island":
        piece.add(storage.counter(kit, kit.uniform(1.0, 1.8), hood=False))
        for _ in range(kit.whole(0, 3)):
            piece.add(seating.stool(kit), (kit.uniform(-0.6, 0.6), kit.uniform(0.9, 1.1), 0))
    else:
        width, deep = kit.uniform(0.8, 2.2), kit.uniform(0.75, 1.1)
        piece.add(storage.table(kit, width, deep, kit.uniform(0.71, 0.77)))
        _seats(kit, piece, name, size=(width, deep))
    if kit.chance(0.4) and name != "coffee":
        _pendant(room, piece)
    turn = kit.whole(0, 3) * math.pi / 2 + kit.uniform(-0.1, 0.1)
    _scatter(room, piece, tries=8, yaw=turn)


def _seats(kit: Kit, table: Piece, name: str, *, size: tuple[float, float]) -> None:
    """Chairs of one model along both sides of a table of that width and depth."""
    width, deep = size
    one = mesh_furniture.make(kit, seating.chair if name == "dining" else seating.office_chair)
    for number in range(max(1, int(width / 0.62))):
        x = (number + 0.5) * width / max(1, int(width / 0.62)) - width / 2
        for y, yaw in ((-0.45, 0.0), (deep + 0.45, math.pi)):
            if kit.chance(0.8):
                out = kit.uniform(-0.15, 0.25) * (1 if yaw else -1)
                table.add(one, (x, y + out, 0), yaw + kit.uniform(-0.3, 0.3))


def _pendant(room: Room, piece: Piece) -> None:
    """A lamp that hangs over a table."""
    kit, height = room.kit, room.done.height
    r, z = kit.uniform(0.1, 0.3), kit.uniform(1.6, 1.9)
    shape = ELLIPSOID if kit.chance(0.5) else CYLINDER
    piece.glow(kit.shared(mat.lamp_shade), shape, (-r, r), (0.4 - r, 0.4 + r), (z, z + 1.2 * r))
    piece.upright(kit.shared(mat.metal), (0, 0.4), 0.008, (z, height))


def _rows(room: Room) -> None:
    """Racks in parallel rows, as in a shop."""
    kit = room.kit
    one = storage.rack(kit)
    step = kit.uniform(1.6, 2.6)
    y = 2.0
    while y < room.depth - 2:
        for x in np.arange(1.6, room.width - 1.6, 2.5):
            if kit.chance(0.7):
                room.put(
                    one if kit.chance(0.5) else storage.rack(kit), (float(x), y, 0), check=True
                )
        y += step


def hang_meshes(room: Room) -> None:
    """Radiators, lamps, clocks and switches on the walls, and lamps under the ceiling."""
    kit = room.kit
    for wall, (at, yaw) in zip(room.walls, room.places, strict=True):
        for _ in range(int(kit.rng.poisson(0.35 * wall.length))):
            found = mesh_furniture.hung(kit, ("wall thing",))
            if found is None:
                return
            (x0, _, _), (x1, _, tall) = found[0].bounds().tolist()
            x = kit.uniform(-0.5, 0.5) * (wall.length - (x1 - x0))
            if wall.free((x + x0, x + x1), height=found[1] + tall):
                wall.taken.append((x + x0, x + x1))
                c, s = math.cos(yaw), math.sin(yaw)
                room.put(found[0], (at[0] + c * x, at[1] + s * x, found[1]), yaw)
    for _ in range(kit.whole(0, 2)):
        found = mesh_furniture.hung(kit, ("pendant",))
        if found is not None:
            tall = float(found[0].bounds()[1, 2])
            x, y = kit.uniform(0.2, 0.8) * room.width, kit.uniform(0.2, 0.8) * room.depth
            if room.done.height - tall > 1.5:
                room.put(found[0], (x, y, room.done.height - tall))
