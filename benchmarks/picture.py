"""Draws the case of the study in which the optimum gains most over the vendor's cut, for README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.common import RESULTS, read_rows
from segsolve.zoo.files import write_network

DEVICE = "edgetpu-pcie"
PICTURE = RESULTS / "largest_gain.svg"


def main() -> None:
    network, tpus = largest_gain()
    segsolve = Path(sys.executable).with_name("segsolve")
    with TemporaryDirectory() as folder:
        model = write_network(network, Path(folder))
        plan = Path(folder) / "plan"
        command = (segsolve, "solve", model, "--tpus", tpus, "--device", DEVICE, "--no-verify", "-o", plan)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        subprocess.run((segsolve, "report", plan, "--model", model, "--format", "svg", "-o", PICTURE), check=True)
    print(f"wrote {PICTURE}: {network} on {tpus} TPUs")


def largest_gain() -> tuple[str, str]:
    """Return the network and the number of TPUs of the largest gain over the vendor's compiler."""
    rows = [r for r in read_rows("study") if (r["device"], r["planner"]) == (DEVICE, "cpsat") and r["over_compiler"]]
    best = max(rows, key=lambda r: float(r["over_compiler"]))
    return best["network"], best["tpus"]


if __name__ == "__main__":
    main()
