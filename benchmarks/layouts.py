"""How fast the optimum over all layouts is proven, and what it gains over the heuristics, network by network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import lil_array

from benchmarks.common import write_result
from generators.problems import large_chain
from segsolve.cost.table import chain_table
from segsolve.device.model import load_device
from segsolve.graph.read import read_model
from segsolve.problem import Problem
from segsolve.profile.analytic import AnalyticCosts
from segsolve.question import Cuts, Layout, Question
from segsolve.search.ask import answer
from segsolve.search.chain.confirmed import solve
from segsolve.search.chain.dp import optimal_bottleneck
from segsolve.search.strategies import get_planner
from segsolve.solvers.base import Limits
from segsolve.solvers.cpsat.paths import Stage, minimise, stages
from segsolve.zoo import build, get

DEVICE = "edgetpu-pcie"
TPUS = range(2, 9)
HEURISTICS = ("compiler", "balanced", "profiled")
PROCESSES = 2
HIGHS_LIMIT_S = 60.0
SLACK = 1.05
RESEARCH = (
    *("xception", "resnet50", "resnet101", "resnet152", "resnet50v2", "resnet101v2", "resnet152v2"),
    *("inceptionv3", "inceptionv4", "mobilenet", "mobilenetv2", "inceptionresnetv2", "nasnetmobile"),
    *("densenet121", "densenet169", "densenet201"),
    *(f"efficientnet-lite{k}" for k in range(5)),
)
"""The 21 networks of the research on balanced segmentation."""


def main() -> None:
    get_planner("cpsat")
    solve(large_chain(20, 2, 0))  # OR-Tools takes about a second to import; it is not part of any solve
    single = [*targets(), *ratios()]
    start = time.perf_counter()
    with ProcessPoolExecutor(PROCESSES) as pool:
        rows = [row for found in pool.map(network_rows, RESEARCH) for row in found]
    elapsed = time.perf_counter() - start
    proven = sum(row["status"] == "optimal" for row in rows)
    summary = {"networks": len(RESEARCH), "solved": len(rows), "proven": proven, "wall_s": round(elapsed, 1)}
    print(summary)
    write_result(
        "layouts",
        {
            "device": DEVICE,
            "tpus": [*TPUS],
            "processes": PROCESSES,
            "workers": 1,
            "seed": 0,
            "highs_limit_s": HIGHS_LIMIT_S,
            "targets": single,
            "study": summary,
            "gains": {name: gain(rows, name) for name in HEURISTICS},
            "rows": rows,
        },
    )


def targets() -> list[dict[str, Any]]:
    """Time the single questions: solving from the costs on, proof and certificate included."""
    resnet = problem_of("resnet152").problem(tpus=8)
    long = large_chain(2000, 16, 0)
    pipeline = Question(layout=Layout.PIPELINE, cuts=Cuts.CHAIN)
    return [
        timed("ResNet-152, 8 TPUs, one pipeline, chain: planner and probe", lambda: solve(resnet)),
        timed("ResNet-152, 8 TPUs, one pipeline, chain: with certificate", lambda: answer(resnet, pipeline)),
        timed("ResNet-152, 8 TPUs, all layouts, all cuts of the graph", lambda: answer(resnet)),
        timed("chain of 2000 operations, 16 TPUs, one pipeline: planner and probe", lambda: solve(long)),
        timed("chain of 2000 operations, 16 TPUs, one pipeline: with certificate", lambda: answer(long, pipeline)),
        timed("chain of 2000 operations, 16 TPUs, all layouts", lambda: answer(long, Question(cuts=Cuts.CHAIN))),
    ]


def timed(name: str, work: Callable[[], Any]) -> dict[str, Any]:
    start = time.perf_counter()
    found = work()
    row = {"what": name, "status": str(found.status), "objective_ns": found.objective_ns}
    row["wall_s"] = round(time.perf_counter() - start, 3)
    print(row)
    return row


def ratios() -> list[dict[str, Any]]:
    """Solve the same program of a chain with CP-SAT and with HiGHS, beside the dynamic program."""
    rows = []
    for n, tpus in ((150, 4), (500, 8)):
        problem = large_chain(n, tpus, 0)
        table = chain_table(problem)
        _ = table.time
        start = time.perf_counter()
        best = optimal_bottleneck(table)
        dp_s = time.perf_counter() - start
        upper = int(best * SLACK)
        arcs = [arc for arc in stages(table.time, tpus, upper) if arc.end[1] == arc.begin[1] + 1]
        start = time.perf_counter()
        found = minimise(tuple(arcs), table.end, 0, upper, Limits())
        cp_s = time.perf_counter() - start
        start = time.perf_counter()
        value = highs(arcs, table.end)
        highs_s = time.perf_counter() - start
        row = {"what": f"chain of {n} operations, {tpus} TPUs, arcs within {SLACK - 1:.0%}", "arcs": len(arcs)}
        row |= {"agree": found.objective == best and (value is None or abs(value - best) <= 1e-5 * best)}
        row |= {"dp_s": round(dp_s, 4), "cpsat_s": round(cp_s, 4), "highs_s": round(highs_s, 4)}
        row |= {"highs_over_cpsat": round(highs_s / cp_s, 2), "cpsat_over_dp": round(cp_s / dp_s, 1)}
        rows.append(row)
        print(row)
    return rows


def highs(arcs: Sequence[Stage], end: int) -> float | None:
    """Return HiGHS's optimum of the program of paths: flow in = flow out, the bottleneck above every used share."""
    nodes = sorted({node for arc in arcs for node in (arc.begin, arc.end)})
    row_of = {node: i for i, node in enumerate(node for node in nodes if node[0] != end)}
    flow = lil_array((len(row_of), len(arcs) + 1))
    levels = sorted({arc.begin[1] for arc in arcs})
    share = lil_array((len(levels), len(arcs) + 1))
    for column, arc in enumerate(arcs):
        flow[row_of[arc.begin], column] = 1
        if arc.end in row_of:
            flow[row_of[arc.end], column] = -1
        share[levels.index(arc.begin[1]), column] = arc.share_ns
    share[:, len(arcs)] = -1
    source = np.zeros(len(row_of))
    source[row_of[(0, 0)]] = 1
    cost = np.zeros(len(arcs) + 1)
    cost[-1] = 1
    found = milp(
        cost,
        constraints=[LinearConstraint(flow.tocsr(), source, source), LinearConstraint(share.tocsr(), -np.inf, 0)],
        integrality=np.append(np.ones(len(arcs)), 0),
        bounds=Bounds(0, np.append(np.ones(len(arcs)), np.inf)),
        options={"time_limit": HIGHS_LIMIT_S},
    )
    return float(found.fun) if found.status == 0 else None


def network_rows(name: str) -> list[dict[str, Any]]:
    """Answer for every number of TPUs, and cut with the heuristics."""
    costs = problem_of(name)
    return [_row(name, costs.problem(tpus=tpus)) for tpus in TPUS]


def _row(name: str, problem: Problem) -> dict[str, Any]:
    start = time.perf_counter()
    found = answer(problem)
    elapsed = time.perf_counter() - start
    assert found.plan is not None
    assert found.value is not None
    row: dict[str, Any] = {
        "network": name,
        "tpus": problem.tpus,
        "status": str(found.status),
        "proven_over": found.cuts,
        "layout": found.plan.layout,
        "ns": float(found.value),
        "note": found.note,
        "solve_s": round(elapsed, 3),
    }
    for heuristic in HEURISTICS:
        value = solve(problem, planner=heuristic).value
        row[f"over_{heuristic}"] = None if value is None else round(float(value / found.value), 4)
    print(row, flush=True)
    return row


def gain(rows: Sequence[dict[str, Any]], heuristic: str) -> dict[str, Any]:
    """Return how many times faster the optimum is: geometric mean, best and worst."""
    found = [(row[f"over_{heuristic}"], row["network"], row["tpus"]) for row in rows if row[f"over_{heuristic}"]]
    best, worst = max(found), min(found)
    return {
        "geometric_mean": round(statistics.geometric_mean(one[0] for one in found), 3),
        "best": {"gain": best[0], "network": best[1], "tpus": best[2]},
        "worst": {"gain": worst[0], "network": worst[1], "tpus": worst[2]},
    }


def problem_of(name: str) -> AnalyticCosts:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{get(name).name}.tflite"
        path.write_bytes(build(name))
        return AnalyticCosts(graph=read_model(path).graph, device=load_device(DEVICE))


if __name__ == "__main__":
    main()
