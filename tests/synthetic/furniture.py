"""A small library of furniture: boxes as OBJ files, in a catalogue and as loose files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# The faces of a box between (0, 0, 0) and (1, 1, 1), each with the whole texture.
CUBE = """\
mtllib box.mtl
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
v 0 0 1
v 1 0 1
v 1 1 1
v 0 1 1
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl skin
f 4/1 3/2 2/3 1/4
f 5/1 6/2 7/3 8/4
f 1/1 2/2 6/3 5/4
f 3/1 4/2 8/3 7/4
f 2/1 3/2 7/3 6/4
f 4/1 1/2 5/3 8/4
"""
PICTURE = "newmtl skin\nKd 1 1 1\nmap_Kd picture.png\n"
RED = "newmtl skin\nKd 1 0 0\n"
ROWS = (
    # name, category, width, depth, height in cm
    ("Sofa", "Living room", 180, 80, 80),
    ("Bed", "Bedroom", 140, 200, 60),
    ("Table", "Living room", 140, 90, 75),
    ("Chair", "Living room", 45, 50, 90),
    ("Coffee table", "Living room", 100, 60, 40),
    ("Desk", "Office", 120, 60, 72),
    ("Bookcase", "Living room", 90, 30, 180),
    ("Lower cabinet", "Kitchen", 60, 61, 88),
    ("Cup", "Kitchen", 8, 9, 10),
    ("Vase", "Miscellaneous", 20, 20, 30),
    ("Truck", "Vehicles", 280, 900, 400),
)


def reader(files: dict[str, Any]) -> Callable[[str], bytes]:
    """What `read_obj` reads from."""
    return lambda name: {key: text.encode() for key, text in files.items()}[name]


def picture(colour: tuple[int, ...] = (0, 0, 255, 255), size: tuple[int, int] = (4, 4)) -> bytes:
    """A PNG file of one colour."""
    buffer = io.BytesIO()
    Image.new("RGBA", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def write_catalogue(path: Path, rows: Any = ROWS, texture: bytes | None = None) -> Path:
    """A `.sh3f` archive with one box per row, red or with a texture."""
    table = ["license=CC0", "name=Boxes"]
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, category, *sides) in enumerate(rows, 1):
            fields = dict(zip(("width", "depth", "height"), sides, strict=True))
            fields |= {"name": name, "category": category, "creator": "A. Maker"}
            fields |= {"id": name, "model": f"/m{number}/box.obj"}
            table += [f"{key}#{number}={value}" for key, value in fields.items()]
            archive.writestr(f"m{number}/box.obj", CUBE)
            archive.writestr(f"m{number}/box.mtl", PICTURE if texture else RED)
            if texture:
                archive.writestr(f"m{number}/picture.png", texture)
        archive.writestr("PluginFurnitureCatalog.properties", "\n".join(table))
    return path


def scaled(
    text: str, scale: tuple[float, float, float], shift: tuple[float, float, float] = (0, 0, 0)
) -> str:
    """An OBJ file with its vertices scaled and then moved."""
    lines = []
    for line in text.splitlines():
        if line.startswith("v "):
            values = np.array(line.split()[1:], float) * scale + np.array(shift)
            line = "v " + " ".join(map(str, values))
        lines.append(line)
    return "\n".join(lines)
