"""The page "A detector on mixed devices": each of its commands but `make demo`, in its order."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segsolve.errors import ExitCode

from .cli.tool import inside
from .standins.edgetpu import StandIn

PAGE = Path(__file__).parents[1] / "docs" / "mixed-devices.md"
SCRIPT = Path(__file__).parent / "standins" / "standin_edgetpu_compiler.py"


def commands() -> list[str]:
    return re.findall(r"^    ((?:segsolve|make) .*)$", PAGE.read_text(), re.M)


def test_ten_commands_lead_from_a_clone_to_boxes() -> None:
    page = PAGE.read_text()
    first, _, rest = page.partition("## With the devices")
    assert len(re.findall(r"^    (?:segsolve|make) ", first, re.M)) == 10
    assert "never on" in rest


def test_each_command(tmp_path: Path, standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "edgetpu_compiler"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SCRIPT}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    standin.attach("pci=/dev/apex_0", *(f"usb=/sys/bus/usb/devices/1-{k}" for k in (1, 2)))
    Path("images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save("images/one.jpg")
    for line in commands():
        if line == "make demo":
            continue
        tool, *words = shlex.split(line.replace("$DETECTOR", "ssd-mobilenetv1.tflite").replace("*.jpg", "one.jpg"))
        assert tool == "segsolve"
        done = inside(*(re.sub("^200$", "6", word) for word in words))
        assert done.code == ExitCode.OK, f"{line}: {done.stderr}"
    assert Path("pool.html").stat().st_size > 10_000
    assert [path.name for path in Path("drawn").iterdir()]
