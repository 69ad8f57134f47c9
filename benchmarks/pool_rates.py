"""How near the rates of emulated pools come to the predicted ones, with stages of some milliseconds.

    python -m benchmarks.pool_rates

Writes benchmarks/results/pool_rates.json. The stages run on this machine's CPU, each held to its predicted time, which
is longer than anywhere: the devices are the catalogue's with 8 ms of overhead for each stage. `late` counts inferences
that the machine was still at when their time was over; the load average says who else was at work.
"""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter_ns
from typing import Any

from benchmarks.common import write_result
from generators.documents import device_toml
from segsolve.library.pools import solve_pool
from segsolve.solvers.base import Limits
from segsolve.zoo.files import write_network
from segsolve_runtime.contract.frames import random_frames
from segsolve_runtime.contract.pool import load_pool
from segsolve_runtime.pool import Pool, simulate

SMALL, MIDDLE, LARGE = (f"synthetic-dense-{width}" for width in (512, 1024, 2048))
CASES: dict[str, tuple[dict[str, int], tuple[int, int], str]] = {
    "three models share two TPUs": ({LARGE: 1, MIDDLE: 2, SMALL: 5}, (1, 1), "co-compiled"),
    "one of many small inferences": ({LARGE: 1, SMALL: 10}, (1, 0), "co-compiled"),
    "three models share four TPUs": ({LARGE: 2, MIDDLE: 1, SMALL: 3}, (2, 2), "co-compiled"),
    "TPUs of their own": ({LARGE: 1, MIDDLE: 2}, (2, 1), "never"),
    "copies of two models on three TPUs": ({MIDDLE: 1, SMALL: 3}, (3, 0), "auto"),
    "copies of unequal shares": ({LARGE: 1, SMALL: 6}, (2, 1), "auto"),
    "copies of three models on four TPUs": ({LARGE: 1, MIDDLE: 2, SMALL: 5}, (2, 2), "auto"),
}
OVERHEAD_MS, SECONDS, FILLING, PLANNED_S = 8, 20.0, 0.25, 10.0


def main() -> None:
    with TemporaryDirectory() as scratch:
        rows = [_measured(Path(scratch) / str(k), name) for k, name in enumerate(CASES)]
    write_result("pool_rates", {"overhead_ms": OVERHEAD_MS, "rows": rows})


def _measured(folder: Path, name: str) -> dict[str, Any]:
    weights, counts, sharing = CASES[name]
    folder.mkdir()
    models = [write_network(model, folder) for model in weights]
    kinds = []
    for kind, count in zip(("edgetpu-m2", "edgetpu-usb"), counts, strict=True):
        description = folder / f"slow-{kind}.toml"
        description.write_text(device_toml(kind, {"time.invocation": OVERHEAD_MS}), encoding="utf-8")
        kinds += [f'[[kind]]\ndevice = "{description}"\ncount = {count}\n'] if count else []
    (folder / "pool.toml").write_text("\n".join(kinds), encoding="utf-8")
    limits = Limits(time_limit_s=PLANNED_S)
    solved = solve_pool(models, pool=str(folder / "pool.toml"), weights=weights, sharing=sharing, limits=limits)
    solved.write(folder / "plan")
    row = {"case": name, "weights": weights, "devices": counts, **_run(folder / "plan")}
    print(row)
    return row


def _run(plan: Path) -> dict[str, Any]:
    folder = load_pool(plan)
    pool = folder.pool
    periods = max(20, round(SECONDS * 1e9 / pool.period_ns))
    ends: dict[str, list[int]] = {model.name: [] for model in pool.models}
    with Pool.load(folder, backend="emulated") as running:
        running.warm_up()
        frames = {
            model.name: random_frames(part.plan, periods * model.weight, seed=0)
            for model, part in zip(pool.models, folder.plans, strict=True)
        }
        running.run(frames, lambda model, _: ends[model].append(perf_counter_ns()))
        metrics = running.metrics()

    def done(number: int) -> int:
        return max(ends[model.name][model.weight * number - 1] for model in pool.models)

    first, last = round(FILLING * periods), periods - 5
    steady = simulate(folder, periods)
    return {
        "shares": {model.name: [round(float(Fraction(share)), 4) for share in model.shares] for model in pool.models},
        "period_ms": pool.period_ns / 1e6,
        "periods": periods,
        "rate_over_predicted": round((last - first) * pool.period_ns / (done(last) - done(first)), 4),
        "simulated_over_predicted": round(periods * pool.period_ns / steady.elapsed_ns, 4),
        "late": sum(stage.late for model in metrics.models.values() for stage in model.stages),
        "inferences": sum(stage.inferences for model in metrics.models.values() for stage in model.stages),
        "load_average": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
