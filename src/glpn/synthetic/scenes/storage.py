"""Furniture along walls: cupboards, shelves, desks, kitchens, television sets, tables."""

from __future__ import annotations

from glpn.synthetic.scenes import clutter
from glpn.synthetic.scenes import materials as mat
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.solids import CYLINDER, ELLIPSOID, Piece, Span


def table(kit: Kit, width: float, depth: float, height: float) -> Piece:
    """A table top on legs or on one pillar, with objects on it."""
    piece = Piece()
    top, w = kit.carcass(), width / 2
    leg = top if kit.chance(0.6) else kit.shared(mat.metal)
    thick, r = kit.uniform(0.02, 0.05), kit.uniform(0.02, 0.045)
    if kit.chance(0.2):
        piece.solid(top, CYLINDER, (-w, w), (0, depth), (height - thick, height))
        piece.upright(leg, (0, depth / 2), r + 0.02, (0.03, height - thick))
        piece.upright(leg, (0, depth / 2), 0.25 * width, (0, 0.03))
    else:
        piece.block(top, (-w, w), (0, depth), (height - thick, height))
        for x in (-w + r + 0.03, w - r - 0.03):
            for y in (r + 0.03, depth - r - 0.03):
                piece.block(leg, (x - r, x + r), (y - r, y + r), (0, height - thick))
        if kit.chance(0.6):
            skirt = (height - thick - 0.1, height - thick)
            piece.block(leg, (-w + 0.06, w - 0.06), (0.05, depth - 0.05), skirt)
    clutter.strew(kit, piece, width * 0.95, (0, depth), z=height, density=6.0)
    if depth > 0.5 and kit.chance(0.6):
        clutter.strew(kit, piece, width * 0.95, (0.4 * depth, depth), z=height, density=3.0)
    return piece


def fronts(kit: Kit, piece: Piece, x: Span, z: Span, *, y: float, rows: int, columns: int) -> None:
    """Doors or drawers with handles over a cupboard's face at depth y."""
    front, handle = kit.carcass(), kit.shared(mat.metal)
    if kit.chance(0.7):
        front = piece.solids[-1].material if piece.solids else front
    wide, tall = (x[1] - x[0]) / columns, (z[1] - z[0]) / rows
    gap, panelled = kit.uniform(0.002, 0.008), kit.chance(0.4)
    knob = kit.chance(0.4)
    for row in range(rows):
        for column in range(columns):
            a, b = x[0] + column * wide + gap, z[0] + row * tall + gap
            c, d = a + wide - 2 * gap, b + tall - 2 * gap
            piece.block(front, (a, c), (y, y + 0.018), (b, d))
            if panelled and min(c - a, d - b) > 0.16:
                piece.block(
                    front, (a + 0.06, c - 0.06), (y + 0.018, y + 0.025), (b + 0.06, d - 0.06)
                )
            if tall > 0.45:  # a door: its handle is upright, at the side
                hx = c - 0.05 if column % 2 == 0 else a + 0.05
                hz = (b + d) / 2
                span = ((hx - 0.008, hx + 0.008), (hz - 0.06, hz + 0.06))
            else:
                hx, hz = (a + c) / 2, (b + d) / 2
                span = ((hx - 0.05, hx + 0.05), (hz - 0.007, hz + 0.007))
            if knob:
                span = ((hx - 0.013, hx + 0.013), (hz - 0.013, hz + 0.013))
            shape = ELLIPSOID if knob else (0.0, 0.0, 0.0)
            piece.solid(handle, shape, span[0], (y + 0.02, y + 0.045), span[1])


def cupboard(kit: Kit) -> Piece:
    """A sideboard, a chest of drawers or a wardrobe, with things on top of the low ones."""
    piece = Piece()
    kind = kit.rng.random()
    if kind < 0.35:  # wardrobe
        w, d, h = kit.uniform(0.4, 1.1), kit.uniform(0.5, 0.65), kit.uniform(1.75, 2.3)
        rows, columns = 1, max(1, round(2 * w / 0.5))
    elif kind < 0.7:  # chest of drawers
        w, d, h = kit.uniform(0.25, 0.6), kit.uniform(0.4, 0.55), kit.uniform(0.5, 1.2)
        rows, columns = max(2, round(h / 0.22)), 1 if w < 0.4 else 2
    else:  # sideboard
        w, d, h = kit.uniform(0.5, 1.1), kit.uniform(0.35, 0.5), kit.uniform(0.6, 0.95)
        rows, columns = 1, max(2, round(2 * w / 0.45))
    foot = kit.uniform(0, 0.12)
    piece.block(kit.carcass(), (-w, w), (0, d), (foot, h))
    fronts(kit, piece, (-w, w), (foot, h - 0.03), y=d, rows=rows, columns=columns)
    if h < 1.3:
        clutter.strew(kit, piece, 2 * w, (0, d), z=h, density=6.0)
    return piece


def nightstand(kit: Kit) -> Piece:
    """A small cabinet with a lamp."""
    piece = Piece()
    w, d, h = kit.uniform(0.2, 0.28), kit.uniform(0.32, 0.45), kit.uniform(0.42, 0.65)
    piece.block(kit.carcass(), (-w, w), (0, d), (0.05, h))
    fronts(kit, piece, (-w, w), (0.05, h - 0.02), y=d, rows=kit.whole(1, 3), columns=1)
    if kit.chance(0.7):
        piece.add(clutter.lamp(kit, kit.uniform(0.35, 0.65)), (0, d / 2, h))
    clutter.strew(kit, piece, 2 * w, (0, d), z=h, density=6)
    return piece


def shelf(kit: Kit) -> Piece:
    """An open shelf full of books and other objects, 0.8 to 2.3 m high."""
    piece = Piece()
    w, d, h = kit.uniform(0.3, 0.75), kit.uniform(0.22, 0.4), kit.uniform(0.8, 2.3)
    board, back = kit.carcass(), kit.carcass()
    levels = max(2, round(h / kit.uniform(0.28, 0.42)))
    for side in (-1, 1):
        x = sorted((side * w, side * (w - 0.025)))
        piece.block(board, (x[0], x[1]), (0, d), (0, h))
    piece.block(back, (-w, w), (0, 0.012), (0, h))
    step = (h - 0.05) / levels
    for level in range(levels + 1):
        z = 0.05 + level * step
        piece.block(board, (-w, w), (0, d), (z - 0.022, z))
        if level == levels or len(piece.solids) > 90:
            continue
        if kit.chance(0.6):
            width = (2 * w - 0.06) * kit.uniform(0.4, 1)
            shift = kit.uniform(-1, 1) * (w - 0.03 - width / 2)
            filling = clutter.books(kit, width, d - 0.03, step - 0.03)
            piece.add(filling, (shift, 0.015, z))
        else:
            clutter.strew(kit, piece, 2 * w, (0.02, d), z=z, density=6)
    return piece


def rack(kit: Kit) -> Piece:
    """A shop's or a store's shelving, packed with boxes of a few kinds."""
    piece = Piece()
    w, d, h = kit.uniform(0.6, 1.2), kit.uniform(0.35, 0.6), kit.uniform(1.4, 2.2)
    steel = kit.any((mat.metal, mat.lacquer))
    for x in (-w, w):
        piece.block(steel, (x - 0.02, x + 0.02), (0, d), (0, h))
    piece.block(steel, (-w, w), (0, 0.01), (0, h))
    levels = kit.whole(3, 5)
    for level in range(levels):
        z = 0.1 + level * (h - 0.1) / levels
        piece.block(steel, (-w, w), (0, d), (z - 0.03, z))
        stuff, each = kit.new(mat.printed), kit.uniform(0.09, 0.3)
        tall = (h - 0.1) / levels * kit.uniform(0.4, 0.85)
        for number in range(int((2 * w - 0.06) / each)):
            x = -w + 0.03 + number * each
            if kit.chance(0.85):
                span = (x, x + each * 0.94)
                piece.block(stuff, span, (0.02, d * kit.uniform(0.7, 0.97)), (z, z + tall))
    return piece


def desk(kit: Kit) -> Piece:
    """A desk with a screen, a drawer unit and papers."""
    piece = Piece()
    width, depth = kit.uniform(1.1, 1.8), kit.uniform(0.6, 0.8)
    piece.add(table(kit, width, depth, kit.uniform(0.71, 0.77)))
    if kit.chance(0.75):
        at = (kit.uniform(-0.3, 0.3), 0.2, 0.75)
        piece.add(clutter.monitor(kit), at, kit.uniform(-0.4, 0.4))
        piece.add(clutter.keyboard(kit), (at[0], 0.45, 0.75))
    if kit.chance(0.6):
        x = width / 2 - 0.28
        piece.block(kit.carcass(), (x - 0.2, x + 0.2), (0.05, depth - 0.05), (0.05, 0.6))
        fronts(kit, piece, (x - 0.2, x + 0.2), (0.05, 0.6), y=depth - 0.05, rows=3, columns=1)
    return piece


def counter(kit: Kit, width: float, *, hood: bool) -> Piece:
    """A kitchen's base cupboards with a worktop, and cupboards on the wall above."""
    piece = Piece()
    w, h = width / 2, kit.uniform(0.85, 0.93)
    body, top = kit.carcass(), kit.any((mat.stone, mat.wood, mat.lacquer))
    units = max(1, round(width / 0.55))
    piece.block(body, (-w, w), (0, 0.58), (0.1, h - 0.04))
    rows = 1 if kit.chance(0.6) else 3
    fronts(kit, piece, (-w, w), (0.1, h - 0.05), y=0.58, rows=rows, columns=units)
    piece.block(kit.shared(mat.dark_plastic), (-w, w), (0, 0.52), (0, 0.1))
    piece.block(top, (-w, w), (0, 0.63), (h - 0.04, h))
    piece.block(kit.shared(mat.wall_tile), (-w, w), (0, 0.01), (h, h + 0.55))
    clutter.strew(kit, piece, width, (0.05, 0.5), z=h, density=6)
    low, high = h + kit.uniform(0.45, 0.6), kit.uniform(2.0, 2.3)
    if hood and kit.chance(0.8):
        piece.block(body, (-w, w), (0, 0.33), (low, high))
        fronts(kit, piece, (-w, w), (low, high), y=0.33, rows=1, columns=units)
    if kit.chance(0.4):  # a sink
        x = kit.uniform(-0.5, 0.5) * w
        steel = kit.shared(mat.metal)
        piece.block(steel, (x - 0.25, x + 0.25), (0.12, 0.52), (h, h + 0.004))
        piece.upright(steel, (x, 0.1), 0.013, (h, h + 0.28))
        piece.rod(steel, (x, 0.1, h + 0.27), (x, 0.28, h + 0.24), 0.011)
    return piece


def appliance(kit: Kit) -> Piece:
    """A refrigerator, an oven tower, a washing machine or a stove."""
    piece = Piece()
    w, d = kit.uniform(0.29, 0.45), kit.uniform(0.58, 0.72)
    h = kit.uniform(1.6, 2.0) if kit.chance(0.55) else kit.uniform(0.82, 0.92)
    body = kit.any((mat.metal, mat.lacquer, mat.dark_plastic))
    piece.block(body, (-w, w), (0, d), (0.03, h))
    split = h * kit.uniform(0.3, 0.7) if h > 1 else h
    for low, high in ((0.05, split - 0.005), (split + 0.005, h)):
        if high - low > 0.1:
            piece.block(body, (-w, w), (d, d + 0.03), (low, high))
            piece.block(
                kit.shared(mat.metal),
                (w - 0.07, w - 0.05),
                (d + 0.03, d + 0.06),
                (low + 0.1, high - 0.1),
            )
    if h < 1:
        dark = kit.shared(mat.dark_plastic)
        piece.block(dark, (-w + 0.06, w - 0.06), (d + 0.03, d + 0.034), (0.3, h - 0.2))
    elif kit.chance(0.4):
        for _ in range(kit.whole(2, 7)):
            x, z = kit.uniform(-w + 0.1, w - 0.15), kit.uniform(1.0, h - 0.2)
            piece.block(kit.new(mat.printed), (x, x + 0.1), (d + 0.03, d + 0.033), (z, z + 0.13))
    return piece


def television(kit: Kit) -> Piece:
    """A flat screen on a low cabinet."""
    piece = Piece()
    w, d, h = kit.uniform(0.5, 1.0), kit.uniform(0.35, 0.5), kit.uniform(0.35, 0.6)
    piece.block(kit.carcass(), (-w, w), (0, d), (0.04, h))
    fronts(kit, piece, (-w, w), (0.04, h), y=d, rows=1, columns=kit.whole(2, 4))
    s = kit.uniform(0.35, 0.7)
    black = kit.shared(mat.dark_plastic)
    piece.block(black, (-0.15, 0.15), (0.1, 0.3), (h, h + 0.02))
    piece.block(black, (-s, s), (0.17, 0.23), (h + 0.06, h + 0.06 + 1.13 * s))
    shown = kit.new(mat.screen) if kit.chance(0.15) else kit.like(black, gloss=0.95, specular=0.15)
    piece.block(shown, (-s + 0.03, s - 0.03), (0.23, 0.233), (h + 0.09, h + 0.03 + 1.13 * s))
    return piece


def washbasin(kit: Kit) -> Piece:
    """A basin on a cabinet or a pillar, a tap, a shelf above it."""
    piece = Piece()
    white = kit.new(mat.lacquer)
    w, h = kit.uniform(0.25, 0.5), kit.uniform(0.8, 0.88)
    if kit.chance(0.6):
        piece.block(kit.carcass(), (-w, w), (0, 0.42), (0.1, h - 0.1))
        fronts(kit, piece, (-w, w), (0.1, h - 0.1), y=0.42, rows=1, columns=2)
    else:
        piece.upright(white, (0, 0.2), 0.1, (0, h - 0.1))
    piece.solid(white, (0.5, 0.5, 0.3), (-w, w), (0, 0.5), (h - 0.16, h))
    piece.solid(
        kit.like(white, relief=0),
        CYLINDER,
        (-0.7 * w, 0.7 * w),
        (0.12, 0.44),
        (h - 0.05, h + 0.002),
    )
    steel = kit.shared(mat.metal)
    piece.upright(steel, (0, 0.08), 0.018, (h, h + 0.14))
    piece.rod(steel, (0, 0.08, h + 0.12), (0, 0.2, h + 0.11), 0.012)
    clutter.strew(kit, piece, 2 * w, (0.02, 0.14), z=h, density=5)
    return piece


def toilet(kit: Kit) -> Piece:
    """A bowl with its lid and cistern."""
    piece = Piece()
    white = kit.new(mat.lacquer)
    piece.block(white, (-0.2, 0.2), (0, 0.18), (0.38, kit.uniform(0.72, 0.85)))
    piece.solid(white, (0.8, 0.8, 0.3), (-0.19, 0.19), (0.12, 0.7), (0.1, 0.42))
    piece.solid(white, CYLINDER, (-0.19, 0.19), (0.15, 0.68), (0.4, 0.44))
    piece.upright(white, (0, 0.35), 0.12, (0, 0.3))
    return piece


def bathtub(kit: Kit) -> Piece:
    """A tub along the wall, sometimes with a curtain."""
    piece = Piece()
    white = kit.new(mat.lacquer)
    w, h = kit.uniform(0.7, 0.88), kit.uniform(0.5, 0.62)
    piece.block(white, (-w, w), (0.66, 0.74), (0, h))
    piece.block(white, (-w, w), (0, 0.06), (0, h))
    for x in (-w, w - 0.08):
        piece.block(white, (x, x + 0.08), (0, 0.74), (0, h))
    piece.block(white, (-w, w), (0, 0.74), (0, 0.15))
    return piece
