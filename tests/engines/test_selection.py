"""The automatic engine suits the job, remembers what was measured, and needs no cache."""

from __future__ import annotations

import time
from functools import partial

import pytest

from glpn import GLPNConfig
from glpn.engines import selection
from glpn.engines.selection import Candidate, Cost

QUICK = Candidate("openvino", "bfloat16")
LIGHT = Candidate("onnxruntime", "float32")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, on a machine that is never too busy."""
    monkeypatch.setattr(selection, "_OWN", 0)
    monkeypatch.setenv("GLPN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Engine:
    """Something that can be timed."""

    name, precision, config = "engine", "float32", GLPNConfig()

    def __call__(self, pixels):
        return pixels[:, 0]


@pytest.fixture
def folder(tmp_path):
    """A network that sees photographs as they are, and is asked about those of 480×640."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


def pick(folder, photos, opened=None):
    def make(candidate):
        if opened is None:
            pytest.fail("measured")
        opened.append(candidate)
        return Engine()

    return selection.best([QUICK, LIGHT], folder, photos=photos, threads=2, open_candidate=make)


@pytest.fixture
def best(folder):
    """Photographs → what is chosen; `opened` takes down what is measured, which else fails."""
    return partial(pick, folder)


def test_one_photo_takes_the_engine_that_starts_fast_and_measures_nothing(best):
    assert best(1) == LIGHT


@pytest.mark.parametrize("photos", [None, selection.FEW, selection.MANY - 1])
def test_more_take_the_one_that_runs_fast_and_measure_nothing(best, photos):
    assert best(photos) == QUICK


def test_many_are_worth_one_measurement_that_is_remembered(best):
    opened = []
    first = best(selection.MANY, opened)
    assert opened == [QUICK, LIGHT]
    assert best(selection.MANY) == first


def test_what_a_busy_machine_says_is_neither_believed_nor_kept(folder, cache, monkeypatch):
    monkeypatch.setattr(selection, "_OWN", 0.75)
    opened = []

    class Waiting(Engine):
        """What others keep from the processor, the longer the better it is by rule."""

        def __init__(self, candidate):
            self.seconds = 0.05 if candidate == QUICK else 0.01

        def __call__(self, pixels):
            time.sleep(self.seconds)
            return pixels[:, 0]

    def make(candidate):
        opened.append(candidate)
        return Waiting(candidate)

    for _ in range(2):
        chosen = selection.best([QUICK, LIGHT], folder, photos=500, threads=1, open_candidate=make)
        assert chosen == QUICK
    assert opened == [QUICK, LIGHT] * 2 and not cache.exists()


def test_the_fastest_call_counts():
    class Disturbed(Engine):
        calls = 0

        def __call__(self, pixels):
            Disturbed.calls += 1
            time.sleep(0.2 if Disturbed.calls == 2 else 0.01)
            return pixels[:, 0]

    cost, _ = selection.measure(Disturbed)
    assert 0.01 <= cost.image < 0.1


def test_photographs_count_by_what_the_network_sees_of_them(folder, best):
    (folder / "preprocessor_config.json").write_text('{"short_side": 240}')  # a quarter
    assert [best(n) for n in (4 * selection.FEW - 1, 4 * selection.FEW)] == [LIGHT, QUICK]
    opened = []
    best(4 * selection.MANY - 1)
    best(4 * selection.MANY, opened)
    assert opened == [QUICK, LIGHT]


def test_what_was_measured_decides_by_the_length_of_the_job(best, folder):
    # 1 + n·0.05 against 0.1 + n·0.1: the first is faster from 18 photographs on.
    costs = {"openvino bfloat16": Cost(1.0, 0.05), "onnxruntime float32": Cost(0.1, 0.1)}
    selection.remember(folder, 2, costs)
    assert [best(n) for n in (1, 17, 19, 500)] == [LIGHT, LIGHT, QUICK, QUICK]


def test_a_measurement_with_other_threads_does_not_count(best, folder):
    selection.remember(folder, 1, {" ".join(QUICK): Cost(9, 9), " ".join(LIGHT): Cost(1, 1)})
    assert best(None) == QUICK


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"openvino bfloat16": 3}', b"\xff", b'{"a":[0,0]}']
)
def test_a_broken_cache_is_as_if_it_were_not_there(best, folder, cache, content):
    selection.remember(folder, 2, {" ".join(QUICK): Cost(9, 9), " ".join(LIGHT): Cost(1, 1)})
    [file] = (cache / "engines").iterdir()
    file.write_bytes(content)
    assert best(None) == QUICK


def test_a_cache_that_cannot_be_written_is_as_if_it_were_not_there(best, cache):
    cache.write_text("no folder")
    opened = []
    assert best(selection.MANY, opened) in (QUICK, LIGHT)
    assert opened == [QUICK, LIGHT]


def test_a_single_candidate_is_never_measured(folder):
    assert (
        selection.best([LIGHT], folder, photos=10_000, threads=2, open_candidate=lambda _: None)
        == LIGHT
    )
