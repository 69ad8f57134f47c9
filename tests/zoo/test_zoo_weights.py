from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from segsolve.zoo.spread import Range, Spread
from segsolve.zoo.steps import Kernel, Value
from segsolve.zoo.weights import Weights, draw

RECTIFIED = Spread(0.0, 1.0).activated("RELU")
SOURCE = Value("source", (1, 16, 16, 64), RECTIFIED, Range.covering(RECTIFIED))


def products(drawn: Weights, count: int = 4000) -> npt.NDArray[Any]:
    """What a layer with one position makes of random rectified inputs, channel by channel."""
    inputs = np.maximum(np.random.default_rng(1).standard_normal((count, drawn.values[0].size)), 0)
    real = drawn.values.reshape(len(drawn.values), -1) * drawn.scales[:, None]
    outputs: npt.NDArray[Any] = inputs @ real.T + drawn.bias * drawn.scales * SOURCE.range.scale
    return outputs


@pytest.mark.parametrize("normalised", [True, False])
def test_outputs_have_nearly_mean_zero_and_the_wanted_standard_deviation(normalised: bool) -> None:
    kernel = Kernel((32, 3, 3, 64), channel_axis=0, std=2.0, normalised=normalised)
    outputs = products(draw(np.random.default_rng(0), kernel, SOURCE))
    assert np.abs(outputs.mean(axis=0)).max() < 1.0
    assert outputs.std() == pytest.approx(2.0, rel=0.1)


def test_channels_differ_in_scale() -> None:
    drawn = draw(np.random.default_rng(0), Kernel((32, 1, 1, 64), channel_axis=0, normalised=True), SOURCE)
    assert len(set(drawn.scales.tolist())) == 32


def test_a_layer_without_bias_has_zeros_and_weights_that_add_up_to_little() -> None:
    drawn = draw(np.random.default_rng(0), Kernel((1, 3, 3, 64), channel_axis=3, bias=False), SOURCE)
    assert drawn.values.shape == (1, 3, 3, 64)
    assert not drawn.bias.any()
    assert np.abs(drawn.values.sum(axis=(0, 1, 2), dtype=np.int32)).max() < 127


def test_weights_keep_away_from_the_smallest_int8() -> None:
    drawn = draw(np.random.default_rng(0), Kernel((64, 3, 3, 64), channel_axis=0), SOURCE)
    assert drawn.values.min() == -127
    assert drawn.values.max() == 127
