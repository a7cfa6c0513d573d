"""Street scenes: a road with cars, pavements, houses, trees and poles, out to 80 m and beyond.

The road runs along +x. The camera is on the road, as on a car or a bicycle. The sky has no depth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from glpn.synthetic.scenes import materials as mat
from glpn.synthetic.scenes import seating
from glpn.synthetic.scenes.indoor import sample_sensor
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.materials import Material
from glpn.synthetic.scenes.scene import (
    MAX_SOLIDS,
    Light,
    Scene,
    View,
    assemble,
    looking,
    looking_at,
)
from glpn.synthetic.scenes.solids import CUSHION, ELLIPSOID, Piece, Vector
from glpn.synthetic.scenes.textures import KINDS, texture_index

_FAR = 160.0  # metres to which the street is built
_NEAR = -12.0  # metres to which it extends behind the camera, for shadows
_SUN_DISTANCE = 150.0
_SUNLIT = 45.0  # metres that the shadow map of the sun covers


def sample_street(seed: int, views: Sequence[int] = (0,)) -> list[Scene]:
    """The street scene of a seed, from some of its numbered views."""
    kit = Kit(np.random.default_rng((seed, 2)))
    half = kit.uniform(3.2, 8.0)
    pieces = _ground(kit, half)
    for side in (-1, 1):
        pieces += _houses(kit, side, half) + _roadside(kit, side, half)
    pieces += _traffic(kit, half)
    kept, count = [], 0
    for piece in pieces:  # the nearest first: `_traffic` and `_houses` run outwards
        count += len(piece.solids)
        if count <= MAX_SOLIDS:
            kept.append(piece)
    sky = np.array((0.75, 0.87, 1.0)) * kit.uniform(0.6, 1.4)
    above = (float(sky[0]), float(sky[1]), float(sky[2]))
    below = (0.35 * above[0], 0.33 * above[1], 0.3 * above[2])
    hands = [Kit(np.random.default_rng((seed, 2, number))) for number in views]
    cameras = [(_view(hand, half), sample_sensor(hand)) for hand in hands]
    scene = assemble(
        kept, kit.materials, lights=_sun(kit), ambient=(above, below), camera=cameras[0]
    )
    return [scene.seen(view, sensor) for view, sensor in cameras]


def _view(kit: Kit, half: float) -> View:
    """A camera on a car: 1.2 to 1.9 m high, level, usually along the road."""
    position = (0.0, kit.uniform(-0.6, 0.3) * half, kit.uniform(1.2, 1.9))
    yaw = kit.uniform(-0.06, 0.06) if kit.chance(0.8) else kit.uniform(-0.9, 0.9)
    pitch, roll = 0.03 * kit.rng.standard_normal(), 0.012 * kit.rng.standard_normal()
    return View(position, looking(yaw, pitch - 0.02, roll), kit.uniform(48, 84))


def _sun(kit: Kit) -> list[Light]:
    """Sunshine, or only the sky on an overcast day."""
    if kit.chance(0.3):
        return []
    azimuth, rise = kit.uniform(0, 2 * math.pi), kit.uniform(0.35, 1.2)
    target = (18.0, 0.0, 0.0)
    position: Vector = (
        target[0] + _SUN_DISTANCE * math.cos(azimuth) * math.cos(rise),
        _SUN_DISTANCE * math.sin(azimuth) * math.cos(rise),
        _SUN_DISTANCE * math.sin(rise),
    )
    power = kit.uniform(1.5, 5)
    colour = (power, 0.94 * power, 0.82 * power)
    axes = looking_at(position, target)
    return [Light(position, axes, colour, _SUNLIT / _SUN_DISTANCE, beyond=1.0, falloff=0.0)]


def _asphalt(rng: np.random.Generator) -> Material:
    grey = rng.uniform(0.06, 0.25)
    number = int(rng.integers(KINDS["asphalt"]))
    shades = mat.shades((grey, grey, grey), rng.uniform(0.2, 0.5))
    return Material(
        texture_index("asphalt", number),
        4.0,
        **shades,
        relief=0.08,
        relief_scale=9.0,
        specular=0.01,
    )


def _grass(rng: np.random.Generator) -> Material:
    return mat.leaf(rng)._replace(scale=2.5, bump=0.2, relief=0.2, relief_scale=12.0)


def _paving(rng: np.random.Generator) -> Material:
    return mat.floor_tile(rng)._replace(scale=2.0, specular=0.0)


def _facade(rng: np.random.Generator) -> Material:
    """Plaster or brick with two storeys of windows per texture."""
    if rng.random() < 0.25:
        return mat.wall(rng)._replace(upright=1)
    colour = mat.warm(rng, rng.uniform(0.2, 0.7), 0.9)
    number = int(rng.integers(KINDS["facade"]))
    return Material(
        texture_index("facade", number),
        rng.uniform(5.0, 7.5),
        (0.01, 0.012, 0.015),
        (colour[0] * 1.25, colour[1] * 1.25, colour[2] * 1.25),
        upright=1,
    )


def _white(_: np.random.Generator) -> Material:
    return Material(dark=(0.6, 0.6, 0.6), light=(0.75, 0.75, 0.72), relief=0.25, relief_scale=1.5)


def _ground(kit: Kit, half: float) -> list[Piece]:
    """Roadway with markings, kerbs and pavements, grass or paving beyond."""
    road, walk, land, marks = Piece(), Piece(), Piece(), Piece()
    along = (_NEAR, _FAR)
    road.block(kit.new(_asphalt), along, (-half, half), (-0.5, 0))
    wide = kit.uniform(1.2, 3.5)
    paving, stone = kit.new(_paving), kit.new(_asphalt)
    ground = kit.new(_grass if kit.chance(0.6) else _paving)
    for side in (-1, 1):
        edge, outer = side * half, side * (half + wide)
        walk.block(stone, along, _ordered(edge, edge + side * 0.15), (-0.5, 0.12))
        walk.block(paving, along, _ordered(edge + side * 0.15, outer), (-0.5, 0.11))
        land.block(ground, (_NEAR, _FAR + 200), _ordered(outer, side * 150), (-0.5, 0.09))
    land.block(ground, (_FAR, _FAR + 200), (-150, 150), (-0.5, -0.01))
    paint = kit.new(_white)
    if kit.chance(0.8):
        dash, gap, x = kit.uniform(1.5, 4), kit.uniform(2, 6), kit.uniform(0, 4)
        while x < 70:
            marks.block(paint, (x, x + dash), (-0.07, 0.07), (0, 0.003))
            x += dash + gap
    if kit.chance(0.5):
        for side in (-1, 1):
            y = side * (half - kit.uniform(0.3, 2.4))
            marks.block(paint, along, (y - 0.06, y + 0.06), (0, 0.003))
    return [road, walk, land, marks]


def _ordered(a: float, b: float) -> tuple[float, float]:
    return (a, b) if a < b else (b, a)


def _houses(kit: Kit, side: int, half: float) -> list[Piece]:
    """A row of houses with gaps."""
    pieces, x = [], kit.uniform(-10, 15)
    setback = half + kit.uniform(2.5, 14)
    loose = kit.uniform(0.0, 0.5)
    while x < _FAR - 20:
        long = kit.uniform(7, 24)
        if not kit.chance(loose):
            pieces.append(_house(kit, (x, x + long), side * (setback + kit.uniform(0, 1.5)), side))
        x += long + (kit.uniform(0, 8) if kit.chance(loose) else 0)
    return pieces


def _house(kit: Kit, x: tuple[float, float], y: float, side: int) -> Piece:
    """A block with a storey of shops or doors, a cornice, sometimes a pitched roof's step."""
    piece = Piece()
    tall, deep = kit.uniform(4, 9) if kit.chance(0.5) else kit.uniform(8, 22), kit.uniform(8, 14)
    wall, trim = kit.shared(_facade), kit.shared(mat.lacquer)
    piece.block(wall, x, _ordered(y, y + side * deep), (0, tall))
    piece.block(
        trim,
        (x[0] - 0.1, x[1] + 0.1),
        _ordered(y - side * 0.3, y + side * deep),
        (tall, tall + 0.4),
    )
    if kit.chance(0.5):
        roof = kit.shared(mat.wood)
        for step in range(3):
            inset = 1.1 * step
            span = _ordered(y + side * inset, y + side * (deep - inset))
            piece.block(roof, x, span, (tall + 0.4 + 0.8 * step, tall + 1.2 + 0.8 * step))
    for _ in range(kit.whole(0, 3)):  # doors, shop windows, signs
        at, wide = kit.uniform(x[0] + 1, x[1] - 3), kit.uniform(0.9, 2.5)
        stuff = kit.any((mat.dark_plastic, mat.printed, mat.wood, mat.lacquer))
        piece.block(stuff, (at, at + wide), _ordered(y - side * 0.06, y), (0.1, kit.uniform(2, 3)))
    return piece


def _roadside(kit: Kit, side: int, half: float) -> list[Piece]:
    """Parked cars, trees, lamp posts, signs, hedges and people along one side."""
    pieces = []
    parked = kit.uniform(0, 0.7) if kit.chance(0.6) else 0.0
    x = kit.uniform(-4, 8)
    while x < 80:
        if kit.chance(parked):
            pieces.append(_placed(_car(kit), (x, side * (half - 1.1), 0), 0.0))
        x += kit.uniform(5.4, 8)
    makers: tuple[tuple[Callable[[Kit], Piece], float, float], ...] = (
        (_tree, kit.uniform(6, 40), kit.uniform(0.6, 6)),
        (_lamp_post, kit.uniform(18, 40), 0.5),
        (_sign, kit.uniform(15, 60), 0.7),
        (_hedge, kit.uniform(8, 80), kit.uniform(2, 5)),
        (seating.person, kit.uniform(8, 80), kit.uniform(0.8, 2)),
    )
    for maker, step, out in makers:
        x = kit.uniform(2, 4 + step)
        while x < 90 and len(pieces) < 40:
            y = side * (half + out + kit.uniform(0, 0.5))
            yaw = kit.uniform(0, 6) if maker is seating.person else 0.0
            pieces.append(_placed(maker(kit), (x, y, 0.1), yaw))
            x += step * kit.uniform(0.7, 1.3)
    return pieces


def _traffic(kit: Kit, half: float) -> list[Piece]:
    """Cars ahead in the same lane, and oncoming cars in the other."""
    pieces = []
    for lane, facing in ((-0.5, 0.0), (0.5, math.pi)):
        x = kit.uniform(6, 40)
        while x < 120:
            if kit.chance(0.6):
                y = lane * half + kit.uniform(-0.4, 0.4)
                pieces.append(_placed(_car(kit), (x, y, 0), facing + kit.uniform(-0.03, 0.03)))
            x += kit.uniform(8, 45)
    return pieces


def _placed(piece: Piece, at: Vector, yaw: float) -> Piece:
    moved = Piece()
    moved.add(piece, at, yaw)
    return moved


def _car(kit: Kit) -> Piece:
    """A car or a van, along x, 3.8 to 5.5 m long."""
    piece = Piece()
    long, wide, tall = kit.uniform(1.9, 2.4), kit.uniform(0.85, 0.95), kit.uniform(1.4, 1.7)
    body, glass = kit.new(mat.lacquer), kit.shared(mat.dark_plastic)
    if kit.chance(0.15):
        long, tall = kit.uniform(2.4, 2.9), kit.uniform(1.9, 2.5)
        pane = (1.1, tall * 0.82)
        piece.solid(body, (0.6, 0.1, 0.5), (-long, long), (-wide, wide), (0.25, tall))
        piece.block(glass, (-long * 0.93, -long * 0.5), (-wide * 0.8, wide * 0.8), pane)
        piece.block(glass, (long * 0.3, long * 0.8), (-wide * 1.01, wide * 1.01), pane)
    else:
        sill = 0.58 * tall
        cabin, flanks = (-0.85 * long, 0.45 * long), (-0.86 * wide, 0.86 * wide)
        piece.solid(body, (0.6, 0.15, 0.55), (-long, long), (-wide, wide), (0.2, sill + 0.1))
        piece.solid(glass, (0.8, 0.1, 0.7), cabin, flanks, (0.1, tall))
        piece.solid(body, CUSHION, (-0.6 * long, 0.2 * long), flanks, (tall - 0.14, tall + 0.02))
    black = kit.shared(mat.dark_plastic)
    for x in (-0.6 * long, 0.6 * long):
        for y in (-wide + 0.1, wide - 0.1):
            piece.rod(black, (x, y - 0.11, 0.32), (x, y + 0.11, 0.32), 0.32)
    red = kit.like(kit.shared(mat.plastic), emission=0.4)
    for y in (-0.7 * wide, 0.7 * wide):
        piece.block(red, (-0.96 * long, -0.9 * long), (y - 0.15, y + 0.15), (0.6, 0.75))
    plate = kit.shared(mat.paper)
    piece.block(plate, (-0.99 * long, -0.9 * long), (-0.26, 0.26), (0.42, 0.53))
    return piece


def _tree(kit: Kit) -> Piece:
    """A trunk and a crown of leafy lumps."""
    piece = Piece()
    tall = kit.uniform(4, 13)
    stem, r = tall * kit.uniform(0.2, 0.4), 0.02 * tall
    piece.upright(kit.shared(mat.wood), (0, 0), r, (0, stem + 0.2 * tall))
    green = [kit.shared(_foliage), kit.new(_foliage)]
    spread = tall * kit.uniform(0.16, 0.3)
    for number in range(kit.whole(9, 16)):
        s, yaw = spread * kit.uniform(0.5, 0.9), 2.4 * number
        out = spread * kit.uniform(0, 0.75)
        x, y = out * math.cos(yaw), out * math.sin(yaw)
        z = kit.uniform(stem + 0.5 * s, max(stem + s, tall - 0.8 * s))
        spans = (x - s, x + s), (y - s, y + s), (z - 0.8 * s, z + 0.8 * s)
        piece.solid(green[number % 2], ELLIPSOID, *spans)
    return piece


def _foliage(rng: np.random.Generator) -> Material:
    return mat.leaf(rng)._replace(scale=1.5, bump=0.9, relief=0.3, relief_scale=1.3)


def _lamp_post(kit: Kit) -> Piece:
    piece = Piece()
    steel, tall = kit.shared(mat.metal), kit.uniform(4, 9)
    piece.upright(steel, (0, 0), kit.uniform(0.05, 0.12), (0, tall))
    out = kit.uniform(-2, 2)
    piece.rod(steel, (0, 0, tall), (0, out, tall + 0.4), 0.05)
    return piece


def _sign(kit: Kit) -> Piece:
    piece = Piece()
    piece.upright(kit.shared(mat.metal), (0, 0), 0.035, (0, 2.6))
    half = kit.uniform(0.2, 0.45)
    piece.block(kit.new(mat.printed), (-0.03, -0.01), (-half, half), (2.6 - 2 * half, 2.7))
    return piece


def _hedge(kit: Kit) -> Piece:
    piece = Piece()
    long, tall = kit.uniform(1, 6), kit.uniform(0.6, 2)
    piece.solid(kit.shared(_foliage), (0.2, 0.4, 0.4), (-long, long), (-0.5, 0.5), (0, tall))
    return piece
