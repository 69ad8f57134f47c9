"""Long searches: what is recorded is not tried again, but for faults, which may be mended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import common
from benchmarks.slices import Slice, search

WHERE = ("found", "kinds", "plan")


def test_a_search_goes_on_from_what_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    tried: list[int] = []

    def attempt(seeds: Sequence[int], faulty: int = 3) -> Slice:
        found = Slice()
        for seed in seeds:
            tried.append(seed)
            found.add(seed, "odd" if seed % 2 else "even", "breaks" if seed == faulty else "", float(seed))
        return found

    def stopped(seeds: Sequence[int]) -> Slice:
        if seeds[0] >= 6:
            raise KeyboardInterrupt
        return attempt(seeds)

    with pytest.raises(KeyboardInterrupt):
        search(WHERE, 10, stopped, size=3, record=True)
    kept = common.part_of(*WHERE)
    assert (kept["tried"], kept["faults"], kept["mended"]) == (6, {"3": "breaks"}, {})
    found = search(WHERE, 10, lambda seeds: attempt(seeds, faulty=8), size=3, record=True)
    assert tried == [0, 1, 2, 3, 4, 5, 3, 6, 7, 8, 9]
    assert found == {
        "tried": 10,
        "outcomes": {"even": 5, "odd": 5},
        "most_mib": 9,
        "faults": {8: "breaks"},
        "mended": {3: "breaks"},
    }
    assert search(WHERE, 4, attempt, size=3, record=False)["tried"] == 4
