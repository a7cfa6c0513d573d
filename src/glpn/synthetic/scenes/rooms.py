"""Rooms: floor, walls and ceiling with doors, windows and lamps; `furniture.py` furnishes them."""

from __future__ import annotations

import math

import numpy as np

from glpn.synthetic.scenes import coverings, furniture, shell
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.room_types import ROOM_TYPES, RoomType
from glpn.synthetic.scenes.scene import MAX_SOLIDS, MAX_TRIANGLES
from glpn.synthetic.scenes.shell import THICK, Finish, Wall
from glpn.synthetic.scenes.solids import Piece, Span, Vector

Footprint = list[list[float]]  # lowest x and y, highest x and y


class Room:
    """One room while it is being furnished; its floor spans (0, 0) to (width, depth)."""

    def __init__(self, kit: Kit, type: RoomType) -> None:
        self.kit = kit
        self.type = type
        self.width, self.depth = kit.uniform(*type.width), kit.uniform(*type.depth)
        self.done: Finish = shell.finish(kit, kit.uniform(*type.height))
        self.pieces: list[Piece] = []
        self.walls = [Wall(length) for length in (self.width, self.width, self.depth, self.depth)]
        self.places: list[tuple[Vector, float]] = [
            ((self.width / 2, 0.0, 0.0), 0.0),
            ((self.width / 2, self.depth, 0.0), math.pi),
            ((0.0, self.depth / 2, 0.0), -math.pi / 2),
            ((self.width, self.depth / 2, 0.0), math.pi / 2),
        ]
        self.taken: list[Footprint] = []  # footprints of the furniture so far
        self.solids = 0
        self.triangles = 0

    def put(self, piece: Piece, at: Vector, yaw: float = 0.0, *, check: bool = False) -> bool:
        """Place a piece in the room; with `check`, only in free space."""
        triangles = sum(len(thing.mesh.corners) for thing in piece.things)
        if not (piece.solids or piece.things) or self.solids + len(piece.solids) > MAX_SOLIDS:
            return False
        if self.triangles + triangles > MAX_TRIANGLES:
            return False
        if check:
            (x0, y0), (x1, y1) = box = piece.footprint(at, yaw).tolist()
            inside = min(x0, y0) > -0.05 and x1 < self.width + 0.05 and y1 < self.depth + 0.05
            if not inside or any(_meet(box, other) for other in self.taken):
                return False
            self.taken.append(box)
        placed = Piece()
        placed.add(piece, at, yaw)
        self.pieces.append(placed)
        self.solids += len(placed.solids)
        self.triangles += triangles
        return True


def _meet(a: Footprint, b: Footprint) -> bool:
    return all(a[0][axis] < b[1][axis] - 0.02 and b[0][axis] < a[1][axis] - 0.02 for axis in (0, 1))


def sample_room(kit: Kit) -> Room:
    """Build and furnish a room of a random type."""
    names = list(ROOM_TYPES)
    share = np.array([ROOM_TYPES[name][0] for name in names])
    name = names[int(kit.rng.choice(len(names), p=share / share.sum()))]
    room = Room(kit, ROOM_TYPES[name][1])
    _build(room)
    furniture.furnish(room)
    for wall, (at, yaw) in zip(room.walls, room.places, strict=True):
        room.put(shell.hang(kit, wall, density=room.type.pictures), at, yaw)
    if kit.library is not None:
        furniture.hang_meshes(room)
    return room


def _build(room: Room) -> None:
    """Floor, ceiling, walls with doors and windows, and ceiling lamps."""
    kit, done = room.kit, room.done
    for wall in room.walls:
        shell.open_up(kit, wall, done.height, windows=room.type.windows, doors=room.type.doors)
    ground, above = Piece(), Piece()
    across, along = (-THICK, room.width + THICK), (-THICK, room.depth + THICK)
    ground.block(done.floor, across, along, (-0.2, 0))
    above.block(done.ceiling, across, along, (done.height, done.height + 0.2))
    room.put(ground, (0, 0, 0))
    room.put(above, (0, 0, 0))
    for wall, (at, yaw) in zip(room.walls, room.places, strict=True):
        room.put(shell.masonry(wall, done), at, yaw)
        for opening in wall.openings:
            room.put(shell.fill(kit, opening, done), at, yaw)
            if opening.kind == "passage":
                room.put(shell.next_room(kit, opening, done.height), at, yaw)
            if opening.kind != "window":  # keep the doorway free
                _reserve(room, at, yaw, opening.x)
    if kit.chance(0.25):
        _bay(room)
    if kit.library is not None:
        _cover(room)


def _cover(room: Room) -> None:
    """Photographed textures on some floors and walls."""
    kit = room.kit
    if kit.chance(0.35):
        ground = coverings.carpet(kit, (room.width, room.depth))
        if ground is not None:
            room.put(ground, (0, 0, 0))
    if kit.chance(0.3):
        papers = coverings.wallpaper(kit, room.walls, room.done.height)
        for piece, (at, yaw) in zip(papers, room.places, strict=False):
            room.put(piece, at, yaw)


def _reserve(room: Room, at: Vector, yaw: float, span: Span) -> None:
    piece = Piece()
    piece.block(0, span, (0, 0.6), (0, 1))
    room.taken.append(piece.footprint(at, yaw).tolist())


def _bay(room: Room) -> None:
    """A corner walled off: the room becomes L-shaped."""
    kit = room.kit
    wide, deep = kit.uniform(0.3, 0.4 * room.width), kit.uniform(0.3, 0.4 * room.depth)
    x = 0.0 if kit.chance(0.5) else room.width - wide
    y = 0.0 if kit.chance(0.5) else room.depth - deep
    piece = Piece()
    piece.block(room.done.wall, (0, wide), (0, deep), (0, room.done.height))
    room.put(piece, (x, y, 0), check=True)
