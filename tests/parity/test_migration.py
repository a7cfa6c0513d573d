"""The migration page tells the truth about every keyword, and leaves none out."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import glpn
from glpn import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor
from glpn.errors import GLPNError
from tests.networks import photograph
from tests.parity.migration import (
    FORWARD,
    LOADING,
    MISSING,
    PIPELINE,
    PROCESSOR,
    SAVING,
    Row,
    page,
)

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"
TINY = {"hidden_sizes": (8, 16, 40, 64), "depths": (1, 1, 1, 1), "decoder_hidden_size": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    GLPNForDepthEstimation(GLPNConfig(**TINY)).save_pretrained(folder)
    GLPNImageProcessor().save_pretrained(folder)
    return folder


def named(rows: tuple[Row, ...]) -> set[str]:
    return {row.keyword for row in rows}


def refusing(rows: tuple[Row, ...]) -> list[str]:
    return [row.keyword for row in rows if row.fate == MISSING]


def trying(rows: tuple[Row, ...]) -> list[Row]:
    return [row for row in rows if row.fate != MISSING and row.value is not None]


def parameters(function: object, *without: str) -> set[str]:
    names = inspect.signature(function).parameters.values()
    plain = {p.name for p in names if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return plain - {"self", "cls", *without}


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.parity.migration > docs/migration.md"


def test_no_keyword_of_transformers_is_left_out() -> None:
    import transformers
    from transformers.processing_utils import ImagesKwargs

    theirs = transformers.GLPNForDepthEstimation
    loading = inspect.getsource(transformers.PreTrainedModel.from_pretrained)
    popped = set(re.findall(r'kwargs\.pop\("([a-z]\w*)"', loading))
    assert parameters(transformers.PreTrainedModel.from_pretrained) | popped <= named(LOADING)
    assert parameters(theirs.save_pretrained) <= named(SAVING)
    assert parameters(theirs.forward) <= named(FORWARD)
    assert set(ImagesKwargs.__annotations__) | {"size_divisor"} <= named(PROCESSOR)
    assert parameters(transformers.pipeline) <= named(PIPELINE)


@pytest.mark.parametrize("row", trying(LOADING), ids=lambda row: row.keyword)
def test_loading_takes(row: Row, folder: Path) -> None:
    GLPNForDepthEstimation.from_pretrained(folder, **{row.keyword: row.value})


@pytest.mark.parametrize("keyword", refusing(LOADING))
def test_loading_refuses(keyword: str, folder: Path) -> None:
    with pytest.raises(GLPNError, match=keyword):
        GLPNForDepthEstimation.from_pretrained(folder, **{keyword: "x"})
    GLPNForDepthEstimation.from_pretrained(folder, **{keyword: None})


def test_saving_takes_and_refuses(folder: Path, tmp_path: Path) -> None:
    model = GLPNForDepthEstimation.from_pretrained(folder)
    for row in trying(SAVING):
        model.save_pretrained(save_directory=tmp_path, **{row.keyword: row.value})
    for keyword in refusing(SAVING):
        with pytest.raises(GLPNError, match=keyword):
            model.save_pretrained(tmp_path, **{keyword: True})


def test_forward_takes(folder: Path) -> None:
    model = GLPNForDepthEstimation.from_pretrained(folder)
    for row in trying(FORWARD):
        model(pixel_values=photograph(32, 64), **{row.keyword: row.value})


@pytest.mark.parametrize("row", trying(PROCESSOR), ids=lambda row: row.keyword)
def test_the_processor_takes(row: Row) -> None:
    image = np.zeros((40, 70, 3), np.uint8)
    options = {"return_tensors": "pt", row.keyword: row.value}
    GLPNImageProcessor()(images=image, **options)
    if row.keyword not in ("device", "return_tensors"):
        GLPNImageProcessor(**{row.keyword: row.value})


@pytest.mark.slow
@pytest.mark.parametrize("row", trying(PIPELINE), ids=lambda row: row.keyword)
def test_the_pipeline_takes(row: Row, folder: Path) -> None:
    pipe = glpn.pipeline(model=str(folder), **{row.keyword: row.value})
    assert pipe(Image.new("RGB", (70, 40)))["predicted_depth"].shape == (40, 70)


@pytest.mark.parametrize("keyword", refusing(PIPELINE))
def test_the_pipeline_refuses(keyword: str, folder: Path) -> None:
    with pytest.raises(GLPNError, match=keyword):
        glpn.pipeline(model=str(folder), **{keyword: object()})
