"""A short run of the kills of which ``benchmarks.kills`` makes many more, in a process of its own: it forks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", ["solve", "pool", "export"])
def test_a_kill_at_any_moment_leaves_the_old_result_or_the_new_one(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kills", "6", command],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(command)]
    found = json.loads(line.removeprefix(command))
    assert found["faults"] == []
    assert found["outcomes"]["killed"] >= 4


def test_an_interruption_at_any_moment_ends_with_its_code_and_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.interruptions", "3", "export", "check"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
