"""Room types (living room, kitchen, …): how often each occurs, its sizes and its furniture.

`furniture.py` stands the furniture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from glpn.synthetic.scenes import belongings, clutter, seating, storage
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.solids import Piece, Span

Maker = Callable[[Kit], Piece]


def counter(kit: Kit) -> Piece:
    """Kitchen units in a row."""
    return storage.counter(kit, kit.uniform(1.2, 3.2), hood=kit.chance(0.7))


def console(kit: Kit) -> Piece:
    """A narrow table."""
    return storage.table(kit, kit.uniform(0.7, 1.5), kit.uniform(0.3, 0.5), kit.uniform(0.6, 0.85))


def standard_lamp(kit: Kit) -> Piece:
    """A lamp on the floor."""
    piece = Piece()
    piece.add(clutter.lamp(kit, kit.uniform(1.3, 1.8)), (0, 0.25, 0))
    return piece


def floor_thing(kit: Kit) -> Piece:
    """Something on the floor near a wall."""
    piece = Piece()
    piece.add(belongings.on_floor(kit), (0, 0.35, 0), kit.uniform(-0.3, 0.3))
    return piece


def bed_and_nightstand(kit: Kit) -> Piece:
    """A bed with up to two nightstands."""
    piece = seating.bed(kit)
    low, high = piece.bounds()
    for x in (low[0] - 0.3, high[0] + 0.3):
        if kit.chance(0.6):
            piece.add(storage.nightstand(kit), (float(x), 0, 0))
    return piece


_EVERYWHERE: dict[Maker, float] = {
    floor_thing: 2.5,
    standard_lamp: 0.5,
    seating.chair: 0.7,
    storage.cupboard: 0.8,
    storage.shelf: 2.2,
}


@dataclass(frozen=True)
class RoomType:
    """One type of room: ranges of its sides and height, doors and windows, furniture.

    `first` is placed before everything else; `gap` is the mean free space in metres between objects
    along walls; `middle` names the groups away from the walls.
    """

    width: Span
    depth: Span
    height: Span
    along: dict[Maker, float]
    middle: tuple[str, ...]
    first: tuple[Maker, ...] = ()
    gap: float = 0.09
    windows: float = 0.35
    doors: float = 0.32
    pictures: float = 1.1


ROOM_TYPES: dict[str, tuple[float, RoomType]] = {
    "living": (
        0.24,
        RoomType(
            (3.2, 6.5), (3.5, 7.5), (2.4, 3.0),
            {seating.sofa: 3, storage.television: 1.2, console: 1, **_EVERYWHERE},
            ("coffee", "rug", "dining", "person", "clutter"),
            (seating.sofa, storage.television, seating.sofa),
        ),
    ),
    "bedroom": (
        0.2,
        RoomType(
            (2.8, 4.6), (3.0, 5.0), (2.3, 2.8),
            {storage.desk: 0.8, storage.cupboard: 2, **_EVERYWHERE},
            ("rug", "clutter"), (bed_and_nightstand, bed_and_nightstand),
        ),
    ),
    "kitchen": (
        0.17,
        RoomType(
            (2.4, 4.5), (3.0, 6.0), (2.3, 2.8),
            {counter: 4, storage.appliance: 2.2, storage.shelf: 0.3, floor_thing: 0.4},
            ("dining", "island", "person", "clutter"),
            (counter, counter, storage.appliance), gap=0.08, windows=0.35, pictures=0.12,
        ),
    ),
    "dining": (
        0.08,
        RoomType(
            (3.0, 5.0), (3.5, 6.5), (2.4, 3.0), {console: 1, **_EVERYWHERE},
            ("dining", "dining", "rug", "person", "clutter"),
        ),
    ),
    "office": (
        0.12,
        RoomType(
            (2.8, 6.5), (3.0, 8.0), (2.5, 3.0), {storage.desk: 3, **_EVERYWHERE},
            ("chairs", "desks", "person", "clutter"), (storage.desk, storage.desk), windows=0.5,
        ),
    ),
    "bathroom": (
        0.07,
        RoomType(
            (1.7, 2.9), (2.0, 3.6), (2.3, 2.7),
            {storage.washbasin: 2, storage.toilet: 2, storage.bathtub: 1.2, floor_thing: 0.6,
             storage.shelf: 0.3},
            ("clutter",), (storage.bathtub, storage.toilet, storage.washbasin), windows=0.25,
        ),
    ),
    "corridor": (
        0.05,
        RoomType(
            (1.2, 2.4), (5.0, 16.0), (2.3, 3.0), {console: 1, floor_thing: 2, storage.shelf: 0.5},
            ("person", "clutter"), gap=1.5, windows=0.15, doors=0.9,
        ),
    ),
    "hall": (
        0.07,
        RoomType(
            (6.0, 12.0), (7.0, 15.0), (2.8, 4.5), {storage.rack: 3, console: 1, floor_thing: 1},
            ("racks", "columns", "person", "person", "dining", "dining", "clutter"), windows=0.5,
        ),
    ),
}  # fmt: skip
