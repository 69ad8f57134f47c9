"""Kills a batch with SIGKILL at 50 random moments and holds what comes out in the end against an undisturbed run.

A moment is a time after the start, drawn evenly from the time that the undisturbed run takes; when a batch has ended
before its moment, its folder is emptied and it begins anew, so that every kill hits a batch at work.
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
OPTIONS = ("--tpus", "1..16", "--devices", "all", "--processes", "2")
FILES = ("results.jsonl", "summary.json")


def main() -> None:
    with TemporaryDirectory() as folder:
        data = measure(Path(folder), random.Random(SEED))
    write_result("batch_kill", data)
    if not data["identical"]:
        sys.exit(1)


def measure(folder: Path, rng: random.Random) -> dict[str, Any]:
    began = time.monotonic()
    start(folder / "undisturbed").wait()
    undisturbed_s = time.monotonic() - began
    runs: list[dict[str, float]] = []
    out = folder / "killed-0"
    compared = identical = 0
    while len(runs) < KILLS:
        moment = rng.uniform(0, undisturbed_s)
        before = recorded(out)
        if kill_after(out, moment):
            runs.append({"after_s": round(moment, 3), "records_before": before, "records_after": recorded(out)})
            if len(runs) < KILLS:
                continue
            start(out).wait()
        compared += 1
        identical += same(out, folder / "undisturbed")
        out = folder / f"killed-{compared}"
    return {
        "what": "SIGKILL at random moments, then the same command again until it is done; bytes compared",
        "command": " ".join(("segsolve batch", *NETWORKS, *OPTIONS)),
        "seed": SEED,
        "jobs": recorded(folder / "undisturbed"),
        "undisturbed_s": round(undisturbed_s, 2),
        "kills": KILLS,
        "finished_results_compared": compared,
        "finished_results_identical": identical,
        "identical": compared == identical,
        "kills_that_lost_a_record": sum(run["records_after"] < run["records_before"] for run in runs),
        "kills_while_solving": sum(run["records_after"] > run["records_before"] for run in runs),
        "runs": runs,
    }


def start(out: Path) -> subprocess.Popen[bytes]:
    program = (sys.executable, "-c", "from segsolve.cli.main import run; run()")
    command = [*program, "batch", *NETWORKS, *OPTIONS, "-o", str(out)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def kill_after(out: Path, seconds: float) -> bool:
    """Run the batch and kill it; return whether it was still at work."""
    process = start(out)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True
    return False


def recorded(out: Path) -> int:
    path = out / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def same(out: Path, expected: Path) -> bool:
    identical = all((out / name).read_bytes() == (expected / name).read_bytes() for name in FILES)
    shutil.rmtree(out)
    return identical


if __name__ == "__main__":
    main()
