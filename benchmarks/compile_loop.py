"""How many rounds the loop of `segsolve build --compile` needs, and what it gains, if the compiler's memory is not as
the device model predicts.

No compiler is at hand: its reports are simulated, with the device model's memory off by as much as the model is known
to be (0.4 MiB), and by some more that differs from stage to stage. What comes out is the machinery's, not the chip's.
"""

from __future__ import annotations

from pathlib import Path
from statistics import geometric_mean
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result
from benchmarks.simulated_compiler import Oracle, solver
from segsolve.compiler.refine import refine
from segsolve.compiler.truth import stream_ns_per_byte
from segsolve.graph.read import LoadedModel, read_model
from segsolve.profile.load import device_costs
from segsolve.zoo.files import write_network

DEVICE = "edgetpu-pcie"
NETWORKS = ("resnet50", "resnet101", "inceptionv3", "densenet201", "xception", "efficientnet-lite4", "mobilenetv2")
TPUS = (2, 3, 4, 6, 8)
ERRORS_MIB = ((-0.4, 0.2), (0.0, 0.2), (0.4, 0.2))
MOST_ROUNDS = 20
MIB = 2**20


def main() -> None:
    rows = [row for network in NETWORKS for row in measure(network)]
    write_result("compile_loop", {"device": DEVICE, "most_rounds": MOST_ROUNDS, **summary(rows), "rows": rows})


def measure(network: str) -> list[dict[str, Any]]:
    costs = device_costs(DEVICE)(_load(network).graph)
    rows = []
    for tpus in TPUS:
        problem = costs.problem(tpus=tpus)
        plan = solver(problem).plan
        assert plan is not None
        for error, noise in ERRORS_MIB:
            oracle = Oracle(problem, stream_ns_per_byte(costs), round(error * MIB), round(noise * MIB))
            done = refine(problem, plan, oracle, solver, most_rounds=MOST_ROUNDS)
            first, best = done.rounds[0].corrected.period_ns, done.best.corrected.period_ns
            row = {"network": network, "tpus": tpus, "error_mib": error, "noise_mib": noise, "ended": str(done.end)}
            row |= {"rounds": len(done.rounds), "compiled": len(oracle.asked), "first_ns": first, "best_ns": best}
            print(row, flush=True)
            rows.append(row)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for error, _ in ERRORS_MIB:
        of_error = [row for row in rows if row["error_mib"] == error]
        gains = [row["first_ns"] / row["best_ns"] for row in of_error]
        found[f"{error:+.1f} MiB"] = {
            "stand": sum(row["ended"] == "the plan stands" for row in of_error),
            "plans": len(of_error),
            "most_rounds": max(row["rounds"] for row in of_error),
            "most_compiled": max(row["compiled"] for row in of_error),
            "better": sum(gain > 1 for gain in gains),
            "gain_geometric_mean": round(geometric_mean(gains), 4),
            "gain_most": round(max(gains), 4),
        }
    return {"summary": found}


def _load(network: str) -> LoadedModel:
    with TemporaryDirectory() as folder:
        return read_model(write_network(network, Path(folder)))


if __name__ == "__main__":
    main()
