"""Solver against certificate: thousands of generated problems and the real graphs of the zoo.

Run it before another version of OR-Tools is allowed. Every problem is solved by CP-SAT and by dynamic programming; a
wrong objective, a false optimum or a false infeasibility raises, is counted and kept with its seed.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.common import write_result, zoo_file
from segsolve.device.model import load_device
from segsolve.errors import SolverFault
from segsolve.graph.read import read_graph
from segsolve.problem import OpCost, Problem, Transfer
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.chain.confirmed import solve
from segsolve.solvers.base import Limits
from segsolve.zoo import names
from tests.problems import large_chain

SMALL, MEDIUM = 3000, 300


def main() -> None:
    start = time.perf_counter()
    counts = {
        "small": check((f"small {seed}", small(seed)) for seed in range(SMALL)),
        "medium": check((f"medium {seed}", medium(seed)) for seed in range(MEDIUM)),
        "zoo": check(real()),
    }
    write_result("fuzz", {"wall_s": round(time.perf_counter() - start, 1), **counts})


def check(problems: Iterator[tuple[str, Problem]]) -> dict[str, Any]:
    """Solve each problem by both exact planners, with one and two workers in turn; name those that disagree."""
    solved, infeasible, wrong = 0, 0, []
    for number, (name, problem) in enumerate(problems):
        try:
            exact = solve(problem, planner="dp")
            found = solve(problem, limits=Limits(seed=number, workers=1 + number % 2))
            if (found.status, found.plan) != (exact.status, exact.plan):
                wrong.append(f"{name}: {found.status} {found.objective_ns}, dp {exact.status} {exact.objective_ns}")
            infeasible += exact.plan is None
        except SolverFault as fault:
            wrong.append(f"{name}: {fault}")
        solved += 1
    print(solved, "solved,", infeasible, "infeasible,", len(wrong), "wrong", flush=True)
    return {"solved": solved, "infeasible": infeasible, "wrong": wrong}


def small(seed: int) -> Problem:
    """A problem of up to 30 operations with skips, spill, illegal cuts, and every third with `no_spill`."""
    rng = random.Random(seed)
    n = rng.randint(1, 30)
    ranks = rng.sample(range(n), n)
    return Problem(
        name=f"small {seed}",
        ops=tuple(_op(rng, rank) for rank in ranks),
        transfers=tuple(_transfer(rng, producer, n) for producer in range(-1, n)),
        cuts=tuple(c for c in range(1, n) if rng.random() < 0.8),
        tpus=rng.randint(1, 8),
        capacity_bytes=rng.randint(0, 200),
        overhead_ns=rng.randint(0, 20),
        no_spill=seed % 3 == 0,
    )


def medium(seed: int) -> Problem:
    """A chain of 40 to 200 operations."""
    rng = random.Random(seed)
    problem = large_chain(rng.randint(40, 200), rng.randint(2, 12), seed, deep=seed % 2 == 0)
    return replace(problem, capacity_bytes=round(problem.capacity_bytes * rng.uniform(0.3, 3)), no_spill=seed % 5 == 0)


def real() -> Iterator[tuple[str, Problem]]:
    """Every network of the zoo on 2 to 16 TPUs of both families, with and without spill."""
    for name in names():
        with zoo_file(name) as path:
            graph = read_graph(path)
        for device in ("edgetpu-pcie", "edgetpu-usb"):
            costs = AnalyticCosts(graph=graph, device=load_device(device))
            for tpus in (2, 3, 4, 5, 6, 8, 12, 16):
                for no_spill in (False, True):
                    yield f"{name} {device} {tpus} {no_spill}", costs.problem(tpus=tpus, no_spill=no_spill)


def _op(rng: random.Random, rank: int) -> OpCost:
    compute, weights = rng.randint(0, 100), rng.choice((0, rng.randint(0, 60)))
    return OpCost(
        name=f"op{rank}",
        compute_ns=compute,
        streamed_ns=compute + (rng.randint(0, 80) if weights else 0),
        weight_bytes=weights,
        streamed_bytes=weights,
        parameter_bytes=weights,
        cacheable=rng.random() < 0.9,
        cache_rank=rank,
        scratch_bytes=rng.randint(0, 50),
    )


def _transfer(rng: random.Random, producer: int, n: int) -> Transfer:
    later = range(producer + 1, n)
    consumers = set(rng.sample(later, min(len(later), rng.choice((0, 1, 1, 2, 3)))))
    if later and rng.random() < 0.7:
        consumers.add(producer + 1)
    return Transfer(
        name=f"t{producer}",
        nbytes=rng.randint(0, 50),
        producer=producer,
        consumers=tuple(sorted(consumers)),
        is_output=producer == n - 1,
        input_ns=rng.randint(0, 30),
        output_ns=rng.randint(0, 30),
        scratch_bytes=rng.choice((0, 0, 0, rng.randint(1, 100))),
    )


if __name__ == "__main__":
    main()
