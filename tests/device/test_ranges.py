"""Ranges of predicted times: which regime a time is of, and the range that a description gives it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.calibration.copies import IMAGE_MIB, PUBLISHED, gains, in_step
from benchmarks.calibration.ranges import SHARE, inside, inside_left_out, ranges
from segsolve.device.model import load_device
from segsolve.device.ranges import Regime, regime, time_range

DEVICE = replace(load_device("edgetpu-usb"), ranges=(("spilling", 0.9, 1.2), ("host", 1.0, 2.0)))
MS = 1_000_000


@pytest.mark.parametrize(
    ("time", "stream", "transfer", "host", "expected"),
    [
        (10 * MS, 3 * MS, 5 * MS, 0, Regime.SPILLING),
        (10 * MS, 2 * MS, 3 * MS, 0, Regime.TRANSFERS),
        (10 * MS, 2 * MS, 2 * MS, 0, Regime.PLAIN),
        (2 * MS, 0, 0, 0, Regime.SMALL),
        (2 * MS, 2 * MS, 0, 2 * MS, Regime.HOST),
    ],
)
def test_what_a_time_consists_of(time: int, stream: int, transfer: int, host: int, expected: Regime) -> None:
    assert regime(time_ns=time, stream_ns=stream, transfer_ns=transfer, host_ns=host) is expected


def test_a_range_is_that_of_the_regime_and_none_where_nothing_is_known() -> None:
    assert time_range(DEVICE.ranges, Regime.SPILLING, 10 * MS) == (9 * MS, 12 * MS)
    assert time_range(DEVICE.ranges, Regime.SMALL, MS) is None


def test_ranges_hold_what_they_say_of_rows_like_those_that_made_them() -> None:
    draw = np.random.default_rng(3)
    kinds = [Regime.SMALL] * 400 + [Regime.PLAIN] * 400
    spread = np.repeat([0.05, 0.2], 400)
    found = ranges(kinds, np.exp(draw.normal(0, spread)) - 1, "a test")
    assert found["small"].high < found["plain"].high
    assert inside(found, kinds, np.exp(draw.normal(0, spread)) - 1) == pytest.approx(SHARE, abs=0.06)


def test_families_that_err_alike_are_held_against_the_others() -> None:
    kinds, families = [Regime.PLAIN] * 60, ["a"] * 30 + ["b"] * 30
    errors = np.concatenate([np.linspace(0, 0.1, 30), np.linspace(0.05, 0.15, 30)])
    assert inside_left_out(kinds, errors, families) == pytest.approx(0.7, abs=0.15)
    assert inside_left_out(kinds, errors, ["a", "b"] * 30) > 0.8


def test_a_few_rows_have_the_range_of_all() -> None:
    found = ranges([Regime.SMALL] * 12 + [Regime.PLAIN] * 20, np.linspace(-0.1, 0.1, 32), "a test")
    assert found["small"].source == "a test: 32 rows of all kinds"
    assert found["plain"].source == "a test: 20 rows"


def test_copies_that_meet_at_the_host_gain_less_than_those_that_keep_step() -> None:
    """One customer never waits; of many, the last may use all that is left of the host, and no more."""
    queued = gains(8, 1.06, 0.246)
    assert queued[0] == pytest.approx(1)
    assert all(a < b for a, b in pairwise(queued))
    assert all(q <= s + 1e-9 for q, s in zip(queued, in_step(8, 1.06, 0.246), strict=True))
    assert gains(2, 2.0, 1.0)[1] == pytest.approx(2 / (1 + 1.5) * 2)  # the second finds half of the first at the host
    low, high = (gains(8, alone, 0.246 + 1.17 * IMAGE_MIB)[-1] for alone in (1.585, 2.04))
    assert PUBLISHED[0] <= low + 0.005 < high < PUBLISHED[1]
