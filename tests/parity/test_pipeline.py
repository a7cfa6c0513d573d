"""`glpn.pipeline` beside transformers' own pipeline, on the same random network."""

from __future__ import annotations

import base64
import functools
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import glpn
from glpn import GLPNForDepthEstimation
from glpn.depth_pipeline import DepthPipeline
from glpn.engines.torch import TorchEngine
from glpn.errors import GLPNError, MissingInput, UsageError
from tests.networks import twins

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTOS = [str(EXAMPLES / "coffee.jpg"), str(EXAMPLES / "chelsea.jpg")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network as transformers saves it, with the processor that belongs to it."""
    from transformers import GLPNImageProcessorPil

    folder = tmp_path_factory.mktemp("model")
    reference, _ = twins("b0", decoder_hidden_size=16)
    reference.save_pretrained(folder)
    GLPNImageProcessorPil(do_resize=True, size_divisor=32).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    from transformers import pipeline

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pipeline("depth-estimation", model=str(folder), device=-1)


@pytest.fixture(scope="module")
def ours(folder: Path) -> Any:
    return glpn.pipeline("depth-estimation", model=str(folder), device=-1, threads=1)


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without a log."""

    def log_message(self, *_: object) -> None:
        pass


def require_same(result: Any, expected: Any) -> None:
    assert result.keys() == expected.keys()
    metres, theirs = result["predicted_depth"], expected["predicted_depth"]
    assert (type(metres), metres.dtype, metres.shape) == (torch.Tensor, theirs.dtype, theirs.shape)
    # Bicubic curves overshoot there and are kept within the network's own range here.
    assert (metres - theirs).abs().median() < 1e-4
    assert (metres - theirs).abs().max() < 0.02
    picture, grey = result["depth"], expected["depth"]
    assert isinstance(picture, Image.Image)
    assert (picture.mode, picture.size) == (grey.mode, grey.size)
    # Their formula. It stretches the map's own range, so their overshoot moves every level.
    depth = metres.numpy()
    levels = (depth - depth.min()) / (depth.max() - depth.min()) * 255
    assert np.abs(np.asarray(picture, int) - levels.astype("uint8").astype(int)).max() <= 1


@pytest.mark.parametrize("source", ["path", "PIL"])
def test_one_photograph_gives_what_transformers_gives(ours: Any, theirs: Any, source: str) -> None:
    photo = PHOTOS[0] if source == "path" else Image.open(PHOTOS[0])
    require_same(ours(photo), theirs(photo))


@pytest.mark.slow
def test_a_list_gives_a_list_in_order(ours: Any, theirs: Any) -> None:
    results, expected = ours(PHOTOS, batch_size=1), theirs(PHOTOS, batch_size=1)
    assert type(results) is type(expected) is list
    for result, reference in zip(results, expected, strict=True):
        require_same(result, reference)


def test_a_list_of_one_gives_a_list(ours: Any, theirs: Any) -> None:
    assert len(ours(PHOTOS[:1])) == len(theirs(PHOTOS[:1])) == 1
    assert ours([]) == []


def test_a_generator_gives_an_iterator_that_does_not_run_ahead(ours: Any) -> None:
    pulled = []

    def photographs() -> Iterator[Any]:
        for photo in PHOTOS:
            pulled.append(photo)
            yield photo

    results = ours(photographs())
    assert pulled == []
    next(results)
    assert pulled == PHOTOS[:1]


def test_keywords_of_transformers_are_taken(folder: Path, ours: Any) -> None:
    again = glpn.pipeline(
        task="depth-estimation", model=str(folder), device=torch.device("cpu"), dtype=torch.float32
    )
    metres = again(images=PHOTOS[0], timeout=5)["predicted_depth"]
    assert torch.equal(metres, ours(inputs=PHOTOS[0])["predicted_depth"])


def test_tensors_can_be_changed_and_arrays_be_had(folder: Path) -> None:
    pipe = glpn.pipeline(model=str(folder), return_tensors="np", threads=1)
    metres = pipe(PHOTOS[0])["predicted_depth"]
    assert isinstance(metres, np.ndarray) and metres.dtype == np.float32
    metres *= 2


def test_the_picture_goes_from_black_to_white_and_a_flat_depth_is_black(ours: Any) -> None:
    low, high = ours(PHOTOS[0])["depth"].getextrema()
    assert (low, high) == (0, 255)
    from glpn.depth_pipeline import grey_picture

    assert grey_picture(np.full((2, 3), 4, np.float32)).getextrema() == (0, 0)


@pytest.mark.slow
def test_a_url_is_fetched_on_request_only(ours: Any, folder: Path) -> None:
    with pytest.raises(MissingInput, match=r"https://example\.org/a\.jpg.*fetch_urls"):
        ours("https://example.org/a.jpg")
    handler = functools.partial(QuietHandler, directory=str(EXAMPLES))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        fetching = glpn.pipeline(model=str(folder), threads=1, fetch_urls=True)
        fetched = fetching(f"{address}/coffee.jpg", timeout=20)
        assert torch.equal(fetched["predicted_depth"], ours(PHOTOS[0])["predicted_depth"])
        with pytest.raises(MissingInput, match=r"none\.jpg: (File )?[Nn]ot [Ff]ound"):
            fetching(f"{address}/none.jpg")
        server.shutdown()


@pytest.mark.parametrize(
    "rest", ["", "/a b.jpg", ":port/a.jpg", "/nonsense"], ids=["ipv6", "space", "port", "status"]
)
def test_an_address_that_cannot_be_fetched_is_missing_input(folder: Path, rest: str) -> None:
    class Nonsense(QuietHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"nonsense\r\n\r\n")

    fetching = glpn.pipeline(model=str(folder), threads=1, fetch_urls=True)
    with HTTPServer(("127.0.0.1", 0), Nonsense) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = "127.0.0.1" if rest.startswith(":") else f"127.0.0.1:{server.server_port}"
        with pytest.raises(MissingInput, match=r"^http://"):
            fetching(f"http://{host}{rest}" if rest else "http://[::1", timeout=20)
        server.shutdown()


def test_white_space_in_a_long_string_costs_little(ours: Any) -> None:
    source = "A" * 64 + " " * 60_000 + "!"
    before = time.process_time()
    with pytest.raises(GLPNError):
        ours(source)
    assert time.process_time() - before < 2  # a quadratic search takes far longer


def test_the_device_is_the_one_that_the_engine_predicts_on(folder: Path) -> None:
    estimator = glpn.load(folder, engine="torch", threads=1)
    pipe = DepthPipeline(estimator, return_tensors="np")
    assert pipe.device == torch.device("cpu")
    network = GLPNForDepthEstimation.from_pretrained(folder).to("meta")
    engine = TorchEngine(network, folder=folder)  # what device="auto" opens where there is a GPU
    pipe = DepthPipeline(
        glpn.DepthEstimator(engine, estimator.processor, estimator.provenance), return_tensors="np"
    )
    assert pipe.device == torch.device("meta")


@pytest.mark.slow
def test_base64_data_addresses_and_rows_are_photos(ours: Any) -> None:
    data = Path(PHOTOS[0]).read_bytes()
    text = base64.b64encode(data).decode()
    expected = ours(PHOTOS[0])["predicted_depth"]
    for source in (text, f"data:image/jpeg;base64,{text}", {"image": PHOTOS[0]}, data):
        assert torch.equal(ours(source)["predicted_depth"], expected)
    with pytest.raises(UsageError, match="'image'"):
        ours({"picture": PHOTOS[0]})


def test_a_long_string_is_never_repeated_in_an_error(ours: Any) -> None:
    for bad in ("no such file " * 2000, "A" * 20_000, "data:image/png;base64," + "A" * 20_000):
        with pytest.raises(GLPNError) as caught:
            ours(bad)
        assert len(str(caught.value)) < 300


def test_datasets_and_key_datasets_give_iterators(ours: Any) -> None:
    from transformers.pipelines.pt_utils import KeyDataset

    rows = [{"image": photo, "name": photo} for photo in PHOTOS]
    results = list(ours(KeyDataset(rows, "image")))
    assert [r["predicted_depth"].shape for r in results] == [
        ours(photo)["predicted_depth"].shape for photo in PHOTOS
    ]


@pytest.mark.slow
def test_objects_and_their_names_run_the_torch_module(folder: Path, theirs: Any) -> None:
    model = glpn.GLPNForDepthEstimation.from_pretrained(folder)
    processor = glpn.GLPNImageProcessor.from_pretrained(folder)
    photo = Image.open(PHOTOS[0])
    expected = theirs(photo)
    for options in (
        {"model": model, "image_processor": processor},
        {"model": model, "feature_extractor": str(folder)},
        {"model": model},  # knows where it was loaded from
        {"model": str(folder), "model_kwargs": {"attn_implementation": "eager"}},
        {"model": str(folder), "config": model.config},
    ):
        pipe = glpn.pipeline("depth-estimation", device="cpu", **options)
        require_same(pipe(photo), expected)
        assert pipe.model.config.model_type == "glpn" and pipe.device.type == "cpu"
    half = glpn.pipeline(model=str(folder), dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    assert half(photo)["predicted_depth"].dtype == torch.float32
    with pytest.raises(UsageError, match="image_processor"):
        glpn.pipeline(model=glpn.GLPNForDepthEstimation(glpn.GLPNConfig()))
    with pytest.raises(UsageError, match="revision"):
        glpn.pipeline(model=model, image_processor=processor, revision="main")


def test_a_pipeline_has_its_parts_and_saves_them(ours: Any, folder: Path, tmp_path: Path) -> None:
    assert ours.image_processor.size_divisor == 32
    assert (ours.task, ours.framework, str(ours.device)) == ("depth-estimation", "pt", "cpu")
    ours.save_pretrained(tmp_path)
    again = glpn.pipeline(model=str(tmp_path), threads=1)
    assert torch.equal(again(PHOTOS[0])["predicted_depth"], ours(PHOTOS[0])["predicted_depth"])


def test_errors_are_of_the_kinds_that_callers_of_transformers_catch(
    ours: Any, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="photo"):
        ours(None)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    with pytest.raises(ValueError, match=r"broken\.jpg"):
        ours(str(broken))


def test_what_glpn_does_not_know_is_refused(folder: Path, ours: Any) -> None:
    with pytest.raises(UsageError, match="image-classification"):
        glpn.pipeline("image-classification")
    with pytest.raises(UsageError, match="top_k"):
        ours(PHOTOS[0], top_k=3)
    with pytest.raises(UsageError, match="tf"):
        glpn.pipeline(model=str(folder), return_tensors="tf")
    with pytest.raises(MissingInput, match="nowhere"):
        glpn.pipeline(model=str(folder / "nowhere"))
