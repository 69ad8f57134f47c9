"""Signals and closed pipes: no traceback, what was found is kept, and no half plan is left."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from segsolve.errors import ExitCode
from segsolve.problem import Problem
from segsolve.search.answer import Answer
from segsolve.search.base import found
from segsolve.solvers.base import Status, Stop
from segsolve_runtime.contract.plan import load_plan

from .tool import Done, document, error, inside, limited, start


def _interrupt(process: subprocess.Popen[str], sign_of_life: str, sent: signal.Signals = signal.SIGINT) -> Done:
    """Send a signal as soon as a line on stderr shows that the work has begun."""
    assert process.stderr
    seen = ""
    with limited(process):
        while sign_of_life not in seen:
            line = process.stderr.readline()
            assert line, seen
            seen += line
        process.send_signal(sent)
        stdout, stderr = process.communicate(timeout=60)
    return Done(code=process.returncode, stdout=stdout, stderr=seen + stderr)


def test_interrupted_run_shows_what_it_measured(plan: Path) -> None:
    process = start("run", plan, "--backend", "simulated", "--count", "1000000", "--json")
    done = _interrupt(process, "running 1000000 inferences")
    error(done, ExitCode.INTERRUPTED, "interrupted after", "of 1000000")
    measured = document(done.stdout)
    assert 0 <= measured["count"] < 1_000_000
    assert len(measured["stages"]) == 2


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_search(sent: signal.Signals, mobilenet: Path, tmp_path: Path) -> None:
    """The planner that tries 174 437 plans takes tens of seconds."""
    process = start("solve", mobilenet, "--tpus", "6", "--planner", "brute", "-o", tmp_path / "plan")
    done = _interrupt(process, "solving", sent)
    error(done, ExitCode.INTERRUPTED, "interrupted")
    assert not done.stdout
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_writing_leaves_a_whole_plan_or_none(sent: signal.Signals, dense: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    process = start("solve", dense, "--tpus", "4", "--planner", "uniform", "-o", folder)
    assert process.stdout
    with limited(process):
        assert process.stdout.readline()  # the table comes before the files
        process.send_signal(sent)
        _, stderr = process.communicate(timeout=60)
    assert "Traceback" not in stderr
    assert process.returncode in (ExitCode.OK, ExitCode.INTERRUPTED)
    assert not list(tmp_path.rglob(".segsolve"))
    if (folder / "plan.json").exists():
        load_plan(folder)


def _stopped_by_the_user(problem: Problem, *_: object, **__: object) -> Answer:
    return found(problem, "cpsat", None, None, status=Status.UNKNOWN, bound_ns=1, stopped_by=Stop.INTERRUPTED)


def test_interrupted_solver_keeps_its_best_plan(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planner's own test shows that Ctrl-C gives such a result; here it is written, whatever comes then."""
    from dataclasses import replace

    from segsolve.search import single as module
    from segsolve.search.chain.confirmed import solve as real

    def stopped(*args: object, **options: object) -> Answer:
        result = real(*args, **options)  # type: ignore[arg-type]
        return replace(result, status=Status.FEASIBLE, stopped_by=Stop.INTERRUPTED)

    monkeypatch.setattr(module, "solve", stopped)
    done = inside("solve", net, "--tpus", "2", "--layout", "pipeline", "--json", "-o", tmp_path / "plan")
    assert done.code == ExitCode.INTERRUPTED
    assert document(done.stdout)["stopped_by"] == "interrupted"
    assert load_plan(tmp_path / "plan").plan.solution.stopped_by == "interrupted"


def test_solver_interrupted_before_it_found_anything(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segsolve.search import single as module

    monkeypatch.setattr(module, "solve", _stopped_by_the_user)
    done = inside("solve", net, "--tpus", "2", "--layout", "pipeline", "--json")
    error(done, ExitCode.INTERRUPTED, "interrupted")
    assert document(done.stdout)["status"] == "unknown"


def test_interrupted_comparison_shows_what_is_compared(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segsolve import comparison as module

    real = module.compare

    def stopped(problem: Problem, **options: object) -> module.Comparison:
        if problem.tpus == 3:
            raise KeyboardInterrupt
        return real(problem, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "compare", stopped)
    done = inside("compare", net, "--tpus", "2..4", "--json")
    error(done, ExitCode.INTERRUPTED, "interrupted after 1 of 3 comparisons")
    assert {s["tpus"] for s in document(done.stdout)["strategies"]} == {2}
    nothing = inside("compare", net, "--tpus", "3", "--json")
    error(nothing, ExitCode.INTERRUPTED, "interrupted")
    assert not nothing.stdout


@pytest.mark.parametrize("command", [("inspect", "--ops"), ("inspect", "--json"), ("solve", "--tpus", "2")])
def test_closed_pipe(command: tuple[str, ...], net: Path, tmp_path: Path) -> None:
    """The reader has gone; what else there is to do is done."""
    writes = command[0] == "solve"
    output = ("-o", tmp_path / "plan") if writes else ()
    process = start(command[0], net, *command[1:], *output)
    assert process.stdout and process.stderr
    process.stdout.close()
    with limited(process):
        stderr = process.stderr.read()
        process.stderr.close()
        assert process.wait(timeout=60) == ExitCode.OK
    assert "Traceback" not in stderr and "Exception" not in stderr and "error" not in stderr
    if writes:
        load_plan(tmp_path / "plan")


def test_a_library_that_was_interrupted_while_it_loads_is_no_fault(net: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Native code makes an ImportError of Ctrl-C."""
    from segsolve.graph import read as module

    def loading(*_: object, **__: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interruption:
            raise ImportError("initialization failed") from interruption

    monkeypatch.setattr(module, "read_model", loading)
    error(inside("solve", net, "--tpus", "2"), ExitCode.INTERRUPTED, "interrupted")
