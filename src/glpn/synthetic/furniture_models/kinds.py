"""Kinds of furniture, recognised by the words of a model's name, its category and its size."""

from __future__ import annotations

import re

Size = tuple[float, float, float]  # metres: width, depth, height

# Categories of Sweet Home 3D whose models are not used in rooms.
_OUTSIDE = ("Doors and windows", "Exterior", "Staircases", "Vehicles")
_EXCEPTIONS = re.compile(r"rattan|plant box|bicycle|stroller|skateboard|tricycle|cafe|little bank")
_NEVER = re.compile(
    r"plug|socket|shipping|lamppost|street|porch|park|outdoor|door|floor|ceiling 0|wall[ab]? \d"
    r"|room ?wall|house ?wall|window|logo|elevator|ramp|curtain|railing|fence|sign|chimney|horse \d"
    r"|pallet|fork lift|handle|mosquito|shop wall|column|board 01|fitness tower"
)
_SMALL = (0.5, 0.5, 0.65)

# The first row whose words match, and whose limits hold, decides: kind, words, least and greatest
# width, depth and height.
_ROWS: tuple[tuple[str, str, Size, Size], ...] = (
    ("rug", r"carpet|rug|bathmat|doormat|tatami", (0.4, 0.3, 0), (4.5, 4.5, 0.06)),
    ("table lamp", r"\blamp\b|lantern|candle", (0, 0, 0.1), (0.5, 0.5, 0.9)),
    ("floor lamp", r"\blamp\b", (0, 0, 0.9), (1, 1, 2.2)),
    ("chair", r"stool|bar chair", (0.25, 0.25, 0.4), (0.8, 0.8, 1.2)),
    ("armchair", r"armchair|puff|ottoman|winchester armchair|modern arm",
     (0.5, 0.5, 0.5), (1.2, 1.6, 1.2)),
    ("chair", r"chair|class seat|bench\b", (0.3, 0.3, 0.5), (0.8, 0.85, 1.25)),
    ("sofa", r"sofa|couch|day bed|little bank", (1.2, 0.6, 0.45), (3.6, 2, 1.1)),
    ("bedside", r"bedside|night ?stand", (0.25, 0.25, 0.3), (0.8, 0.8, 0.8)),
    ("bed", r"\bbed\b|\bcrib\b|futon|mattress", (0.5, 1.0, 0.1), (2.4, 2.7, 2.0)),
    ("coffee table", r"coffee ?table|rattan table|balcony|bar table|table",
     (0.4, 0.4, 0.25), (1.7, 1.2, 0.6)),
    ("desk", r"desk|technical table", (0.7, 0.45, 0.6), (2.6, 1.8, 1.9)),
    ("table", r"table(?! fan| tennis bat)", (0.5, 0.5, 0.6), (2.8, 1.7, 1.1)),
    ("wardrobe", r"wardrobe|cupboard|dresser|dressing|chest\b|clothes rack|changing|drawers",
     (0.35, 0.25, 0.5), (2.6, 0.9, 2.5)),
    ("tv stand", r"tv ?stand|tv ?cabinet|television|fireplace|aquarium",
     (0.6, 0.25, 0.3), (2.6, 0.8, 2.4)),
    ("tv", r"^tv\b|\btv \d|imac|ibook|laptop|computer|wall flat",
     (0.2, 0.05, 0.15), (1.4, 0.5, 0.9)),
    ("shelf",
     r"bookcase|shel[fv]|living room|shoe ?rack|filing|holder|information|info ?desk|locker",
     (0.3, 0.2, 0.4), (3.4, 0.7, 2.5)),
    ("upper cabinet", r"upper|glass door cabinet|range ?hood|hood",
     (0.2, 0.2, 0.1), (1.3, 0.9, 1.0)),
    ("counter", r"lower cabinet|kitchen ?cabinet|\bsink|oven\b|island|cabinet",
     (0.4, 0.4, 0.6), (3.5, 1.3, 1.4)),
    ("appliance", r"fridge|refrig|washing|dryer|stove|freezer|high cabinet|cooler|double oven",
     (0.25, 0.25, 0.55), (1.3, 0.95, 2.3)),
    ("bath", r"bath\b|bathtub|shower stall|shower door", (0.6, 0.25, 0.4), (2, 1.7, 2.4)),
    ("toilet", r"toilets unit|bidet", (0.2, 0.4, 0.3), (0.7, 1, 1)),
    ("washbasin", r"washbasin|vanity|lavatory", (0.4, 0.3, 0.2), (2, 0.9, 2.3)),
    ("plant", r"plant|ficus|yucca|bamboo|spathi|palm|orchid|lily|bonsai",
     (0.25, 0.25, 0.4), (1.4, 1.4, 2.4)),
    ("piano", r"piano|furnace|football table|pool table|flipper|treadmill|fitness|bench",
     (0.4, 0.3, 0.4), (2.7, 2.0, 2)),
    ("person", r"male\b|female|boy|girl", (0.2, 0.2, 0.5), (1.4, 1.8, 2)),
)  # fmt: skip
_WORDS = [(kind, re.compile(words), least, most) for kind, words, least, most in _ROWS]
_TABLEWARE = {"Kitchen": "kitchenware", "Bathroom": "toiletry"}


def kind_of(name: str, category: str, size: Size, elevation: float = 0.0) -> str | None:
    """The kind of a model by which rooms ask for it; None if no room has a use for it.

    Args:
        name: the model's name in words, in any case.
        category: category of Sweet Home 3D, or "".
        size: width, depth, height in metres.
        elevation: height of the lowest point above the floor, in metres.
    """
    words = name.lower()
    if category in _OUTSIDE and not _EXCEPTIONS.search(words):
        return None
    if _NEVER.search(words):
        return None
    if elevation > 0.3:
        return _hung(words, category, size, elevation)
    for kind, pattern, least, most in _WORDS:
        fits = all(a <= side <= b for a, side, b in zip(least, size, most, strict=True))
        if fits and pattern.search(words):
            return "office chair" if (kind, category) == ("chair", "Office") else kind
    if all(side <= limit for side, limit in zip(size, _SMALL, strict=True)) and max(size) > 0.05:
        return _TABLEWARE.get(category, "ornament")
    if max(size[:2]) < 1.3 and 0.15 < size[2] < 2.1:
        return "floor thing"
    return None


def _hung(words: str, category: str, size: Size, elevation: float) -> str | None:
    """The kind of a model that does not stand on the floor."""
    if re.search(r"upper|glass door cabinet|hood", words):
        return "upper cabinet"
    if category == "Lights" and size[0] > 0.15 and elevation + size[2] > 2.2:
        return "pendant"
    if size[1] < 0.65 and elevation + size[2] < 2.4 and max(size) > 0.06:
        return "wall thing"
    return None
