"""The study of the research on the whole zoo: every strategy, 1 to 8 TPUs, both device families, a batch of 15."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.common import geometric_mean, write_result, write_rows, zoo_file
from segsolve.comparison import Comparison, compare
from segsolve.device.model import load_device
from segsolve.graph.read import read_graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.zoo import names

DEVICES = ("edgetpu-pcie", "edgetpu-usb")
TPUS = range(1, 9)
BATCH = 15


def main() -> None:
    start = time.perf_counter()
    rows = [row for name in names() if not name.startswith("synthetic") for row in network_rows(name)]
    write_rows("study", rows)
    write_result(
        "study",
        {
            "batch": BATCH,
            "seed": 0,
            "times": "predicted by the device model",
            "wall_s": round(time.perf_counter() - start, 1),
            "gain_of_the_optimum": {device: gains(rows, device) for device in DEVICES},
            "rows": "study.csv",
        },
    )


def network_rows(name: str) -> list[dict[str, Any]]:
    with zoo_file(name) as path:
        graph = read_graph(path)
    rows = []
    for device in DEVICES:
        costs = AnalyticCosts(graph=graph, device=load_device(device))
        for tpus in TPUS:
            rows += _rows(name, device, compare(costs.problem(tpus=tpus)))
    print(name, "done", flush=True)
    return rows


def _rows(name: str, device: str, comparison: Comparison) -> list[dict[str, Any]]:
    return [
        {
            "network": name,
            "device": device,
            "tpus": comparison.problem.tpus,
            "planner": s.answer.planner,
            "status": str(s.answer.status),
            "stages": len(s.score.stages) if s.score else None,
            "bottleneck_ns": s.score.period_ns if s.score else None,
            "latency_ns": s.score.latency_ns if s.score else None,
            "batch_ns": s.score.batch_ns(BATCH) if s.score else None,
            "offchip_bytes": s.score.offchip_bytes if s.score else None,
            "one_tpu_ns": comparison.one_tpu.period_ns,
            "over_compiler": s.speedup_over_compiler,
            "solve_s": round(s.answer.wall_s, 3),
        }
        for s in comparison.strategies
    ]


def gains(rows: list[dict[str, Any]], device: str) -> dict[str, Any]:
    """Throughput of the optimum over each heuristic on 2 TPUs and more: geometric mean, best and worst."""
    times = {
        (r["network"], r["tpus"], r["planner"]): r["bottleneck_ns"]
        for r in rows
        if r["device"] == device and r["tpus"] > 1
    }
    result = {}
    for heuristic in ("compiler", "uniform", "balanced", "profiled", "greedy"):
        ratios = {(n, k): t / times[n, k, "cpsat"] for (n, k, p), t in times.items() if p == heuristic and t}
        best = max(ratios, key=lambda key: ratios[key])
        result[heuristic] = {
            "geometric_mean": round(geometric_mean(list(ratios.values())), 3),
            "best": round(ratios[best], 2),
            "best_case": f"{best[0]} on {best[1]} TPUs",
            "worst": round(min(ratios.values()), 2),
            "optimal_in": f"{sum(r == 1 for r in ratios.values())} of {len(ratios)}",
        }
    return result


if __name__ == "__main__":
    main()
