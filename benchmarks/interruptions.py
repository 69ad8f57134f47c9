"""Ctrl-C and SIGTERM at random moments: each command ends with a documented code and a sentence, and leaves no process.

Commands are real processes, each with a process group of its own, as a terminal gives them one; SIGINT goes to the
whole group, SIGTERM to the command alone. Moments are spread evenly over what the command takes undisturbed.

    python -m benchmarks.interruptions [--record] [TIMES [COMMAND...]]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.common import add_results
from benchmarks.kills import CASES, plan_of, prepare
from segsolve.errors import ExitCode

TIMES = 30
SEED = 14
_LONGEST_S = 120.0
_LINGERS_S = 20.0  # what a process that was told to end may take on a busy machine
_M, _M2 = "in/synthetic-dense-50.tflite", "in/synthetic-dense-20.tflite"
_POOL = (_M, _M2, "--pool", "edgetpu-m2:1,edgetpu-usb:1")
_ANSWERING = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
COMMANDS: Mapping[str, Sequence[str | Path]] = {
    **{name: case.command for name, case in CASES.items()},
    "compare": ("compare", _M, "--tpus", "2..4"),
    "verify": ("verify", "in/plan", _M, "--inputs", "20"),
    "check": ("check", "in/plan"),
    "long run": ("run", "in/plan", "--count", "300", "--output", "out/long.npz"),
    "inspect": ("inspect", _M, "--ops"),
    "pool, compare": ("compare", *_POOL, "--time-limit", "3"),
    "pool, tune": ("tune", *_POOL, "--time-limit", "2", "--periods", "3", "-o", "out/tuned"),
    "pool, batch": ("batch", _M, _M2, "--pools", "edgetpu-m2:2 edgetpu-usb:2", "--time-limit", "2", "-o", "out/batch"),
    "pool, run": ("run", "in/pool", "--count", "100", "-o", "out/results"),
    "pool, serve": ("serve", "in/pool", "--port", "0"),
}
ENDLESS_S: Mapping[str, float] = {"pool, serve": 4.0}
"""Commands that do not end by themselves, and for how long they are let be."""


def main(times: int = TIMES, names: Sequence[str] = (), *, record: bool = False) -> None:
    found = {}
    with TemporaryDirectory() as folder:
        prepare(Path(folder))
        os.chdir(folder)
        code, said, _ = _ended(_started(("solve", *_POOL, "--time-limit", "5", "--no-verify", "-o", "in/pool")))
        if code:
            raise RuntimeError(f"the preparation of a pool ended with {code}: {said}")
        for name in names or COMMANDS:
            found[name] = interrupt_all(name, Path(folder), times)
            print(name, json.dumps(found[name]), flush=True)
            if record:
                add_results("interruptions", "commands", {name: found[name]})
    sys.exit(any(each["faults"] for each in found.values()))


def interrupt_all(name: str, root: Path, times: int) -> dict[str, Any]:
    """Interrupt a command as often as told; every second time with SIGTERM."""
    rng, outcomes, faults = random.Random(f"{SEED} {name}"), Counter[str](), list[str]()
    shutil.rmtree(root / "older", ignore_errors=True)
    _fresh(root)
    for command in CASES[name].before if name in CASES else ():
        _ended(_started(command))
    shutil.copytree(root / "out", root / "older")
    _fresh(root)
    whole_s = ENDLESS_S[name] if name in ENDLESS_S else _undisturbed_s(name)
    for k in range(times):
        _fresh(root)
        process = _started(COMMANDS[name])
        delay_s, sent = rng.uniform(0, whole_s), (signal.SIGINT, signal.SIGTERM)[k % 2]
        time.sleep(delay_s)
        if process.poll() is None:
            if sent is signal.SIGINT:
                os.killpg(process.pid, sent)
            else:
                process.send_signal(sent)
        code, said, hangs = _ended(process)
        if _is_of_python_itself(code, said):
            outcomes["interrupted while Python itself starts"] += 1
            continue
        outcomes[f"ended with {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"] += 1
        where = f"{sent.name} after {delay_s:.2f} s of {whole_s:.2f}"
        faults += [f"{where}: {fault}" for fault in _faults(code, said, hangs, process.pid, root)]
    return {"times": times, "undisturbed_s": round(whole_s, 2), "outcomes": dict(outcomes), "faults": faults}


def _undisturbed_s(name: str) -> float:
    begun = time.perf_counter()
    code, said, _ = _ended(_started(COMMANDS[name]))
    if code:
        raise RuntimeError(f"{name} ends with {code} when nothing disturbs it: {said}")
    return time.perf_counter() - begun


def _is_of_python_itself(code: int, said: str) -> bool:
    """Whether a signal came before the first line of ours ran, which nobody can prepare for."""
    return (code < 0 and not said) or ("KeyboardInterrupt" in said and "segsolve" not in said)


def _fresh(root: Path) -> None:
    shutil.rmtree(root / "out", ignore_errors=True)
    (root / "out").mkdir()
    if (root / "older").exists():
        shutil.copytree(root / "older", root / "out", dirs_exist_ok=True)


def _started(command: Sequence[str | Path]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _ANSWERING, sys.executable, "-m", "segsolve", *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[str]) -> tuple[int, str, bool]:
    try:
        _, said = process.communicate(timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        _, said = process.communicate()
        return process.returncode, said, True
    return process.returncode, said, False


def _faults(code: int, said: str, hangs: bool, group: int, root: Path) -> list[str]:
    faults = ["it hangs"] if hangs else []
    if code not in (ExitCode.OK, ExitCode.INTERRUPTED):
        faults.append(f"code {code}: {said[-300:]}")
    if code == ExitCode.INTERRUPTED and "error: " not in said:
        faults.append(f"no sentence: {said[-300:]}")
    if any(word in said for word in ("Traceback", "Exception ignored", "Fatal")) and "segsolve" in said:
        faults.append(f"a traceback: {said[-600:]}")
    if _lives_on(group):
        faults.append("a process is left")
        os.killpg(group, signal.SIGKILL)
    if (root / "out" / "plan.json").exists():
        plan_of(root / "out")
    return faults


def _lives_on(group: int) -> bool:
    """Whether a process of a group is there after a while."""
    end = time.monotonic() + _LINGERS_S
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--record"]
    main(int(words[0]) if words else TIMES, words[1:], record="--record" in sys.argv)
