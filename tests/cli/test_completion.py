"""Completion as a real bash does it; the answers to zsh and fish as those shells would ask for them."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import pytest

from segsolve.device.model import device_names
from segsolve.errors import ExitCode

from .tool import SCRIPT, error, inside, run

COMPLETED = {
    "segsolve comp": {"compare", "completion"},
    "segsolve zoo b": {"build"},
    "segsolve solve --obj": {"--objective"},
    "segsolve solve --objective p": {"pareto"},
    "segsolve solve --device edgetpu-usb-": {"edgetpu-usb-hub", "edgetpu-usb-pi", "edgetpu-usb-pi4", "edgetpu-usb-pi5"},
    "segsolve compare --device edgetpu-m": {"edgetpu-m2", "edgetpu-m2-pi5"},
    "segsolve devices edgetpu-m": {"edgetpu-m2", "edgetpu-m2-pi5"},
    "segsolve solve --planner cp": {"cpsat"},
    "segsolve batch zoo --planners compiler,la": {"compiler,layouts"},
    "segsolve run --backend s": {"simulated"},
    "segsolve zoo build resnet101": {"resnet101", "resnet101v2"},
    "segsolve completion f": {"fish"},
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize("line", COMPLETED)
def test_in_bash(line: str) -> None:
    words = shlex.split(line)
    asked = f"""
        PATH={shlex.quote(str(SCRIPT.parent))}:$PATH
        eval "$(segsolve completion bash)"
        COMP_WORDS=({line}) COMP_CWORD={len(words) - 1}
        _segsolve_completion segsolve
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True, timeout=120)
    assert set(done.stdout.split()) == COMPLETED[line]


@pytest.mark.parametrize(
    ("shell", "more"), [("zsh", {}), ("fish", {"_TYPER_COMPLETE_FISH_ACTION": "get-args"})], ids=["zsh", "fish"]
)
def test_answers_to_other_shells(shell: str, more: dict[str, str]) -> None:
    asked = {
        "_SEGSOLVE_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "segsolve solve --device edgetpu-",
        **more,
    }
    done = subprocess.run(
        [SCRIPT], env={**os.environ, **asked}, capture_output=True, text=True, check=False, timeout=120
    )
    assert all(name in done.stdout for name in device_names())
    assert f"complete_{shell}" in run("completion", shell).stdout


def test_other_shells_are_refused() -> None:
    error(inside("completion", "tcsh"), ExitCode.USAGE, "tcsh")
