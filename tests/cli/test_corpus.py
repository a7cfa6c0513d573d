"""Every bad and odd photograph of the corpus through `glpn predict`, all in one batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glpn as library
from tests.cli.conftest import Run, RunGlpn, run_for_real, write_photo
from tests.corpus.images import FILES, Case

pytestmark = pytest.mark.slow


class Corpus:
    """The batch's run and its records, by the photograph's path."""

    def __init__(self, run: Run, paths: dict[str, Path], output: Path) -> None:
        self.run = run
        self.output = output
        self.records: dict[str, dict[str, Any]] = {r["image"]: r for r in run.records}
        self.paths = paths


@pytest.fixture(scope="module")
def corpus(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    paths = {key(case): case.write(folder) for case in FILES}
    good = [write_photo(folder / name) for name in ("00-first.jpg", "zz-last.jpg")]
    output = folder / "out"
    arguments = [good[0], *paths.values(), good[1], folder / "absent.jpg"]
    options = ("--json", "--format", "png16", "--threads", 1)
    run = run_for_real("predict", *arguments, "-m", model, "-o", output, *options)
    return Corpus(run, {**paths, "first": good[0], "last": good[1]}, output)


def key(case: Case) -> str:
    return f"{case.row}-{case.id}{case.suffix}"


def test_the_batch_exits_with_65_and_without_traceback(corpus: Corpus) -> None:
    assert corpus.run.code == 65
    assert "Traceback" not in corpus.run.err
    assert len(corpus.records) == len(FILES) + 3


def test_good_photographs_before_and_after_are_written(corpus: Corpus) -> None:
    for name in ("first", "last"):
        assert corpus.records[str(corpus.paths[name])]["status"] == "predicted"


@pytest.mark.parametrize("case", FILES, ids=key)
def test_each_file_comes_out_as_it_must(corpus: Corpus, case: Any) -> None:
    path = corpus.paths[key(case)]
    record = corpus.records[str(path)]
    if case.outcome is not None:
        assert (record["status"], record["code"]) == ("failed", case.outcome.exit_code)
        assert f"error: {path}: " in corpus.run.err
        return
    assert record["status"] == "predicted"
    metres = library.read_depth(record["files"]["png16"]).metres
    assert metres.shape == case.size
    assert 0 < metres.min() <= metres.max() <= 10 and np.isfinite(metres).all()


def test_one_bad_file_alone_is_65_and_one_that_is_missing_66(
    predict: RunGlpn, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    assert predict(bad).code == 65
    assert predict(tmp_path / "absent.jpg").code == 66
    assert predict(bad, tmp_path / "absent.jpg").code == 65
