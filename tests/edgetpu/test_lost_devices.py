"""A short run of the benchmark in which devices are lost a thousand times."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import isolation, lost_devices


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_nothing_is_lost() -> None:
    found = lost_devices.lose(300, 8, ("kill", "abort", "vanish"))
    assert sum(found["losses"].values()) == 8 and found["lost_devices"] >= 1


def test_what_a_hop_costs_is_measured() -> None:
    row = isolation.hop_row(1_000, 1, 5)
    assert row["wall_us"] > row["in_process_wall_us"] > 0
