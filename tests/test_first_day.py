"""The page "First day with your TPUs": each of its commands, in its order, through the stand-ins."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.command import main as light

from .cli.tool import inside
from .models import Net
from .standins.edgetpu import StandIn

PAGE = Path(__file__).parents[1] / "docs" / "first-day.md"
SCRIPT = Path(__file__).parent / "standins" / "standin_edgetpu_compiler.py"


def commands() -> list[str]:
    lines = re.findall(r"^    (segsolve(?:-run)? .*)$", PAGE.read_text(), re.M)
    return [line.replace("$MODEL", "net.tflite") for line in lines]


def test_ten_commands_lead_to_a_measured_plan() -> None:
    page = PAGE.read_text()
    first, _, rest = page.partition("## From then on")
    assert len(re.findall(r"^    segsolve ", first, re.M)) == 10
    assert "never on hardware" in first and "segsolve-run measure" in rest


def test_each_command(tmp_path: Path, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    net = Net()
    x = net.input((1, 8, 8, 16))
    for _ in range(4):
        x = net.relu(net.conv(x, 16))
    net.write(tmp_path, net.dense(x, 10), name="net")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "edgetpu_compiler"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SCRIPT}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    standin.attach(*(f"usb=/sys/bus/usb/devices/1-{k}" for k in range(1, 4)))
    for line in commands():
        tool, *arguments = shlex.split(line)
        short = [re.sub(r"^(100|200)$", "5", argument) for argument in arguments]
        if tool == "segsolve-run":
            assert light(short) == 0, line
            continue
        done = inside(*short)
        assert done.code == ExitCode.OK, f"{line}: {done.stderr}"
    assert (tmp_path / "from-pi" / "plan.json").exists() and (tmp_path / "best" / "01" / "compile.json").exists()
