"""Proofs on graphs that are no chain: time to the proven optimum, the second solver's certificate, HiGHS alone.

python -m benchmarks.dag_proof            # generated graphs
python -m benchmarks.dag_proof FOLDER     # real instances too: every .json of the folder
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result, zoo_file
from generators.dags import random_dag
from generators.graphs import GRAPH_NAMES, graph
from segsolve.device.model import load_device
from segsolve.graph.read import read_graph
from segsolve.problem import Problem
from segsolve.profile.analytic import AnalyticCosts
from segsolve.profile.placement import load_placement
from segsolve.search.answer import Answer
from segsolve.search.chain.confirmed import solve
from segsolve.search.ladder.second_solver import certify
from segsolve.search.ladder.solve import START_ROUNDS, solve_dag
from segsolve.search.ladder.start import find_start
from segsolve.solvers.base import Limits
from segsolve.solvers.highs import MixedInteger
from segsolve.solvers.ladder.bounds import Bounds
from segsolve.solvers.ladder.dag import dag_of
from segsolve.solvers.ladder.pricing import bottleneck_ns
from segsolve.solvers.ladder.reduce import reduced

CERTIFICATE_S = 60.0
HIGHS_S = 60.0
WIDE_S = 30.0
NETWORKS = ("inceptionv3", "inceptionv4", "nasnetmobile")
WIDE = ((200, 4, 6), (200, 6, 8), (300, 3, 8), (400, 6, 8))


def main() -> None:
    solve_dag(random_dag(20, 2, 0), stages=2)  # OR-Tools takes about a second to import; not part of any solve
    certify(random_dag(20, 2, 0), stages=2, objective_ns=0)
    folders = [Path(argument) for argument in sys.argv[1:] if Path(argument).is_dir()]
    rows = [_proof(name, problem, highs=problem.tpus == 6) for name, problem in _graphs(folders)]
    networks = [_network(name, tpus) for name in NETWORKS for tpus in (4, 6)]
    wide = [_wide(*shape, seed) for shape in WIDE for seed in (0, 1)]
    limits = {"certificate_s": CERTIFICATE_S, "highs_s": HIGHS_S, "wide_s": WIDE_S}
    load = {"load_average": os.getloadavg()}
    write_result("dag_proof", {**load, "limits": limits, "graphs": rows, "networks": networks, "wide": wide})


def _graphs(folders: list[Path]) -> Iterator[tuple[str, Problem]]:
    """Every graph on 1 to 6 accelerators, with its core and without."""
    with TemporaryDirectory() as folder:
        generated = [Path(folder) / f"{name}.json" for name in GRAPH_NAMES]
        for path in generated:
            path.write_text(json.dumps(graph(path.stem)), encoding="utf-8")
        for path in [*generated, *(real for given in folders for real in sorted(given.glob("*.json")))]:
            costs = load_placement(path)
            for tpus in range(1, 7):
                for cpus in dict.fromkeys((costs.graph.max_cpus, 0)):
                    yield path.stem, costs.problem(accelerators=tpus, cpus=cpus)


def _proof(name: str, problem: Problem, *, highs: bool) -> dict[str, Any]:
    clock = time.process_time()
    result = solve_dag(problem, stages=problem.tpus)
    row = {"graph": name, "accelerators": problem.tpus, "cpus": problem.cpus, **_found(result)}
    row["cpu_s"] = round(time.process_time() - clock, 3)  # on a busy machine, what it would take on a quiet one
    if result.objective_ns is not None:
        clock = time.process_time()
        found = certify(problem, stages=problem.tpus, objective_ns=result.objective_ns, time_limit_s=CERTIFICATE_S)
        row |= {"certificate": str(found.verdict), "how": found.how, "certificate_s": round(found.wall_s, 3)}
        row["certificate_cpu_s"] = round(time.process_time() - clock, 3)
        if highs:
            row |= _highs(problem, result)
    print(row, flush=True)
    return row


def _highs(problem: Problem, result: Answer) -> dict[str, Any]:
    """Let HiGHS minimise the same formulation, from the same start within the same windows."""
    begin, tpus = time.perf_counter(), problem.tpus
    dag = reduced(dag_of(problem))
    bounds = Bounds(dag, tpus)
    start = find_start(
        dag,
        tpus,
        lower_bound_ns=bounds.lower_bound(),
        rounds=START_ROUNDS,
        seed=0,
        hint=None,
        until=begin + HIGHS_S,
    )
    if start is None:
        return {}
    windows = bounds.windows(start.bottleneck_ns)
    status, parts = MixedInteger(dag, windows, tpus, start.bottleneck_ns, minimise=True).solve(HIGHS_S)
    wall = time.perf_counter() - begin
    value = None if parts is None else bottleneck_ns(dag, parts)
    finished = status != "limit"
    ratio = round(wall / result.wall_s, 1)
    return {"highs_ns": value, "highs_finished": finished, "highs_s": round(wall, 3), "highs_over_cpsat": ratio}


def _network(name: str, tpus: int) -> dict[str, Any]:
    """A network of the zoo: the best of all DAG cuts beside the best of its one order, weights that stream included."""
    with zoo_file(name) as path:
        read = read_graph(path)
    problem = AnalyticCosts(graph=read, device=load_device("edgetpu-pcie")).problem(tpus=tpus)
    chain = solve(problem)
    hint = [stage.ops for stage in chain.plan.pipelines[0].stages] if chain.plan else None
    result = solve_dag(problem, stages=tpus, hint=hint, limits=Limits(time_limit_s=WIDE_S))
    row = {"network": name, "tpus": tpus, "operations": len(problem.ops), "chain_ns": chain.objective_ns}
    row |= _found(result)
    print(row, flush=True)
    return row


def _wide(operations: int, width: int, tpus: int, seed: int) -> dict[str, Any]:
    """A wide irregular graph that may stay open: what the start had, what is left of the gap, and when it was so."""
    problem = random_dag(operations, tpus, seed, width=width)
    first = solve_dag(problem, stages=tpus, limits=Limits(time_limit_s=0.0))
    result = solve_dag(problem, stages=tpus, limits=Limits(time_limit_s=WIDE_S))
    row: dict[str, Any] = {"operations": operations, "width": width, "tpus": tpus, "seed": seed}
    row |= {"start_ns": first.objective_ns, "start_bound_ns": first.bound_ns, **_found(result)}
    print(row, flush=True)
    return row


def _found(result: Answer) -> dict[str, Any]:
    gap = None if result.gap is None else round(result.gap, 4)
    return {
        "status": str(result.status),
        "objective_ns": result.objective_ns,
        "bound_ns": result.bound_ns,
        "gap": gap,
        "wall_s": round(result.wall_s, 3),
        "deterministic_s": round(result.deterministic_s, 3),
    }


if __name__ == "__main__":
    main()
