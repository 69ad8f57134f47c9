"""One pipeline of a graph of too many cuts, on a host that each stage costs time: the ladder for stages that pay."""

from __future__ import annotations

from dataclasses import replace

import pytest

from generators.dags import random_dag
from segsolve.problem import Host
from segsolve.question import Cuts, Layout, Question
from segsolve.search.ask import answer
from segsolve.search.wide import wide_answer
from segsolve.solvers.base import Limits, Status, ignore


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_all_cuts_of_a_small_graph_give(seed: int) -> None:
    free = random_dag(14, 4, seed, width=2)
    least = answer(free, Question(layout=Layout.PIPELINE, cuts=Cuts.DAG)).value
    assert least is not None
    problem = replace(free, host=Host(cores=1, serial_ns=round(least * (1 + seed % 3) / 4)))
    known = answer(problem, Question(layout=Layout.PIPELINE, cuts=Cuts.CHAIN))
    exact = answer(problem, Question(layout=Layout.PIPELINE, cuts=Cuts.DAG))
    found = wide_answer(problem, known, Limits(), ignore)
    assert (found.status, found.value, found.bound) == (Status.OPTIMAL, exact.value, exact.value)
