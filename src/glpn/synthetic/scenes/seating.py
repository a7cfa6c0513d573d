"""Furniture to sit and lie on: chairs, sofas, beds; and people."""

from __future__ import annotations

import math

from glpn.synthetic.scenes import belongings, clutter
from glpn.synthetic.scenes import materials as mat
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.solids import BOLSTER, CUSHION, CYLINDER, ELLIPSOID, Piece


def chair(kit: Kit) -> Piece:
    """A dining or kitchen chair: seat at 0.45 m, back to about 0.9 m; its back is at y = 0."""
    piece = Piece()
    frame = kit.any((mat.wood, mat.wood, mat.metal, mat.dark_plastic))
    seat = kit.upholstery() if kit.chance(0.4) else frame
    w, d, h = kit.jitter(0.21), kit.jitter(0.44), kit.jitter(0.45, 0.05)
    top = kit.uniform(0.8, 1.08)
    leg = kit.uniform(0.012, 0.024)
    piece.block(seat, (-w, w), (0.02, d), (h - 0.04, h))
    for x in (-w + leg, w - leg):
        piece.block(frame, (x - leg, x + leg), (0, 2 * leg), (0, top))
        piece.block(frame, (x - leg, x + leg), (d - 2 * leg, d), (0, h - 0.04))
    style = kit.rng.random()
    if style < 0.35:
        for number in range(kit.whole(2, 4)):
            z = top - 0.07 - 0.13 * number
            piece.block(frame, (-w, w), (0.005, 0.025), (z - 0.04, z + 0.04))
    elif style < 0.6:
        for number in range(5):
            x = (number - 2) * w * 0.4
            piece.block(frame, (x - 0.01, x + 0.01), (0.005, 0.025), (h, top))
        piece.block(frame, (-w, w), (0, 0.03), (top - 0.07, top))
    else:
        piece.block(seat, (-w, w), (0, 0.035), (h + kit.uniform(0.05, 0.25), top))
    if kit.chance(0.2):  # a jacket over the back
        jacket = kit.new(mat.fabric)
        piece.solid(jacket, (0.0, 0.5, 0.4), (-w, w), (-0.06, 0.09), (top - 0.5, top + 0.03))
    return piece


def office_chair(kit: Kit) -> Piece:
    """Five castors, a gas spring, a padded seat and back."""
    piece = Piece()
    black, cloth = kit.shared(mat.dark_plastic), kit.upholstery()
    for number in range(5):
        yaw = 2 * math.pi * number / 5
        end = (0.3 * math.cos(yaw), 0.25 + 0.3 * math.sin(yaw), 0.06)
        piece.rod(black, (0, 0.25, 0.1), end, 0.022)
    piece.upright(black, (0, 0.25), 0.03, (0.08, 0.42))
    h = kit.uniform(0.43, 0.54)
    piece.solid(cloth, CUSHION, (-0.26, 0.26), (0, 0.5), (h - 0.07, h + 0.04))
    top = kit.uniform(0.9, 1.2)
    piece.solid(cloth, CUSHION, (-0.24, 0.24), (-0.05, 0.05), (h + 0.1, top))
    piece.block(black, (-0.04, 0.04), (-0.06, -0.03), (h - 0.05, h + 0.3))
    if kit.chance(0.6):
        for x in (-0.28, 0.28):
            piece.block(black, (x - 0.025, x + 0.025), (0.08, 0.36), (h + 0.18, h + 0.21))
            piece.block(black, (x - 0.015, x + 0.015), (0.18, 0.22), (h, h + 0.18))
    return piece


def stool(kit: Kit) -> Piece:
    """A bar stool or a footstool."""
    piece = Piece()
    h, r = kit.uniform(0.4, 0.8), kit.uniform(0.15, 0.2)
    steel = kit.any((mat.metal, mat.wood))
    piece.solid(kit.upholstery(), CYLINDER, (-r, r), (-r, r), (h - 0.06, h))
    for x in (-0.7, 0.7):
        for y in (-0.7, 0.7):
            piece.rod(steel, (x * r, y * r, h - 0.05), (1.3 * x * r, 1.3 * y * r, 0), 0.013)
    return piece


def sofa(kit: Kit) -> Piece:
    """An armchair or a sofa for two to four."""
    piece = Piece()
    cloth, seats = kit.upholstery(), kit.whole(1, 4)
    arm, each = kit.uniform(0.1, 0.25), kit.uniform(0.52, 0.7)
    w, d = seats * each / 2 + arm, kit.uniform(0.78, 1.0)
    seat, top, arms = kit.uniform(0.38, 0.46), kit.uniform(0.72, 0.98), kit.uniform(0.5, 0.68)
    foot = kit.uniform(0.02, 0.14)
    piece.block(cloth, (-w, w), (0.03, d - 0.03), (foot, 0.26))
    piece.solid(cloth, BOLSTER, (-w, w), (0, 0.24), (0.1, top))
    for side in (-1, 1):
        inner, outer = sorted((side * w, side * (w - arm)))
        if kit.chance(0.5):
            piece.block(cloth, (inner, outer), (0, d), (foot, arms))
        else:
            piece.solid(cloth, CUSHION, (inner - 0.02, outer + 0.02), (0, d), (0.05, arms + 0.04))
        for y in (0.06, d - 0.08):
            piece.upright(kit.shared(mat.wood), (side * (w - 0.07), y), 0.025, (0, foot))
    for number in range(seats):
        x = (number - (seats - 1) / 2) * each
        piece.solid(cloth, CUSHION, (x - each / 2, x + each / 2), (0.16, d), (0.2, seat + 0.04))
        piece.solid(
            cloth, CUSHION, (x - each / 2, x + each / 2), (0.12, 0.36), (seat - 0.03, top + 0.03)
        )
        if kit.chance(0.35):
            piece.add(clutter.cushion(kit), (x, 0.45, seat), kit.uniform(-0.4, 0.4))
    return piece


def bed(kit: Kit) -> Piece:
    """A bed with its head at y = 0: 0.9 to 1.8 m wide, pillows, a blanket that hangs over."""
    piece = Piece()
    w, length, top = kit.uniform(0.45, 0.95), kit.uniform(1.95, 2.15), kit.uniform(0.42, 0.65)
    frame, cover, sheet = kit.carcass(), kit.new(mat.fabric), kit.new(mat.fabric)
    if kit.chance(0.75):
        high = kit.uniform(0.8, 1.3)
        piece.block(
            kit.upholstery() if kit.chance(0.3) else frame,
            (-w - 0.04, w + 0.04),
            (0, 0.07),
            (0, high),
        )
    piece.block(frame, (-w - 0.02, w + 0.02), (0.05, length + 0.03), (0.1, 0.3))
    piece.solid(sheet, CUSHION, (-w - 0.05, w + 0.05), (0.03, length + 0.08), (0.15, top))
    hang = kit.uniform(0.1, top - 0.17)
    start = kit.uniform(0.35, 0.8)
    piece.solid(
        cover,
        (0.35, 0.0, 0.6),
        (-w - 0.09, w + 0.09),
        (start, length + 0.06),
        (top - 0.5, top + 0.06),
    )
    piece.block(cover, (-w - 0.06, w + 0.06), (start, length + 0.06), (hang, top - 0.12))
    pillow = kit.new(mat.fabric)
    for x in (-w / 2, w / 2) if w > 0.65 else (0.0,):
        for layer in range(kit.whole(1, 2)):
            y, z = 0.12 + 0.06 * layer, top + 0.1 * layer
            piece.solid(pillow, CUSHION, (x - 0.33, x + 0.33), (y, y + 0.42), (z - 0.08, z + 0.13))
    for _ in range(kit.whole(0, 3)):
        at = (kit.uniform(-w, w) * 0.6, kit.uniform(0.9, length - 0.3), top + 0.03)
        piece.add(belongings.clothes(kit) if kit.chance(0.7) else clutter.stack(kit), at)
    return piece


def person(kit: Kit) -> Piece:
    """A standing or sitting human shape, 1.55 to 1.9 m tall, middle at y = 0.3."""
    piece = Piece()
    tall, sitting = kit.uniform(1.55, 1.9), kit.chance(0.3)
    shirt, trousers, skin = kit.new(mat.fabric), kit.new(mat.fabric), kit.new(mat.skin)
    hip = 0.46 if sitting else 0.5 * tall
    shoulder = hip + 0.32 * tall
    for x in (-0.1, 0.1):
        if sitting:
            piece.rod(trousers, (x, 0.3, hip), (x, 0.72, hip), 0.08)
            piece.rod(trousers, (x, 0.72, hip), (x, 0.75, 0.05), 0.06)
        else:
            piece.rod(
                trousers, (x, 0.3, hip), (x * 1.2, 0.3 + kit.uniform(-0.15, 0.15), 0.05), 0.08
            )
    piece.solid(shirt, (0.7, 0.7, 0.5), (-0.21, 0.21), (0.18, 0.42), (hip - 0.08, shoulder + 0.04))
    for x in (-0.22, 0.22):
        elbow = (x * 1.25, 0.3 + kit.uniform(0, 0.1), shoulder - 0.28)
        hand = (
            x * kit.uniform(0.5, 1.4),
            kit.uniform(0.35, 0.6),
            elbow[2] - kit.uniform(-0.1, 0.24),
        )
        piece.rod(shirt, (x, 0.3, shoulder), elbow, 0.05)
        piece.rod(skin, elbow, hand, 0.038)
    piece.upright(skin, (0, 0.3), 0.055, (shoulder, shoulder + 0.12))
    head = shoulder + 0.08
    piece.solid(skin, ELLIPSOID, (-0.08, 0.08), (0.2, 0.4), (head, head + 0.24))
    piece.solid(
        kit.new(mat.leather), ELLIPSOID, (-0.09, 0.09), (0.18, 0.37), (head + 0.08, head + 0.26)
    )
    return piece
