"""Every command that writes, where nothing can be written: on a full disk, and into a folder that is read-only.

Each ends with its documented code and one sentence, and what was there before is there still. Commands run in forks of
this process; no file of theirs may become larger than a kilobyte, or nothing may be changed in the folder.

    python -m benchmarks.unwritable [COMMAND...]
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.kills import prepare
from generators.command import inside
from generators.dying import forked
from segsolve.errors import ExitCode

_M = "in/synthetic-dense-50.tflite"
_KEEPS = ("batch", ".jsonl")  # what was written line by line until then stays
_QUICK = "--runs 1 --warm-up 0"
COMMANDS: Mapping[str, str] = {
    "solve": f"solve {_M} --tpus 3 --no-verify -o out/plan",
    "solve, new": f"solve {_M} --tpus 3 --no-verify -o out/new/plan",
    "pareto": f"solve {_M} --tpus 2 --objective pareto --no-verify -o out/plan",
    "pool": f"solve {_M} --pool edgetpu-m2:1,edgetpu-usb:1 --no-verify -o out/pool",
    "build": "build out/plan --compile --compiler in/edgetpu_compiler --rounds 1 --no-verify",
    "tune": f"tune {_M} --tpus 2 {_QUICK} --iterations 2 --no-verify -o out/plan",
    "tune --profile-out": f"tune {_M} --tpus 2 {_QUICK} --iterations 2 --profile-out out/profile.json",
    "batch": f"batch {_M} --tpus 1..3 --planners uniform,dp --processes 1 -o out/batch",
    "export": "export in/batch out/table.csv",
    "export, parquet": "export in/batch out/table.parquet",
    "report": f"report in/plan --model {_M} -o out/page.html",
    "report, batch": "report in/batch -o out/page.html",
    "profile": f"profile {_M} {_QUICK} -o out/profile.json",
    "profile --export": f"profile {_M} --segments 0-2,3-4 --export out/segments",
    "run --output npz": "run in/plan --count 9 --output out/scores.npz",
    "run --output jsonl": "run in/plan --count 90 --output out/scores.jsonl",
    "run --timeline": "run in/plan --count 9 --timeline out/measured.json",
    "run --trace": "run in/plan --count 9 --trace out/trace.json",
    "run --profile-out": f"run in/plan --count 9 --model {_M} --profile-out out/profile.json",
    "bench --csv": "bench in/plan --count 3 --warm-up 0 --rounds 20 --csv out/turns.csv",
    "zoo": "zoo build synthetic-dense-50 -o out",
    "doctor --bundle": "doctor --bundle out/report.zip",
}


def main(names: Sequence[str] = ()) -> bool:
    """Try commands, or all, both ways; print what became of each, and return whether one is at fault."""
    faulty = False
    with TemporaryDirectory() as folder:
        prepare(Path(folder))
        os.chdir(folder)
        for name in names or COMMANDS:
            for how, limited in (("full", _no_room), ("read-only", _no_rights)):
                found = attempt(COMMANDS[name].split(), Path("out"), limited)
                print(f"{name}, {how}", json.dumps(found), flush=True)
                faulty |= bool(found["faults"])
    return faulty


def attempt(command: Sequence[str], out: Path, limited: Callable[[Path], None]) -> dict[str, Any]:
    """Let a command run in a fork that cannot write, and say what is wrong with how it ends."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree("in/plan", out / "plan")
    for name in ("page.html", "profile.json", "measured.json", "table.csv"):
        (out / name).write_text("older", encoding="utf-8")
    before, said = _snapshot(out), Path("said.json")
    said.write_text("", encoding="utf-8")

    def dying() -> int:
        with said.open("r+", encoding="utf-8") as stream:  # open before nothing can be
            limited(out)
            done = inside(*command)
            stream.write(json.dumps(done.stderr[-900:]))
        return done.code

    try:
        code = forked(dying)
    finally:
        _set_writable(out, True)
    stderr = json.loads(said.read_text(encoding="utf-8") or '"nothing was said"')
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    fits = (ExitCode.OUTPUT, ExitCode.HARDWARE) if command[0] == "build" else (ExitCode.OUTPUT,)  # or the compiler's
    faults = [] if code in fits else [f"code {code}: {stderr}"]
    faults += [] if len(errors) == 1 else [f"{len(errors)} sentences: {stderr}"]
    changed = sorted({str(p) for p, _ in before.items() ^ _snapshot(out).items()})
    faults += [f"changed or left: {changed}"] if changed and not command[-1].endswith(_KEEPS) else []
    return {"code": code, "said": errors[:1], "faults": faults}


def _no_room(out: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))  # Python ignores the signal, and the write fails


def _no_rights(out: Path) -> None:
    _set_writable(out, False)
    if os.geteuid() == 0:  # root may write anywhere, unless it gives that up
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
            raise OSError(ctypes.get_errno(), "root's rights cannot be given up")


def _set_writable(out: Path, is_writable: bool) -> None:
    for path in (out, *out.rglob("*")):
        path.chmod((0o755 if path.is_dir() else 0o644) & (0o777 if is_writable else 0o555))


def _snapshot(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
