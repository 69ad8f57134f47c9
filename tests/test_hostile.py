"""A short run of the altered files of which ``benchmarks.hostile`` makes many more."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.hostile import KINDS
from benchmarks.hostile_clients import attack, attack_rpc, served


def test_an_altered_file_is_used_or_refused_in_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.hostile", "15", *KINDS],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    lines = [line.partition(" ") for line in done.stdout.splitlines() if line.split(" ")[0] in KINDS]
    found = {name: json.loads(rest) for name, _, rest in lines}
    assert set(found) == set(KINDS), done.stderr[-2000:]
    assert {name: each["faults"] for name, each in found.items() if each["faults"]} == {}
    assert done.returncode == 0


def test_hostile_clients_harm_nobody() -> None:
    with served() as server:
        found, called = attack(server, range(150)), attack_rpc(server, range(50))
        assert server.end() == []
    assert found.faults == called.faults == {}
    assert {"200", "400"} <= set(found.outcomes)
    assert {"ModelInfer: OK", "ModelInfer: INVALID_ARGUMENT"} <= set(called.outcomes)
