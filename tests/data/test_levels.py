from __future__ import annotations

import numpy as np
import pytest

from glpn.data.levels import are_normalised, common_step, levels_of, unknown_values


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def scenes(rng: np.random.Generator, count: int = 6, top: int = 4000) -> list[np.ndarray]:
    """Depth in millimetres, each frame from half a metre to an end of its own."""
    return [rng.integers(500, rng.integers(top // 2, top), (60, 80)) for _ in range(count)]


def with_unknown(
    maps: list[np.ndarray], value: int, share: float = 0.2, seed: int = 0
) -> list[np.ndarray]:
    out = []
    for i, raw in enumerate(maps):
        raw = raw.astype(np.float64)
        raw[np.random.default_rng((seed, i)).random(raw.shape) < share] = value
        out.append(raw)
    return out


def test_ordinary_maps_have_no_unknown_value(rng: np.random.Generator) -> None:
    assert unknown_values([levels_of(raw) for raw in scenes(rng)]) == {}


@pytest.mark.parametrize("value", [65535, 10000, 4100, 1])
def test_a_value_far_from_the_rest_in_every_map_is_unknown(
    rng: np.random.Generator, value: int
) -> None:
    found = unknown_values([levels_of(raw) for raw in with_unknown(scenes(rng), value)])
    assert list(found) == [value]
    assert found[value] == pytest.approx(0.2, abs=0.03)


def test_a_mixture_of_unknown_values_is_found_whole(rng: np.random.Generator) -> None:
    maps = with_unknown(with_unknown(scenes(rng), 65535, 0.1), 8191, 0.1, seed=1)
    assert set(unknown_values([levels_of(raw) for raw in maps])) == {65535, 8191}


def test_a_few_pixels_of_the_formats_limit_are_enough(rng: np.random.Generator) -> None:
    maps = with_unknown(scenes(rng), 65535, 0.002)
    assert list(unknown_values([levels_of(raw) for raw in maps])) == [65535]


def test_one_frame_with_a_wall_at_its_end_is_no_unknown_value(rng: np.random.Generator) -> None:
    maps = scenes(rng)
    maps[2][:30] = maps[2].max() * 2
    assert unknown_values([levels_of(raw) for raw in maps]) == {}


def test_nan_and_negative_values_are_left_out(rng: np.random.Generator) -> None:
    raw = scenes(rng, 1)[0].astype(np.float32)
    raw[0], raw[1] = np.nan, -1
    assert levels_of(raw) == levels_of(raw[2:])


def test_constant_and_empty_maps_have_no_ends() -> None:
    assert levels_of(np.full((9, 9), 7)).extremes == ()
    assert levels_of(np.zeros((9, 9))).extremes == ()
    assert unknown_values([]) == {}


def test_maps_scaled_to_one_maximum_each_are_normalised(rng: np.random.Generator) -> None:
    maps = [raw * (65535 / raw.max()) for raw in scenes(rng)]
    assert are_normalised([levels_of(raw) for raw in maps])
    assert not are_normalised([levels_of(raw) for raw in scenes(rng)])


def test_three_maps_are_too_few_to_call_normalised(rng: np.random.Generator) -> None:
    maps = [raw * (65535 / raw.max()) for raw in scenes(rng, 3)]
    assert not are_normalised([levels_of(raw) for raw in maps])


@pytest.mark.parametrize("step", [4, 5, 10])
def test_the_common_step_of_whole_values_is_found(rng: np.random.Generator, step: int) -> None:
    assert common_step([raw * step for raw in scenes(rng)]) == step


def test_few_or_broken_values_have_no_step(rng: np.random.Generator) -> None:
    assert common_step([np.array([[10, 20, 30]])]) == 1
    assert common_step([raw * 5.0 for raw in scenes(rng)]) == 1
    assert common_step([]) == 1
