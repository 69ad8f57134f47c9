"""Ctrl-C and SIGTERM before a command begins: a sentence and code 130, whatever is imported; never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

import pytest

from segsolve.errors import ExitCode

_HOOK = """
import os, sys
from _signal import SIGINT, default_int_handler, getsignal

class Hook:
    unprotected = []

    def find_spec(self, name, path=None, target=None):
        if getsignal(SIGINT) is default_int_handler:
            self.unprotected.append(name)
        if name == os.environ["HELD_AT"]:
            os.write(int(os.environ["SAYS"]), " ".join([*self.unprotected, "."]).encode())
            os.read(int(os.environ["WAITS"]), 1)

if "HELD_AT" in os.environ:
    sys.meta_path.insert(0, Hook())
"""
_BIN = Path(sys.executable).parent
_SEGSOLVE: Sequence[Sequence[str]] = ((str(_BIN / "segsolve"),), (sys.executable, "-m", "segsolve"))
_SEGSOLVE_RUN: Sequence[Sequence[str]] = (
    (str(_BIN / "segsolve-run"),),
    (sys.executable, "-m", "segsolve_runtime"),
)


@dataclass(frozen=True, slots=True)
class _Held:
    """A command that waits with the import of a module."""

    process: subprocess.Popen[str]
    unprotected: Sequence[str]
    """What was imported while Ctrl-C would still have been a traceback."""
    release: int

    def ended(self) -> tuple[int, str]:
        """Return the exit code, and what was said on stderr."""
        _, said = self.process.communicate(timeout=60)
        os.close(self.release)
        return self.process.returncode, said


def _held(folder: Path, command: Sequence[str], module: str, disposition: str = "SIG_DFL") -> _Held:
    """Start a command, and return when it begins to import a module."""
    (folder / "sitecustomize.py").write_text(_HOOK, encoding="utf-8")
    heard, says = os.pipe()
    waits, release = os.pipe()
    start = f"import os, signal, sys; signal.signal(signal.SIGINT, signal.{disposition}); "
    start += "os.execv(sys.argv[1], sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", start, *command],
        env={**os.environ, "PYTHONPATH": str(folder), "HELD_AT": module, "SAYS": str(says), "WAITS": str(waits)},
        pass_fds=(says, waits),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(says)
    os.close(waits)
    with os.fdopen(heard, "rb", buffering=0) as stream:
        said = stream.read(65536).decode()
    assert said, process.communicate(timeout=60)
    return _Held(process, said.split()[:-1], release)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("command", "module"),
    [
        *((way, module) for way in _SEGSOLVE for module in ("segsolve.cli", "typer", "segsolve.cli.devices")),
        *((way, module) for way in _SEGSOLVE_RUN for module in ("segsolve_runtime.command", "argparse", "numpy")),
    ],
)
def test_interrupted_while_it_loads(sent: signal.Signals, command: Sequence[str], module: str, tmp_path: Path) -> None:
    held = _held(tmp_path, (*command, "devices"), module)
    held.process.send_signal(sent)
    assert held.ended() == (ExitCode.INTERRUPTED, "error: interrupted\n")


@pytest.mark.parametrize("command", [*_SEGSOLVE, *_SEGSOLVE_RUN])
def test_nothing_else_is_imported_before_the_signals_are_dealt_with(command: Sequence[str], tmp_path: Path) -> None:
    own = "segsolve_runtime.command" if command in _SEGSOLVE_RUN else "segsolve.cli"
    held = _held(tmp_path, (*command, "devices"), own)
    held.process.kill()
    held.ended()
    first = next(k for k, name in enumerate(held.unprotected) if name.startswith("segsolve"))
    programs = {"segsolve", "segsolve.__main__", "segsolve_runtime", "segsolve_runtime.__main__"}
    assert set(held.unprotected[first:]) <= programs


def test_a_process_that_was_started_to_ignore_ctrl_c_does(tmp_path: Path) -> None:
    held = _held(tmp_path, (*_SEGSOLVE[1], "devices"), "typer", "SIG_IGN")
    held.process.send_signal(signal.SIGINT)
    os.write(held.release, b"x")
    assert held.ended() == (ExitCode.OK, "")


def test_an_interruption_of_what_deals_with_one() -> None:
    """However often Ctrl-C comes: it is raised, and what escapes is no traceback."""
    code = "from segsolve_runtime import interruption as i; i.end_at_once_while_loading(); raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "error: interrupted\n")


@pytest.mark.parametrize(
    "run", ["import swallowing", "import numba; numba.swallow()", "import pydantic; pydantic.swallow()"]
)
def test_what_native_code_would_swallow_is_raised_after_it(run: str, tmp_path: Path) -> None:
    """As NumPy's modules do with what is raised while they register their classes, as Numba and pydantic do."""
    swallow = "try:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept BaseException:\n    pass\n"
    (tmp_path / "swallowing.py").write_text(f"import os, signal\n{swallow}", encoding="utf-8")
    function = f"import os, signal\ndef swallow():\n{indent(swallow, '    ')}"
    for library in ("numba", "pydantic"):
        (tmp_path / library).mkdir()
        (tmp_path / library / "__init__.py").write_text(function, encoding="utf-8")
    code = "from segsolve_runtime import interruption as i; i.end_at_once_while_loading(); i.interrupt_from_now_on(); "
    code += f"{run}; import time; time.sleep(60)"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (ExitCode.INTERRUPTED, "error: interrupted\n")
