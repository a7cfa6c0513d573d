"""Small things: books, bottles, boxes, plants, lamps, cushions, screens, coats."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from glpn.synthetic.scenes import materials as mat
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.solids import BOX, CUSHION, CYLINDER, ELLIPSOID, Piece


def books(kit: Kit, width: float, depth: float, height: float) -> Piece:
    """A row of books that fills a shelf's board."""
    piece = Piece()
    x = -width / 2
    covers = [kit.new(mat.plastic) for _ in range(3)] + [kit.shared(mat.printed)]
    while x < width / 2 - 0.02:
        thick = min(kit.uniform(0.015, 0.09), width / 2 - x)
        tall = height * kit.uniform(0.6, 0.95)
        deep = min(depth, kit.uniform(0.13, 0.22))
        cover = covers[kit.whole(0, 3)]
        piece.block(cover, (x, x + thick - 0.002), (0, deep), (0, tall))
        x += thick + (kit.uniform(0.05, 0.3) if kit.chance(0.12) else 0)
    return piece


def stack(kit: Kit) -> Piece:
    """A stack of books, magazines or papers."""
    piece = Piece()
    z = 0.0
    for _ in range(kit.whole(1, 5)):
        thick = kit.uniform(0.005, 0.04)
        wide, deep = kit.uniform(0.08, 0.13), kit.uniform(0.1, 0.16)
        book = Piece()
        cover = kit.new(mat.paper if kit.chance(0.4) else mat.printed)
        book.block(cover, (-wide, wide), (-deep, deep), (0, thick))
        piece.add(book, (0, 0, z), kit.uniform(-0.5, 0.5))
        z += thick
    return piece


def bottle(kit: Kit) -> Piece:
    """A bottle, jar, can or cup."""
    piece = Piece()
    stuff = kit.any((mat.plastic, mat.plastic, mat.metal, mat.printed))
    radius, tall = kit.uniform(0.025, 0.05), kit.uniform(0.08, 0.28)
    piece.upright(stuff, (0, 0), radius, (0, tall * 0.7))
    if tall > 0.15:
        piece.solid(
            stuff, ELLIPSOID, (-radius, radius), (-radius, radius), (0.55 * tall, 0.85 * tall)
        )
        piece.upright(kit.shared(mat.plastic), (0, 0), radius * 0.4, (0.8 * tall, tall))
    return piece


def packet(kit: Kit) -> Piece:
    """A box: cereals, shoes, a toy."""
    piece = Piece()
    wide, deep, tall = (kit.uniform(0.04, 0.16) for _ in range(3))
    stuff = kit.any((mat.printed, mat.plastic, mat.lacquer))
    piece.block(stuff, (-wide, wide), (-deep, deep), (0, 2 * tall))
    return piece


def bowl(kit: Kit) -> Piece:
    """A bowl of fruit, or a vase."""
    piece = Piece()
    r, tall = kit.uniform(0.07, 0.17), kit.uniform(0.06, 0.14)
    piece.solid(kit.shared(mat.lacquer), CUSHION, (-r, r), (-r, r), (0, tall))
    for _ in range(kit.whole(0, 4)):
        x, y = kit.uniform(-r, r) * 0.5, kit.uniform(-r, r) * 0.5
        s = kit.uniform(0.03, 0.05)
        fruit = kit.shared(mat.plastic)
        piece.solid(fruit, ELLIPSOID, (x - s, x + s), (y - s, y + s), (tall - s, tall + s))
    return piece


def lamp(kit: Kit, height: float) -> Piece:
    """A table lamp or a standard lamp: foot, pole, shade."""
    piece = Piece()
    steel = kit.shared(mat.metal)
    shade = kit.shared(mat.lamp_shade)
    r, tall = kit.uniform(0.1, 0.22), kit.uniform(0.15, 0.3)
    piece.upright(steel, (0, 0), r * 0.7, (0, 0.025))
    piece.upright(steel, (0, 0), 0.014, (0, height - tall))
    if kit.chance(0.3):
        piece.solid(steel, ELLIPSOID, (-0.08, 0.08), (-0.08, 0.08), (0.02, 0.5 * height))
    shape = CYLINDER if kit.chance(0.7) else CUSHION
    piece.glow(shade, shape, (-r, r), (-r, r), (height - tall, height))
    return piece


def monitor(kit: Kit) -> Piece:
    """A computer's screen on its foot."""
    piece = Piece()
    black = kit.shared(mat.dark_plastic)
    wide, tall = kit.uniform(0.22, 0.34), kit.uniform(0.26, 0.4)
    piece.block(black, (-0.12, 0.12), (-0.08, 0.1), (0, 0.015))
    piece.block(black, (-0.03, 0.03), (-0.05, -0.02), (0, 0.2))
    piece.block(black, (-wide, wide), (-0.03, 0.02), (0.12, 0.12 + tall))
    shown = kit.new(mat.screen) if kit.chance(0.5) else kit.like(black, gloss=0.9)
    inner = wide - 0.02
    piece.block(shown, (-inner, inner), (0.02, 0.024), (0.14, 0.1 + tall))
    return piece


def keyboard(kit: Kit) -> Piece:
    """A keyboard, or a laptop that is open."""
    piece = Piece()
    black = kit.shared(mat.dark_plastic)
    piece.block(
        kit.like(black, relief=0.8, relief_scale=0.3), (-0.2, 0.2), (-0.07, 0.07), (0, 0.02)
    )
    if kit.chance(0.4):
        c, s = math.cos(0.24), math.sin(0.24)  # the screen leans back
        axes = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        half = (0.17, 0.006, 0.115)
        shown = kit.new(mat.screen)
        piece.turned(shown, BOX, centre=(0, -0.1, 0.12), half=half, axes=axes)
    return piece


def cushion(kit: Kit) -> Piece:
    """A loose cushion, leaning back."""
    piece = Piece()
    side, thick = kit.uniform(0.18, 0.26), kit.uniform(0.06, 0.1)
    lean = kit.uniform(0.1, 0.5)
    c, s = math.cos(lean), math.sin(lean)
    axes = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    half = (side, thick, side * kit.uniform(0.7, 1))
    cloth = kit.new(mat.fabric)
    piece.turned(cloth, CUSHION, centre=(0, 0, 0.9 * half[2]), half=half, axes=axes)
    return piece


def plant(kit: Kit, height: float) -> Piece:
    """A pot with leaves that spread from its middle."""
    piece = Piece()
    r = 0.16 * height + 0.04
    pot = 0.3 * height
    piece.upright(kit.shared(mat.lacquer), (0, 0), r, (0, pot))
    green = [kit.new(mat.leaf), kit.new(mat.leaf)]
    for number in range(kit.whole(10, 26)):
        yaw, rise = 2.4 * number + kit.uniform(0, 0.6), kit.uniform(0.1, 1.4)
        length = 0.35 * height * kit.uniform(0.6, 1.2)
        c, s, flat, up = math.cos(yaw), math.sin(yaw), math.cos(rise), math.sin(rise)
        start = pot + kit.uniform(0, 0.3) * height
        centre = (c * flat * length, s * flat * length, start + up * length)
        half = (length, length * kit.uniform(0.1, 0.3), 0.006)
        axes = np.array([[c * flat, s * flat, up], [-s, c, 0], [-c * up, -s * up, flat]])
        piece.turned(green[number % 2], ELLIPSOID, centre=centre, half=half, axes=axes)
    return piece


def group(kit: Kit) -> Piece:
    """Bottles, jars or packets of several sizes, standing together."""
    piece = Piece()
    maker = packet if kit.chance(0.3) else bottle
    for number in range(kit.whole(3, 7)):
        x = 0.09 * (number % 4) + kit.uniform(0, 0.03)
        y = 0.1 * (number // 4) + kit.uniform(0, 0.03)
        piece.add(maker(kit), (x - 0.15, y - 0.08, 0), kit.uniform(-0.3, 0.3))
    return piece


def pencils(kit: Kit) -> Piece:
    """A pot with pencils, spoons or brushes."""
    piece = Piece()
    r, tall = kit.uniform(0.03, 0.06), kit.uniform(0.08, 0.14)
    piece.upright(kit.any((mat.plastic, mat.metal, mat.lacquer)), (0, 0), r, (0, tall))
    for _ in range(kit.whole(3, 7)):
        x, y = kit.uniform(-r, r) * 0.6, kit.uniform(-r, r) * 0.6
        end = (2.5 * x, 2.5 * y, tall + kit.uniform(0.04, 0.14))
        piece.rod(kit.any((mat.wood, mat.plastic, mat.metal)), (x, y, 0.02), end, 0.005)
    return piece


def pair_of_frames(kit: Kit) -> Piece:
    """Framed photos on a board, leaning back."""
    piece = Piece()
    for x in (-0.1, 0.12):
        wide, tall, lean = kit.uniform(0.05, 0.11), kit.uniform(0.06, 0.15), 0.2
        c, s = math.cos(lean), math.sin(lean)
        axes = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
        for grow, front, stuff in ((0.015, 0.0, mat.wood), (0.0, 0.006, mat.poster)):
            half = (wide + grow, 0.006, tall + grow)
            centre = (x, front, tall + 0.02)
            piece.turned(kit.any((stuff,)), BOX, centre=centre, half=half, axes=axes)
    return piece


def garment(kit: Kit) -> Piece:
    """A coat, a bag or a towel that hangs from a hook at z = 0, its back at y = 0."""
    piece = Piece()
    wide, tall = kit.uniform(0.1, 0.25), kit.uniform(0.35, 1.0)
    cloth = kit.new(mat.fabric)
    shape = (0.5, 0.6, 0.5)
    piece.solid(cloth, shape, (-wide, wide), (0.0, kit.uniform(0.05, 0.18)), (-tall, 0.03))
    for number in range(kit.whole(0, 3)):
        x, r = (number - 1) * 0.6 * wide, kit.uniform(0.03, 0.06)
        piece.solid(cloth, CYLINDER, (x - r, x + r), (0.04, 0.17), (-tall * 0.97, -0.2 * tall))
    piece.rod(kit.shared(mat.metal), (0, 0, 0.02), (0, 0.07, 0.04), 0.01)
    return piece


_ON_TABLES: tuple[Callable[[Kit], Piece], ...] = (
    stack,
    stack,
    bottle,
    bottle,
    group,
    group,
    packet,
    bowl,
    keyboard,
    pencils,
    pair_of_frames,
)


def on_table(kit: Kit) -> Piece:
    """A random object for tables."""
    if kit.chance(0.06):
        return lamp(kit, kit.uniform(0.3, 0.6))
    if kit.chance(0.06):
        return plant(kit, kit.uniform(0.2, 0.4))
    return _ON_TABLES[kit.whole(0, len(_ON_TABLES) - 1)](kit)


def strew(
    kit: Kit, piece: Piece, width: float, span: tuple[float, float], *, z: float, density: float
) -> None:
    """Set objects on a board: |x| < width / 2, y within span, `density` of them per metre."""
    if kit.chance(0.45):
        density *= 2.5
    x = -width / 2 + 0.12
    while True:
        x += 0.08 + kit.rng.exponential(1 / density)
        if x > width / 2 - 0.12:
            return
        y = kit.uniform(min(span[0] + 0.12, sum(span) / 2), max(span[1] - 0.12, sum(span) / 2))
        piece.add(on_table(kit), (x, y, z), kit.uniform(-0.6, 0.6))
