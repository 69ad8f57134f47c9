"""Every network of the zoo on 1 to 16 TPUs, all layouts and all cuts: proven and confirmed, and how long it takes."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from benchmarks.common import write_result, zoo_file
from segsolve.device.model import load_device
from segsolve.graph.read import read_graph
from segsolve.profile.analytic import AnalyticCosts
from segsolve.search.ask import answer
from segsolve.zoo.catalogue import names

DEVICE = "edgetpu-dev-board"
MOST_TPUS = 16
PROCESSES = 2
DETECTORS = ("ssd", "efficientdet", "yolo")


def main() -> None:
    chosen = list(names())
    detectors = [name for name in chosen if name.startswith(DETECTORS)]
    rows, wall_s = [], {}
    for kind, some in (("classifiers", [n for n in chosen if n not in detectors]), ("detectors", detectors)):
        start = time.perf_counter()
        with ProcessPoolExecutor(PROCESSES) as pool:
            rows += [row for found in pool.map(measure, some) for row in found]
        wall_s[kind] = {"networks": len(some), "wall_s": round(time.perf_counter() - start, 1)}
    result = {
        "device": DEVICE,
        "processes": PROCESSES,
        **wall_s,
        "answers": len(rows),
        "statuses": Counter(row["status"] for row in rows),
        "confirmed_by": Counter(name for row in rows for name in set(row["confirmed_by"])),
        "slowest": sorted(rows, key=lambda row: -row["seconds"])[:5],
    }
    print(result)
    write_result("zoo_proofs", result)


def measure(name: str) -> list[dict[str, Any]]:
    """Answer the plain question on 1 to 16 TPUs; reading the network is not counted in a row's seconds."""
    with zoo_file(name) as path:
        graph = read_graph(path)
    rows = []
    for tpus in range(1, MOST_TPUS + 1):
        start = time.perf_counter()
        found = answer(AnalyticCosts(graph=graph, device=load_device(DEVICE)).problem(tpus=tpus))
        rows.append(
            {
                "network": name,
                "tpus": tpus,
                "status": str(found.status),
                "confirmed_by": [c.by for c in found.confirmed_by],
                "seconds": round(time.perf_counter() - start, 2),
            }
        )
    return rows


if __name__ == "__main__":
    main()
