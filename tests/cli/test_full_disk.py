"""Where nothing can be written, a command ends with 8 and a sentence, and what was there before is there still."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.unwritable import COMMANDS


def test_what_cannot_be_written_is_a_sentence_and_loses_nothing() -> None:
    """All commands that write, on a full disk and into a read-only folder; in a process of its own, since it forks."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.unwritable"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    found = {
        name: json.loads("{" + rest) for name, _, rest in (line.partition(" {") for line in done.stdout.splitlines())
    }
    assert set(found) == {f"{name}, {how}" for name in COMMANDS for how in ("full", "read-only")}, done.stderr[-2000:]
    assert {name: each["faults"] for name, each in found.items() if each["faults"]} == {}
    assert all("cannot" in each["said"][0] for each in found.values())
    assert done.returncode == 0, done.stderr
