"""Execute the notebooks and keep their pictures.

    python scripts/notebooks.py                      # all
    python scripts/notebooks.py evaluate look_inside # some

Run it after a change of a notebook, of the bundled weights or of the pictures' style. It needs
`pip install -c constraints.txt '.[notebook]'`.
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
SECONDS = 300  # for one cell
JPEG_QUALITY = 85  # of the kept pictures, which take a third of their size as PNG


def main() -> None:
    """Execute the named notebooks in place."""
    names = sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    for name in names:
        path = FOLDER / f"{name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        folder = {"metadata": {"path": str(FOLDER)}}
        NotebookClient(notebook, timeout=SECONDS, resources=folder).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times, which differ in every run
            for output in cell.get("outputs", ()):
                shrink(output.get("data", {}))
        notebook.metadata["language_info"] = {"name": "python"}
        nbformat.write(notebook, path)
        print(f"{path.name}: {path.stat().st_size // 1000} kB")


def shrink(data: dict[str, Any]) -> None:
    """Replace a PNG among an output's representations by a JPEG."""
    if "image/png" not in data:
        return
    with Image.open(io.BytesIO(base64.b64decode(data.pop("image/png")))) as picture:
        file = io.BytesIO()
        picture.convert("RGB").save(file, "JPEG", quality=JPEG_QUALITY, optimize=True)
    data["image/jpeg"] = base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main()
