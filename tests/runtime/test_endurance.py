"""Short forms of the benchmarks that run long: the soak with faults, equality under load, memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.equal import busy_machine, compare
from benchmarks.memory import growth_mib
from benchmarks.soak import soak
from segsolve.graph.read import read_model
from tests.models import residual_net
from tests.shared import real_models


def test_a_soak_with_faults_loses_nothing_and_keeps_its_memory() -> None:
    done = soak(6_000, timeout_s=3.0)
    faulty = done["with_faults"]
    assert faulty["faults"]["device lost"] >= 1
    assert faulty["faults"]["hung"] == 1
    assert len(faulty["lost"]) == sum(faulty["faults"][kind] for kind in ("device lost", "hung"))
    assert faulty["memory_growth_mib"] < 4
    assert done["without_faults"]["memory_growth_mib"] < 4


def test_growth_is_that_of_the_last_quarter_over_the_second() -> None:
    assert growth_mib([1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0]) == 0.0
    assert growth_mib([float(n) for n in range(8)]) == 4.0


@pytest.mark.parametrize("stages", [1, 3, 8])
def test_outputs_equal_the_whole_models_while_the_machine_is_busy(tmp_path: Path, stages: int) -> None:
    loaded = residual_net().load(tmp_path)
    with busy_machine(1):
        rows = list(compare(loaded, [stages], [1, 3]))
    assert [row["map"] for row in rows] == [6, 6]


@pytest.mark.parametrize("path", real_models())
def test_outputs_of_real_models_equal_the_whole_models(path: Path) -> None:
    (row,) = compare(read_model(path), [4], [2])
    assert (row["stages"], row["map"], row["submit"]) == (4, 6, 6)
