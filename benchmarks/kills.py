"""Kills commands that write, before any system call that renames or writes or within a write: what is left?

Afterwards the old result is there or the new one, commands accept it (another after each kill), and the next run of the
same command leaves nothing of the killed one. Pairs of commands that write one folder at once are held against each
alone. Each command is killed in a fork of this process: at steps drawn at random, or at each if
there are fewer than kills; every third kill is within a write, by a limit of the size of files.

    python -m benchmarks.kills [--record] [KILLS [COMMAND...]]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import add_results
from generators.command import inside
from generators.documents import device_toml
from generators.dying import begun, counted, ended, forked, killed_before, killed_beyond

KILLS = 200
SEED = 14
_RACE = "two at once"
_STANDIN = Path(__file__).parents[1] / "tests" / "standins" / "standin_edgetpu_compiler.py"
Arguments = Sequence[str | Path]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A command that writes `result`, a file or a folder below the root; `before` makes an older one."""

    command: Arguments
    before: Sequence[Arguments] = ()
    result: str
    accepted_by: Sequence[Arguments] = ()
    same: Callable[[Path], object] = field(default=lambda path: path.read_bytes())


def main(kills: int = KILLS, names: Sequence[str] = (), *, record: bool = False) -> None:
    found = {}
    with TemporaryDirectory() as folder:
        prepare(Path(folder))
        os.chdir(folder)
        cases = CASES
        for name in names or (*cases, _RACE):
            found[name] = (
                race(Path(folder), kills) if name == _RACE else kill_all(name, cases[name], Path(folder), kills)
            )
            print(name, json.dumps(found[name]), flush=True)
            if record:
                add_results("kills", "commands", {name: found[name]})
    sys.exit(any(each["faults"] for each in found.values()))


def prepare(folder: Path) -> None:
    """Write the model, and what the commands read."""
    for libraries in ("ortools.sat.python.cp_model", "scipy.optimize", "ai_edge_litert.interpreter", "PIL.Image"):
        __import__(libraries)  # once, before the forks
    (folder / "in").mkdir()
    compiler = folder / _COMPILER
    compiler.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{_STANDIN}" "$@"\n', encoding="utf-8")
    compiler.chmod(0o755)
    (folder / _DEVICE).write_text(device_toml("edgetpu-usb", {"host.serial": 0.0, "host.frame": 0.0}), encoding="utf-8")
    done = forked(lambda: inside("zoo", "build", "synthetic-dense-50", "-o", folder / "in").code)
    done |= forked(lambda: inside("zoo", "build", "synthetic-dense-20", "-o", folder / "in").code)
    done |= forked(lambda: inside("solve", folder / _M, "--tpus", "2", "-o", folder / "in" / "plan").code)
    done |= forked(lambda: inside("batch", folder / _M, *_BATCH, "-o", folder / "in" / "batch").code)
    if done:
        raise RuntimeError(f"the preparation ended with {done}")


_M = "in/synthetic-dense-50.tflite"
_M2 = "in/synthetic-dense-20.tflite"
_COMPILER = "in/edgetpu_compiler"
_DEVICE = "in/device.toml"  # whose host never limits, so that more TPUs make another plan
_BATCH = ("--tpus", "1..3", "--planners", "uniform,compiler,dp", "--processes", "1")
_READERS: Sequence[Arguments] = (
    ("verify", "out", _M, "--inputs", "1"),
    ("report", "out", "--model", _M, "-o", "scratch.html"),
    ("run", "out", "--count", "1"),
    ("build", "out", "--check-coral"),
)
_SOLVE: Arguments = ("solve", _M, "--device", _DEVICE, "--tpus", "3", "--planner", "dp", "--no-verify", "-o", "out")


def plan_of(path: Path) -> object:
    """Return what a plan's folder says, without what differs from run to run; None if there is no plan."""
    if not (path / "plan.json").exists():
        return None
    solution = json.loads((path / "plan.json").read_text(encoding="utf-8"))
    return [[(s["file"], s["sha256"]) for s in p["stages"]] for p in solution["pipelines"]]


def pool_of(path: Path) -> object:
    """Return what a pool's folder says, without what differs from run to run; None if there is no pool's plan."""
    if not (path / "pool.json").exists():
        return None
    pool = json.loads((path / "pool.json").read_text(encoding="utf-8"))
    return pool["devices"], [plan_of(path / model["folder"]) for model in pool["models"]]


def compiled_of(path: Path) -> object:
    """Return what a plan's folder says, with the compiled segments."""
    plan = plan_of(path)
    return None if plan is None else (plan, sorted(str(p.relative_to(path)) for p in path.rglob("*_edgetpu.tflite")))


def records_of(path: Path) -> object:
    return [(path / name).read_bytes() for name in ("results.jsonl", "summary.json")]


def is_profile(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))["format"]


_OLDER_PLAN: Arguments = ("solve", _M, "--device", _DEVICE, "--tpus", "2", "--no-verify", "-o", "out")
CASES: dict[str, Case] = {
    "solve": Case(
        command=("solve", _M, "--device", _DEVICE, "--tpus", "3", "--no-verify", "-o", "out"),
        before=(_OLDER_PLAN, ("build", "out", "--compile", "--compiler", _COMPILER, "--rounds", "1")),
        result="out",
        accepted_by=(("check", "out"), *_READERS),
        same=plan_of,
    ),
    "solve, new": Case(command=_SOLVE, result="out", accepted_by=_READERS, same=plan_of),
    "pool": Case(
        command=("solve", _M, _M2, "--pool", "edgetpu-m2:3", "--no-verify", "-o", "out"),
        before=(("solve", _M, "--pool", "edgetpu-m2:1,edgetpu-usb:1", "--no-verify", "-o", "out"),),
        result="out",
        accepted_by=(("check", "out"), ("run", "out", "--backend", "simulated", "--count", "3")),
        same=pool_of,
    ),
    "build": Case(
        command=("build", "out", "--compile", "--compiler", _COMPILER, "--rounds", "3", "--no-verify"),
        before=(_OLDER_PLAN,),
        result="out",
        accepted_by=_READERS,
        same=compiled_of,
    ),
    "tune": Case(
        command=("tune", _M, "--tpus", "3", "--runs", "1", "--warm-up", "0", "--iterations", "2", "-o", "out"),
        before=(_OLDER_PLAN,),
        result="out",
        accepted_by=_READERS,
        same=lambda path: "a plan" if plan_of(path) else None,
    ),
    "batch": Case(command=("batch", _M, "squeezenet1.1", *_BATCH, "-o", "out"), result="out", same=records_of),
    "zoo": Case(
        command=("zoo", "build", "synthetic-dense-50", "-o", "out", "--seed", "2"),
        before=(("zoo", "build", "synthetic-dense-50", "-o", "out"),),
        result="out/synthetic-dense-50.tflite",
        accepted_by=(("inspect", "out/synthetic-dense-50.tflite"),),
    ),
    "report": Case(
        command=("report", "in/batch", "-o", "out/page.html"),
        before=(("report", "in/plan", "--model", _M, "-o", "out/page.html"),),
        result="out/page.html",
    ),
    "export": Case(
        command=("export", "in/batch", "out/table.csv"),
        result="out/table.csv",
        before=(("report", "in/batch", "-o", "out/table.csv"),),
    ),
    "profile": Case(
        command=("profile", _M, "--runs", "1", "--warm-up", "0", "-o", "out/profile.json"),
        before=(("profile", _M, "--runs", "1", "--warm-up", "0", "-o", "out/profile.json"),),
        result="out/profile.json",
        accepted_by=(("solve", _M, "--device", "out/profile.json", "--tpus", "2"),),
        same=is_profile,
    ),
    "run": Case(
        command=("run", "in/plan", "--count", "3", "--output", "out/scores.npz", "--trace", "out/trace.json"),
        before=(("run", "in/plan", "--count", "2", "--output", "out/scores.npz"),),
        result="out/scores.npz",
    ),
}


_ALIKE = ("profile", "tune")
"""Those whose results are measured, so that only their kind is compared."""


def kill_all(name: str, case: Case, root: Path, kills: int) -> dict[str, Any]:
    """Kill a command, look at what it left, and let it run again, as often as told."""
    rng, outcomes, faults = random.Random(f"{SEED} {name}"), Counter[str](), list[str]()
    out, kept = root / "out", root / "older"
    for made in (out, kept):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
    for command in case.before:
        _run(command)
    shutil.copytree(out, kept, dirs_exist_ok=True)
    older = _content(case, root)
    code, steps = counted(_inside(*case.command), root / "out")
    if code:
        raise RuntimeError(f"{name} ends with {code} when nothing disturbs it")
    newer, sizes = _content(case, root), [p.stat().st_size for p in out.rglob("*") if p.is_file()]
    if older == newer and name not in _ALIKE:
        raise RuntimeError(f"{name} makes what was there before: nothing can be told apart")
    wanted = sorted(p.relative_to(out) for p in out.rglob("*"))
    moments: list[int] = []
    for k in range(kills):
        shutil.rmtree(out)
        shutil.copytree(kept, out)
        if k % 3 == 2:
            where = f"in a write beyond {(size := rng.randrange(max(sizes)))} bytes"
            code = killed_beyond(_inside(*case.command), size)
        else:
            moments = moments or rng.sample(range(1, steps + 1), steps)  # all once before one comes again
            step = moments.pop()
            where = f"before step {step} of {steps}"
            code = killed_before(_inside(*case.command), root / "out", step)
        outcomes["killed" if code < 0 else f"ended with {code}"] += 1
        fault = _judge(case, root, older, newer, wanted, case.accepted_by[k % len(case.accepted_by or " ") :][:1])
        outcomes[fault[0]] += 1
        faults += [f"killed {where}: {sentence}" for sentence in fault[1]]
    return {"kills": kills, "steps": steps, "outcomes": dict(outcomes), "faults": faults}


def race(root: Path, times: int) -> dict[str, Any]:
    """Let two commands solve into one folder at once: one of the two plans is there in the end, whole."""
    out, outcomes, faults = root / "out", Counter[str](), list[str]()
    commands = [_OLDER_PLAN, _SOLVE]
    alone = []
    for command in commands:
        _run(command)
        alone.append(plan_of(out))
    if alone[0] == alone[1]:
        raise RuntimeError("both commands make the same plan: nothing can be told apart")
    for _ in range(times):
        for code in map(ended, [begun(_inside(*command)) for command in commands]):
            outcomes[f"ended with {code}"] += 1
            faults += [f"one of two ends with {code}"] if code not in (0, 8) else []
        faults += ["what is left is of neither"] if plan_of(out) not in alone else []
        faults += [f"{name} ends with {code}" for name, *args in _READERS[:1] if (code := forked(_inside(name, *args)))]
        faults += ["litter is left"] if (out / ".segsolve").exists() else []
    return {"times": times, "outcomes": dict(outcomes), "faults": faults}


def _judge(
    case: Case, root: Path, older: object, newer: object, wanted: Sequence[Path], accepted_by: Sequence[Arguments]
) -> tuple[str, Sequence[str]]:
    faults = []
    for command in accepted_by if _is_there(case, root) else ():
        code = forked(_inside(*command))
        if code not in (0, *_MAY_END_WITH.get(str(command[0]), ())):
            faults.append(f"{command[0]} ends with {code}")
    left = _content(case, root)
    which = "old" if left == older else "new" if left == newer else "between" if case is CASES["batch"] else "neither"
    if which == "neither":
        faults.append("what is left is neither the old result nor the new one")
    if code := forked(_inside(*case.command)):
        faults.append(f"the same command again ends with {code}")
    elif _content(case, root) != newer:
        faults.append("the same command again makes something else")
    strange = {p.relative_to(root / "out") for p in (root / "out").rglob("*")} - set(wanted)
    faults += [f"{path} is left for good" for path in sorted(strange)]
    return f"left: {which}", faults


_MAY_END_WITH = {"build": (6,), "check": (14,)}
"""The vendor's runner may not take a plan; one without an optimum has no certificate: that is no damage."""


def _inside(*command: str | Path) -> Callable[[], int]:
    return lambda: inside(*command).code


def _is_there(case: Case, root: Path) -> bool:
    path = root / case.result
    if path.is_dir():  # a plan may wait in the folder for whoever comes
        return (
            any((path / name).exists() for name in ("plan.json", "pool.json"))
            or (path / ".segsolve" / "decision.json").exists()
        )
    return path.exists()


def _content(case: Case, root: Path) -> object:
    try:
        return case.same(root / case.result)
    except FileNotFoundError:
        return None


def _run(*commands: Arguments) -> None:
    for command in commands:
        if code := forked(_inside(*command)):
            raise RuntimeError(f"{command} ends with {code}")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--record"]
    main(int(words[0]) if words else KILLS, words[1:], record="--record" in sys.argv)
