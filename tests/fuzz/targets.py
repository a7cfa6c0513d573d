"""The readers of untrusted bytes, each as a function of bytes with seeds for mutation.

A target passes if only `GLPNError` leaves the reader, within the time and memory of `run.py`.
"""

from __future__ import annotations

import json
import struct
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glpn import files
from glpn.camera.intrinsics_files import read_intrinsics
from glpn.data.dataset_spec import DatasetSpec
from glpn.data.lists import read_list
from glpn.depth.measurements import read_sparse
from glpn.engines.precision import read_records
from glpn.errors import GLPNError
from glpn.evaluation.measuring import read as read_result
from glpn.evaluation.protocols import PROTOCOLS
from glpn.evaluation.runner import evaluate
from glpn.image.exif import read_exif
from glpn.image.limits import SERVICE_LIMITS
from glpn.image.photo import read_photo
from glpn.jobs.manifest import Manifest
from glpn.records import read_json, read_toml
from glpn.synthetic.furniture_models.obj import read_obj
from glpn.training.recipe import bundled_recipes, read_recipe
from glpn.weights import hub_client
from glpn.weights.error_record import read_errors
from glpn.weights.header import read_header
from glpn.weights.integrity import require_intact
from tests.corpus.bytes_of import encoded, exif, jpeg_segment, jpeg_with, orientation, scene
from tests.depths import a_depth
from tests.evaluation.frames import make_frames, oracle

BUNDLED = hub_client.MODELS / "glpn-b0-indoor"
_RECORDS: dict[str, Callable[[Path], object]] = {
    "errors.json": read_errors,
    "precision.json": read_records,
    "checksums.json": require_intact,
}


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        read: of a whole file's bytes.
        seeds: makes well-formed files to start from.
        tokens: byte strings that mean something to the reader.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    tokens: Sequence[bytes] = ()


def _of_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    """A reader of bytes from a reader of files."""
    folder = Path(tempfile.mkdtemp(prefix="glpn-fuzz-"))

    def read_bytes(data: bytes) -> object:
        path = folder / name
        path.write_bytes(data)
        return read(path)

    return read_bytes


def _photos() -> list[bytes]:
    small = scene(24, 32)
    formats = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM")
    plain = [encoded(small, format) for format in formats]
    lens = exif([(0xA405, 3, 1, struct.pack("<HH", 26, 0))])
    return [
        *plain,
        jpeg_with(jpeg_segment(0xE1, lens), plain[0]),
        encoded(small, "JPEG", progressive=True),
        encoded(small, "WEBP", exif=orientation(6), lossless=True),
        encoded(small, "AVIF", exif=orientation(6)),
        encoded(small, "TIFF", compression="tiff_lzw"),
        encoded(small[:, :, 0] / np.float32(255), "TIFF"),
    ]


def _exif_blocks() -> list[bytes]:
    tail = struct.pack("<4I", 50, 10, 10_000, 1)
    entries = [(0x920A, 5, 1, struct.pack("<I", 26)), (0x8769, 4, 1, b"\x08\0\0\0")]
    return [orientation(6), exif(entries, tail)]


def _safetensors() -> list[bytes]:
    entry = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    text = json.dumps({"__metadata__": {"format": "pt"}, "a.weight": entry}).encode()
    return [struct.pack("<Q", len(text)) + text + bytes(16)]


def _manifest_lines() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        line = {
            "image": "/p/x.jpg",
            "stem": "x",
            "origin": {"image_hash": "ab" * 32, "model_hash": "cd" * 32},
            "files": {"png16": {"name": "x.png", "scale": 1000, "bytes": 10, "sha256": "ef" * 32}},
            "seconds": 1.5,
            "error": "",
            "time": "2026-01-01T00:00:00.000+00:00",
        }
        Path(folder, "manifest.jsonl").write_text(json.dumps(line) + "\n")
        assert len(Manifest(folder).read()) == 1
    return [(json.dumps(line) + "\n").encode() * 2]


def _intrinsics() -> list[bytes]:
    return [
        b"500 0 320\n0 500 240\n0 0 1\n",
        b'{"fx": 500.0, "fy": 500.0, "cx": 320, "cy": 240, "width": 640, "height": 480}',
        b"camera_matrix:\n  rows: 3\n  cols: 3\n  data: [500, 0, 320, 0, 500, 240, 0, 0, 1]\n"
        b"distortion_coefficients:\n  data: [0.1, -0.05, 0, 0, 0]\n",
        b"P2: 721.5 0 609.5 44.8 0 721.5 172.8 0.2 0 0 1 0.003\n",
    ]


def _lists() -> list[bytes]:
    return [
        b"rgb/1.png depth/1.png 518.8\nrgb/2.png None 518.8\n",
        b'{"image": "rgb/1.png", "depth": "depth/1.png"}\n',
        b"image,depth\nrgb/1.png,depth/1.png\n",
    ]


def _depth_files() -> list[bytes]:
    depth = a_depth((5, 6))
    return [depth.encode(name) for name, row in files.FORMATS.items() if row.reader]


def _all_lists(path: Path) -> None:
    """The same bytes as each kind of list."""
    data = path.read_bytes()
    for suffix in (".txt", ".csv", ".jsonl"):
        other = path.with_suffix(suffix)
        other.write_bytes(data)
        with suppress(GLPNError):
            read_list(other)


def _model_files() -> list[bytes]:
    """The records of a bundled model."""
    return [(BUNDLED / name).read_bytes()[:20_000] for name in ("errors.json", "checksums.json")]


def _in_a_model_folder(path: Path) -> None:
    """The same bytes as each record of a model folder."""
    data = path.read_bytes()
    for name, read in _RECORDS.items():
        (path.parent / name).write_bytes(data)
        with suppress(GLPNError):
            read(path.parent)


def _results() -> list[bytes]:
    result = evaluate(make_frames(2, (8, 8)), oracle, protocol=PROTOCOLS["folder"], model="m")
    return [result.to_json().encode()]


_MESH = b"""mtllib a.mtl
v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0.5\nvt 0 0\nvt 1 0\nvt 0 1\nvn 0 0 1
usemtl a\nf 1/1/1 2/2/1 3/3/1\nf 1 2 4 3\nf -1 -2 -3
"""


def _mesh(data: bytes) -> object:
    return read_obj("a.obj", lambda name: data if name == "a.obj" else b"newmtl a\nKd 1 0.5 0\n")


_JSON_TOKENS = (
    b"[",
    b"{",
    b'"',
    b"1e999",
    b"NaN",
    b"9" * 400,
    b"[" * 5000,
    b"\\ud800",
    b"null",
    b":",
)
_TIFF_TOKENS = (b"II*\0", b"MM\0*", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x69\x87\x04\0")

TARGETS = {
    "image": Target(
        lambda data: read_photo(data, limits=SERVICE_LIMITS),
        _photos,
        (*_TIFF_TOKENS, b"IHDR", b"Exif", b"\xff\xd8", b"\xff\xda", b"ftypavif", b"VP8X", b"ANMF"),
    ),
    "exif": Target(read_exif, _exif_blocks, _TIFF_TOKENS),
    "depth": Target(_of_file(lambda path: files.read(path, scale=1000), "depth"), _depth_files),
    "safetensors": Target(_of_file(read_header, "model.safetensors"), _safetensors, _JSON_TOKENS),
    "manifest": Target(
        _of_file(lambda path: Manifest(path.parent).read(), "manifest.jsonl"),
        _manifest_lines,
        _JSON_TOKENS,
    ),
    "intrinsics": Target(_of_file(read_intrinsics, "camera"), _intrinsics, _JSON_TOKENS),
    "lists": Target(_of_file(_all_lists, "list"), _lists, _JSON_TOKENS),
    "json": Target(
        _of_file(read_json, "config.json"), lambda: [b'{"a": [1, 2.5, "x", null]}'], _JSON_TOKENS
    ),
    "recipe": Target(
        _of_file(read_recipe, "recipe.toml"),
        lambda: [path.read_bytes() for path in bundled_recipes().values()],
        (b"[", b"{a=", b"9" * 400, b"inf", b"nan", b'"""', b"\n[x]\n"),
    ),
    "sparse": Target(
        _of_file(read_sparse, "points.csv"),
        lambda: [b"x,y,metres\n1,2,3.5\n4,5,6\n", b"1;2;3,5\n", b"# far\n1 2 3.5 # near\n"],
    ),
    "dataset": Target(
        _of_file(DatasetSpec.from_toml, "dataset.toml"),
        lambda: [
            b'rgb = "rgb/{stem}.jpg"\ndepth = "depth/{stem}.png"\nunit = "mm"\ninvalid = [0]\n'
            b"border = [1, 2, 3, 4]\nintrinsics = [500, 500, 320, 240]\n"
            b'intrinsics_size = [480, 640]\ntrain = "train.txt"\n'
        ],
        (b"[", b"{stem}", b"9" * 400, b"inf", b"nan", b'"""', b"{scene:path}"),
    ),
    "result": Target(_of_file(read_result, "result.json"), _results, _JSON_TOKENS),
    "model-records": Target(_of_file(_in_a_model_folder, "x"), _model_files, _JSON_TOKENS),
    "mesh": Target(_mesh, lambda: [_MESH], (b"f 1 2 3\n", b"v nan 1 1\n", b"/", b"-", b"9" * 20)),
    "toml": Target(_of_file(read_toml, "odd.toml"), lambda: [b"[a]\nb = 1.5\nc = [1, 'x']\n"]),
}
