"""Too little memory, files or room, closed or full standard streams: a sentence and a code, no lost result."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from segsolve.errors import ExitCode
from segsolve_runtime.contract.plan import load_plan
from segsolve_runtime.shortage import no_room, shortage

from .tool import Done, error

_LIMITED = """
import os, resource, sys
kind, most, module, *arguments = sys.argv[1:]
if kind == "AS":  # so much more than there is now
    import numpy, typer
    most = int(most) + int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = getattr(resource, f"RLIMIT_{kind}")
resource.setrlimit(limit, (int(most), int(most)))
sys.argv = ["segsolve", *arguments]
from importlib import import_module
import_module(f"{module}.__main__").run()
"""
_CLOSING = """
import os, sys
numbers, *command = sys.argv[1:]
for number in map(int, numbers.split(",")):
    os.close(number)
os.execv(command[0], command)
"""
_BIN = Path(sys.executable).parent
_SEGSOLVE, _SEGSOLVE_RUN = _BIN / "segsolve", _BIN / "segsolve-run"


def _limited(kind: str, most: int, module: str, *arguments: str | Path) -> Done:
    return _done([sys.executable, "-c", _LIMITED, kind, str(most), module, *map(str, arguments)])


def _done(command: Sequence[str | Path], **streams: Any) -> Done:
    known: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run([*command], **{**known, **streams}, text=True, check=False, timeout=120)
    return Done(code=done.returncode, stdout=done.stdout or "", stderr=done.stderr or "")


@pytest.mark.parametrize("program", [_SEGSOLVE, _SEGSOLVE_RUN])
def test_too_little_memory_for_numpy(program: Path) -> None:
    """OpenBLAS would end the process with a sentence of its own."""
    done = _done(["sh", "-c", 'ulimit -v 100000; exec "$0" devices', program])
    error(done, ExitCode.INTERNAL, "out of memory")


def test_too_little_memory_for_a_library(net: Path) -> None:
    done = _limited("AS", 20 * 2**20, "segsolve", "solve", net, "--tpus", "2")
    error(done, ExitCode.INTERNAL, "out of memory")


@pytest.mark.parametrize("most", [6, 8])
@pytest.mark.parametrize(
    ("module", "command"), [("segsolve", "run"), ("segsolve", "serve"), ("segsolve_runtime", "run")]
)
def test_too_few_files(module: str, command: str, most: int, plan: Path) -> None:
    backend = ("--backend", "litert") if command == "run" else ("--port", "0")
    error(_limited("NOFILE", most, module, command, plan, *backend), ExitCode.INTERNAL, "too many files", "ulimit -n")


def test_files_may_have_no_bytes(net: Path, plan: Path, tmp_path: Path) -> None:
    for command in (("inspect", net), ("run", plan), ("batch", net, "--tpus", "2", "-o", tmp_path / "batch")):
        done = _limited("FSIZE", 0, "segsolve", *command)
        assert done.code in (ExitCode.OUTPUT, ExitCode.RUN_FAILED), done.stderr
        error(done, ExitCode(done.code))


@pytest.mark.parametrize("closed", ["0", "1", "2", "0,1", "0,1,2"])
def test_closed_streams_do_no_harm(closed: str, net: Path, plan: Path, tmp_path: Path) -> None:
    """What is written keeps clear of what libraries print: a file must not get the number of a closed stream."""
    close = [sys.executable, "-c", _CLOSING, closed]
    done = _done([*close, _SEGSOLVE, "solve", net, "--tpus", "2", "-o", tmp_path / "plan"])
    assert (done.code, "error" in done.stderr) == (ExitCode.OK, False), done.stderr
    load_plan(tmp_path / "plan")
    for number, tool in enumerate((_SEGSOLVE, _SEGSOLVE_RUN)):
        results = tmp_path / f"{number}.jsonl"
        done = _done([*close, tool, "run", plan, "--backend", "litert", "--count", "2", "--output", results])
        assert done.code == ExitCode.OK, done.stderr
        assert len(results.read_text(encoding="utf-8").splitlines()) == 2
    done = _done([*close, _SEGSOLVE_RUN, "run", tmp_path / "none"])
    assert (done.code, "Traceback" in done.stderr) == (ExitCode.BAD_PLAN, False)


@pytest.mark.parametrize("tool", [_SEGSOLVE, _SEGSOLVE_RUN])
@pytest.mark.parametrize("command", [("run", "--json"), ("run",), ("doctor",)])
def test_a_full_standard_output(tool: Path, command: Sequence[str], plan: Path) -> None:
    arguments = (plan, "--backend", "litert", "--count", "2") if command[0] == "run" else ()
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = _done([tool, *command, *arguments], stdout=full)
    error(done, ExitCode.OUTPUT, "cannot be written: No space left on device")


@pytest.mark.parametrize("tool", [_SEGSOLVE, _SEGSOLVE_RUN])
def test_a_full_standard_error(tool: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        assert _done([tool, "run", tmp_path], stderr=full).code == ExitCode.BAD_PLAN


def test_help_on_a_full_disk() -> None:
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        error(_done([_SEGSOLVE, "--help"], stdout=full), ExitCode.OUTPUT, "No space left on device")


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (MemoryError(), "out of memory"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "out of memory"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)), "ulimit -u"),
        (OSError(errno.ENFILE, os.strerror(errno.ENFILE)), "ulimit -n"),
    ],
)
def test_what_is_too_little_is_said_through_other_exceptions(raised: Exception, words: str) -> None:
    try:
        try:
            raise raised
        except Exception as cause:
            raise ImportError("initialization failed") from cause
    except ImportError as error:
        assert words in shortage(error)
    assert not shortage(ValueError("x")) and not no_room(ValueError("x"))
