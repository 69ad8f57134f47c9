"""Pools: the times and gaps that were aimed at, and realistic cases against the simple uses.

    python -m benchmarks.pool [--seconds S] [--only NAMES]

Writes benchmarks/results/pool.json. Gaps are between the best plan and the bound that the search proved, both within
the seconds that stand beside them; `process_s` is the time of this process alone, which says more on a busy machine.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result
from segsolve.graph.read import read_graph
from segsolve.pool.model import Demand, Kind, Pool, PoolProblem, Sharing, Workload
from segsolve.pool.simple import simple_ways
from segsolve.pool.solve import solve_pool
from segsolve.profile.load import device_costs
from segsolve.solvers.base import Limits
from segsolve.zoo.files import write_network

Models = Sequence[tuple[str, int]]
Kinds = Sequence[tuple[str, int]]
BOARD, M2, USB, CARD = "edgetpu-dev-board", "edgetpu-m2", "edgetpu-usb", "edgetpu-card"
LITE0, LITE4, SQUEEZE = "efficientnet-lite0", "efficientnet-lite4", "squeezenet1.0"
FOUR: Models = (("mobilenetv2", 4), (LITE4, 2), ("inceptionv3", 1), ("resnet50", 1))
THREE: Models = (("mobilenetv2", 3), (LITE0, 2), ("resnet50", 1))

TARGETS: dict[str, tuple[Models, Kinds, float, float | None]] = {
    "2 models x 4": ((("mobilenetv2", 3), ("resnet50", 1)), ((BOARD, 4),), 20, 0.0),
    "3 models x 4": (THREE, ((BOARD, 4),), 30, 0.02),
    "3 models on 2 M.2 + 2 USB": ((("mobilenetv2", 3), (LITE4, 1), ("inceptionv3", 1)), ((M2, 2), (USB, 2)), 60, 0.05),
    "4 models x 8": (FOUR, ((BOARD, 8),), 120, 0.06),
}
"""Name: models with weights, kinds with counts, seconds, and the gap that was aimed at."""

CASES: dict[str, tuple[Models, Kinds]] = {
    "F1": ((("mobilenetv2", 30), (LITE0, 5), ("resnet50", 2)), ((M2, 2),)),
    "F2": ((("mobilenetv2", 30), (LITE0, 5), ("resnet50", 2)), ((USB, 2),)),
    "F3": ((("mobilenetv2", 30), (LITE0, 5), ("resnet50", 2)), ((M2, 1), (USB, 1))),
    "F4": (THREE, ((M2, 3),)),
    "F5": (THREE, ((M2, 4),)),
    "F6": ((("mobilenetv2", 3), (LITE4, 1), ("inceptionv3", 1)), ((M2, 2), (USB, 2))),
    "F7": (FOUR, ((CARD, 8),)),
    "F8": ((("mobilenetv2", 5), ("mobilenet", 1)), ((M2, 1),)),
    "F9": (((LITE4, 1), (SQUEEZE, 5), ("mobilenet", 5)), ((M2, 2),)),
}


class Bench:
    """Builds each network once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._graphs: dict[str, Any] = {}

    def problem(self, models: Models, kinds: Kinds, sharing: Sharing = Sharing.AUTO) -> PoolProblem:
        for name, _ in models:
            if name not in self._graphs:
                self._graphs[name] = read_graph(write_network(name, self._folder))
        rows = []
        links = {}
        for name, _ in models:
            row = []
            for kind, count in kinds:
                problem = device_costs(kind)(self._graphs[name]).problem(tpus=count)
                if problem.link:
                    links[kind] = problem.link
                row.append(replace(problem, link=None, host=None))
            rows.append(tuple(row))
        pool = Pool(
            kinds=tuple(Kind(name=kind, count=count, link=kind if kind in links else None) for kind, count in kinds),
            links=tuple(links.items()),
        )
        demands = tuple(Demand(model=name, weight=weight) for name, weight in models)
        return PoolProblem(pool=pool, workload=Workload(demands=demands, sharing=sharing), costs=tuple(rows))


def timed(problem: PoolProblem, seconds: float | None) -> dict[str, Any]:
    start, own = time.perf_counter(), time.process_time()
    answer = solve_pool(problem, limits=Limits(time_limit_s=seconds))
    assert answer.value is not None
    return {
        "period_ms": float(answer.value) / 1e6,
        "bound_ms": float(answer.bound) / 1e6,
        "gap": answer.gap,
        "status": answer.status.value,
        "certified_ms": float(answer.certified) / 1e6,
        "found_by": answer.found_by,
        "seconds": round(time.perf_counter() - start, 2),
        "process_s": round(time.process_time() - own, 2),
    }


def targets(bench: Bench, only: set[str], patience: float) -> list[dict[str, Any]]:
    rows = []
    if not only or "exclusive" in only:
        kinds = ((BOARD, 8), (M2, 8), (USB, 8))
        done = timed(bench.problem(FOUR, kinds, Sharing.NEVER), None)
        rows.append({"case": "exclusive, 4 models, 8+8+8", "target": "2 s"} | done)
        print(rows[-1], flush=True)
    for name, (models, kinds_of, seconds, aim) in TARGETS.items():
        if only and name not in only:
            continue
        done = timed(bench.problem(models, kinds_of, Sharing.ALWAYS), seconds * patience)
        rows.append({"case": name, "target": f"gap {aim:.0%} in {seconds:g} s"} | done)
        print(rows[-1], flush=True)
    return rows


def gains(bench: Bench, only: set[str], seconds: float) -> list[dict[str, Any]]:
    rows = []
    for name, (models, kinds) in CASES.items():
        if only and name not in only:
            continue
        problem = bench.problem(models, kinds)
        simple = {way.name: way.period for way in simple_ways(problem)}
        best = min(period for period in simple.values() if period is not None)
        done = timed(problem, seconds)
        gain = float(best) / 1e6 / done["period_ms"]
        ways = {way: None if period is None else float(period) / 1e6 for way, period in simple.items()}
        rows.append({"case": name, "gain_over_best_simple": round(gain, 3), "simple_ms": ways} | done)
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="of each realistic case")
    parser.add_argument("--only", default="", help="names of cases, comma-separated")
    parser.add_argument("--patience", type=float, default=1, help="factor on the targets' limits, on a busy machine")
    options = parser.parse_args()
    only = {name for name in options.only.split(",") if name}
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        result = {
            "targets": targets(bench, only, options.patience),
            "gains": gains(bench, only, options.seconds),
        }
    write_result("pool", result)


if __name__ == "__main__":
    main()
