"""Objects on floors: cartons, bins, shoes, clothes, drying racks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from glpn.synthetic.scenes import clutter
from glpn.synthetic.scenes import materials as mat
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.solids import BOLSTER, ELLIPSOID, Piece


def ball(kit: Kit) -> Piece:
    """A ball or a globe."""
    piece = Piece()
    r = kit.uniform(0.05, 0.3)
    piece.solid(kit.new(mat.plastic), ELLIPSOID, (-r, r), (-r, r), (0, 2 * r))
    return piece


def bin_(kit: Kit) -> Piece:
    """A waste basket, bucket or laundry basket."""
    piece = Piece()
    r, tall = kit.uniform(0.12, 0.25), kit.uniform(0.25, 0.6)
    stuff = kit.any((mat.plastic, mat.metal, mat.dark_plastic))
    if kit.chance(0.6):
        piece.upright(stuff, (0, 0), r, (0, tall))
        piece.upright(kit.shared(mat.dark_plastic), (0, 0), r * 0.9, (tall - 0.02, tall + 0.003))
    else:
        piece.block(stuff, (-r, r), (-r * 0.8, r * 0.8), (0, tall))
    if kit.chance(0.3):
        piece.solid(kit.new(mat.fabric), ELLIPSOID, (-r, r), (-r, r), (tall - 0.1, tall + 0.15))
    return piece


def carton(kit: Kit) -> Piece:
    """A cardboard box, a case or a crate on the floor."""
    piece = Piece()
    wide, deep, tall = kit.uniform(0.12, 0.35), kit.uniform(0.12, 0.3), kit.uniform(0.15, 0.6)
    card = mat.Material(1, 0.4, **mat.shades((0.4, 0.27, 0.15), 0.1), relief=0.06)
    stuff = kit.new(lambda _: card)
    if kit.chance(0.4):
        stuff = kit.any((mat.printed, mat.wood, mat.fabric, mat.lacquer, mat.plastic))
    piece.block(stuff, (-wide, wide), (-deep, deep), (0, tall))
    if kit.chance(0.4):
        label = kit.new(mat.printed)
        piece.block(
            label, (-wide * 0.5, wide * 0.5), (deep, deep + 0.002), (tall * 0.3, tall * 0.8)
        )
    return piece


def shoes(kit: Kit) -> Piece:
    """A pair of shoes."""
    piece = Piece()
    stuff = kit.new(mat.leather)
    for x in (-0.07, 0.07):
        piece.solid(stuff, BOLSTER, (x - 0.05, x + 0.05), (-0.14, 0.14), (0, 0.09))
    return piece


def clothes(kit: Kit) -> Piece:
    """A heap of laundry or blankets."""
    piece = Piece()
    cloths = [kit.new(mat.fabric) for _ in range(kit.whole(1, 3))]
    for number in range(kit.whole(4, 9)):
        x, y = kit.uniform(-0.25, 0.25), kit.uniform(-0.2, 0.2)
        yaw, rise = kit.uniform(0, math.pi), kit.uniform(-0.4, 0.4)
        c, s, flat, up = math.cos(yaw), math.sin(yaw), math.cos(rise), math.sin(rise)
        axes = np.array([[c * flat, s * flat, up], [-s, c, 0], [-c * up, -s * up, flat]])
        half = (kit.uniform(0.12, 0.3), kit.uniform(0.06, 0.16), kit.uniform(0.03, 0.1))
        cloth, z = cloths[number % len(cloths)], kit.uniform(0.02, 0.12)
        piece.turned(cloth, ELLIPSOID, centre=(x, y, z), half=half, axes=axes)
    return piece


def pile(kit: Kit) -> Piece:
    """Stacked cartons with a small object on top."""
    piece = Piece()
    z = 0.0
    for _ in range(kit.whole(2, 4)):
        box = carton(kit)
        piece.add(box, (kit.uniform(-0.06, 0.06), 0, z), kit.uniform(-0.3, 0.3))
        z += float(box.bounds()[1, 2])
        if z > 0.7:
            break
    piece.add(clutter.on_table(kit), (0, 0, z))
    return piece


def rack(kit: Kit) -> Piece:
    """A drying rack, an easel or a clothes horse: thin bars with cloth over some of them."""
    piece = Piece()
    steel, wide = kit.any((mat.metal, mat.wood, mat.lacquer)), kit.uniform(0.3, 0.6)
    tall, out = kit.uniform(0.7, 1.4), kit.uniform(0.15, 0.3)
    for x in (-wide, wide):
        for y in (-out, out):
            piece.rod(steel, (x, y, 0), (x, -y * 0.2, tall), kit.uniform(0.008, 0.016))
    for number in range(kit.whole(3, 6)):
        z = tall * (0.3 + 0.68 * number / 5)
        y = out * (1 - 1.2 * z / tall)
        piece.rod(steel, (-wide, y, z), (wide, y, z), 0.008)
        if kit.chance(0.4):
            x, half = kit.uniform(-0.5, 0.5) * wide, kit.uniform(0.1, 0.3)
            low = max(0.03, z - kit.uniform(0.15, 0.6))
            piece.block(kit.new(mat.fabric), (x - half, x + half), (y - 0.02, y + 0.02), (low, z))
    return piece


_ON_FLOORS: tuple[Callable[[Kit], Piece], ...] = (
    bin_,
    carton,
    carton,
    pile,
    rack,
    shoes,
    clothes,
    ball,
    clutter.stack,
)


def on_floor(kit: Kit) -> Piece:
    """A random object for floors."""
    if kit.chance(0.2):
        return clutter.plant(kit, kit.uniform(0.5, 1.5))
    return _ON_FLOORS[kit.whole(0, len(_ON_FLOORS) - 1)](kit)
