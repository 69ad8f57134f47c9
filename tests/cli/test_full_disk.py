"""Where there is no room, a command ends with 8 and a sentence, and what was there before is there still."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segsolve.errors import ExitCode

COMMANDS = {
    "solve": "solve {net} --tpus 3 --no-verify -o {out}/plan",
    "report": "report {out}/plan --model {net} -o {out}/page.html",
    "profile": "profile {net} --runs 1 --warm-up 0 -o {out}/profile.json",
    "run --output": "run {out}/plan --count 9 --output {out}/scores.npz",
    "run --timeline": "run {out}/plan --count 9 --timeline {out}/measured.json",
    "zoo": "zoo build synthetic-dense-50 -o {out}",
    "tune": "tune {net} --tpus 2 --runs 1 --warm-up 0 --iterations 2 --no-verify -o {out}/plan",
    "batch": "batch {net} --tpus 1..3 --planners uniform,dp --processes 1 -o {out}/batch",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_no_room_is_a_sentence_and_loses_nothing(name: str, net: Path, plan: Path, tmp_path: Path) -> None:
    shutil.copytree(plan, tmp_path / "plan")
    for file in ("page.html", "profile.json", "measured.json"):
        (tmp_path / file).write_text("older")
    before = snapshot(tmp_path)
    words = COMMANDS[name].format(net=net, out=tmp_path).split()
    # No file may become larger than a kilobyte; Python ignores the signal, and the write fails as on a full disk.
    command = ["bash", "-c", 'ulimit -f 1; exec "$@"', "bash", sys.executable, "-m", "segsolve", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == ExitCode.OUTPUT, done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "cannot be written" in errors[0]
    if name != "batch":
        assert snapshot(tmp_path) == before


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
