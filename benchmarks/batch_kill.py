"""Kills a batch with SIGKILL at 50 random moments and holds what comes out in the end against an undisturbed run.

Moments are drawn by progress, so that they do not depend on how fast the machine is: a number of records still to come,
and up to a twentieth of a second after it; every fifth lies in the seconds of starting up. After one kill in four the
batch may finish, its files are compared, and the next kill meets a new one.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import write_result

KILLS = 50
SEED = 2025
NETWORKS = ("mobilenetv2", "squeezenet1.1", "resnet50", "densenet121", "efficientnet-lite0", "synthetic-dense-100")
OPTIONS = ("--tpus", "1..8", "--devices", "edgetpu-pcie,edgetpu-usb", "--processes", "2")
STARTING_S = 2.0
FILES = ("results.jsonl", "summary.json")


def main() -> None:
    with TemporaryDirectory() as folder:
        data = measure(Path(folder), random.Random(SEED))
    write_result("batch_kill", data)
    if not data["identical"]:
        sys.exit(1)


def measure(folder: Path, rng: random.Random) -> dict[str, Any]:
    start(folder / "undisturbed").wait()
    jobs = recorded(folder / "undisturbed")
    runs: list[dict[str, int | bool]] = []
    for number in range(1, KILLS + 1):
        out = folder / "killed"
        before = recorded(out)
        if number % 5 == 0:
            kill(out, wait_for=0, delay_s=rng.uniform(0, STARTING_S))
        else:
            kill(out, wait_for=rng.randrange(before, jobs), delay_s=rng.uniform(0, 0.05))
        run: dict[str, int | bool] = {"records_before": before, "records_after": recorded(out), "torn": torn(out)}
        if number % 4 == 0 or number == KILLS:
            start(out).wait()
            run["identical_in_the_end"] = same(out, folder / "undisturbed")
        runs.append(run)
        print(number, run, flush=True)
    ends = [run["identical_in_the_end"] for run in runs if "identical_in_the_end" in run]
    return {
        "what": "SIGKILL at random moments, then the same command again until it is done; bytes compared",
        "command": " ".join(("segsolve batch", *NETWORKS, *OPTIONS)),
        "seed": SEED,
        "jobs": jobs,
        "kills": KILLS,
        "kills_after_new_records": sum(run["records_after"] > run["records_before"] for run in runs),
        "kills_that_lost_a_record": sum(run["records_after"] < run["records_before"] for run in runs),
        "finished_results_compared": len(ends),
        "finished_results_identical": sum(ends),
        "identical": all(ends),
        "runs": runs,
    }


def start(out: Path) -> subprocess.Popen[bytes]:
    program = (sys.executable, "-c", "from segsolve.__main__ import run; run()")
    command = [*program, "batch", *NETWORKS, *OPTIONS, "-o", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill(out: Path, *, wait_for: int, delay_s: float) -> None:
    """Run the batch up to a number of records and a little longer, and kill it."""
    process = start(out)
    while process.poll() is None and recorded(out) < wait_for:
        time.sleep(0.002)
    time.sleep(delay_s)
    process.kill()
    process.wait()


def recorded(out: Path) -> int:
    path = out / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def torn(out: Path) -> bool:
    path = out / "results.jsonl"
    return path.exists() and not (b"\n" + path.read_bytes()).endswith(b"\n")


def same(out: Path, expected: Path) -> bool:
    identical = all((out / name).read_bytes() == (expected / name).read_bytes() for name in FILES)
    shutil.rmtree(out)
    return identical


if __name__ == "__main__":
    main()
