"""A short run of the structure-aware mutations, of which ``benchmarks.mutations`` makes many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutations import supervised
from tests.segments.networks import NETWORKS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("windows")
    for k, build in enumerate(NETWORKS):
        (folder / f"{k}.window").write_bytes(build().content())
    return folder


@pytest.mark.parametrize(("what", "count"), [("read", 300), ("run", 40)])
def test_a_mutated_model_is_used_or_refused_and_nothing_else(what: str, count: int, folder: Path) -> None:
    found = supervised(what, folder, range(count))
    assert found.faults == {}
    assert found.outcomes.total() == count
    assert found.outcomes["read" if what == "read" else "ran"] > count / 20
    assert sum(n for outcome, n in found.outcomes.items() if outcome.startswith("refused")) > count / 10
