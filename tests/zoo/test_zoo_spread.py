from __future__ import annotations

import numpy as np
import pytest

from segsolve.zoo.spread import Range, Spread

DRAWS = np.random.default_rng(0).standard_normal(200_000)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (1.5, 0.5), (-1.0, 2.0)])
def test_rectified_normal_values(mean: float, std: float) -> None:
    rectified = Spread(mean, std).activated("RELU")
    values = np.maximum(mean + std * DRAWS, 0)
    assert rectified.mean == pytest.approx(values.mean(), abs=0.01 * std)
    assert rectified.std == pytest.approx(values.std(), abs=0.01 * std)
    assert rectified.floor == 0


def test_no_activation_function_changes_nothing() -> None:
    assert Spread(1.0, 2.0).activated("NONE") == Spread(1.0, 2.0)


def test_relu6_ends_at_six() -> None:
    assert Range.covering(Spread(5.0, 2.0).activated("RELU6")).scale == pytest.approx(6 / 255)


def test_sum_of_independent_values() -> None:
    assert Spread(1.0, 3.0).plus(Spread(-2.0, 4.0)) == Spread(-1.0, 5.0)


def test_mixture_of_values() -> None:
    mixed = Spread(0.0, 1.0).joined(Spread(4.0, 2.0), share=0.25)
    values = np.concatenate((DRAWS[:150_000], 4 + 2 * DRAWS[150_000:]))
    assert mixed.mean == pytest.approx(values.mean(), abs=0.02)
    assert mixed.std == pytest.approx(values.std(), abs=0.02)


@pytest.mark.parametrize("count", [4, 9])
def test_maxima_of_rectified_values(count: int) -> None:
    maxima = Spread(0.0, 1.0).activated("RELU").maximum(count)
    values = np.maximum(DRAWS[: 100_000 // count * count].reshape(-1, count).max(axis=1), 0)
    assert maxima.mean == pytest.approx(values.mean(), abs=0.1)
    assert maxima.std == pytest.approx(values.std(), abs=0.12)


def test_means_spread_less_than_values_and_more_than_means_of_independent_ones() -> None:
    assert 1 / 3 < Spread(0.0, 1.0).averaged(9).std < 1


def test_a_range_covers_four_standard_deviations_and_has_an_exact_zero() -> None:
    symmetric, rectified = Range.covering(Spread(0.0, 1.0)), Range.covering(Spread(0.0, 1.0).activated("RELU"))
    assert symmetric.scale == pytest.approx(8 / 255)
    assert symmetric.zero_point in {-1, 0}
    assert rectified.zero_point == -128


def test_a_range_of_positive_values_reaches_down_to_zero() -> None:
    covering = Range(2.0, 10.0)
    assert covering.zero_point == -128
    assert covering.scale == pytest.approx(10 / 255)


def test_tied_ranges_are_one_and_cover_both() -> None:
    first, second, third = Range(-1.0, 1.0), Range(0.0, 4.0), Range(-2.0, 0.0)
    first.tie(second)
    second.tie(third)
    first.tie(third)
    assert first.scale == second.scale == third.scale == pytest.approx(6 / 255)
    assert first.zero_point == third.zero_point == -43
