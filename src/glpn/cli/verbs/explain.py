"""`glpn explain`: one picture of what happens to a photo inside the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from glpn.cli import console, options
from glpn.errors import UsageError

_Photo = Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo.")]
_MARK = "glpn explain"
_Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="The PNG file to write.")
]


def explain(
    photo: _Photo,
    output: _Output = Path("explain.png"),
    model: options.Model = "",
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw what happens to a photo inside the network, in one picture.

    The picture shows the photo, its depth and one sigma of it; the encoder's four maps (principal
    components as colours); and how much of the local and of the global map each selective fusion
    lets through (white: all of it). It replaces earlier pictures of this kind. It needs torch.

    Examples:

      glpn explain kitchen.jpg -o explain.png
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from glpn import weights
    from glpn.depth.explanation import explanation
    from glpn.engines.options import DEFAULT_MODEL
    from glpn.estimator import MAX_INPUT_PIXELS, load
    from glpn.files.paths import atomic_file
    from glpn.image.photo import read_photo
    from glpn.network.inspection import inspect
    from glpn.network.model import GLPNForDepthEstimation

    if overwrite and output.exists() and photo.exists() and output.samefile(photo):
        raise UsageError(f"{output}: is the photo; choose another -o")
    name = model or DEFAULT_MODEL
    estimator = load(name, engine="torch", precision="float32")
    source = read_photo(photo)
    depth = estimator(source, uncertainty="flip")
    network = GLPNForDepthEstimation.from_pretrained(weights.resolve(name))
    pixels = estimator.processor.pixels(source.pixels, max_pixels=MAX_INPUT_PIXELS)
    found = inspect(network.eval(), pixels)
    picture = explanation(depth, found.maps, found.gates)
    mark = PngInfo()
    mark.add_text("Software", _MARK)
    with atomic_file(output, overwrite=overwrite or _is_own(output)) as file:
        Image.fromarray(picture).save(file, "PNG", pnginfo=mark)
    if not quiet:
        console.print_line(f"{output}: maps and gates of {photo}")


def _is_own(path: Path) -> bool:
    """Whether this verb wrote the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=("PNG",)) as image:
            return bool(image.info.get("Software") == _MARK)
    except (OSError, UnidentifiedImageError):
        return False
