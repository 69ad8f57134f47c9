"""How fast the optimum over all layouts is proven, and what it gains over the heuristics, network by network."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result
from generators.problems import large_chain
from segsolve.device.model import load_device
from segsolve.graph.read import read_model
from segsolve.problem import Problem
from segsolve.profile.analytic import AnalyticCosts
from segsolve.question import Cuts, Layout, Question
from segsolve.search.ask import answer
from segsolve.search.chain.confirmed import solve
from segsolve.search.strategies import get_planner
from segsolve.zoo import build, get

DEVICE = "edgetpu-pcie"
TPUS = range(2, 9)
HEURISTICS = ("compiler", "balanced", "profiled")
PROCESSES = 2
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
    single = targets()
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
