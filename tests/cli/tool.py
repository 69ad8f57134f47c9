"""The real `segsolve` as a process, and what holds for every run of it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from generators.command import Done, inside
from segsolve.errors import ExitCode

__all__ = ["Done", "document", "error", "has_hint", "inside", "keys", "limited", "on_terminal", "run", "start"]

SCRIPT = Path(sys.executable).with_name("segsolve")
LONGEST_S = 120
_DECIDED_BY_THE_TEST = {"COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "PYTHONUNBUFFERED"}
_ESCAPES = re.compile("\x1b\\[[0-9;?]*[a-zA-Z]")
_ANSWERING_TO_CTRL_C = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def run(*args: str | Path, cwd: Path | None = None, stdin: str = "", **environment: str) -> Done:
    done = subprocess.run(
        [SCRIPT, *args],
        cwd=cwd,
        input=stdin,
        env=_environment(environment),
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    return Done(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


@contextmanager
def limited(process: subprocess.Popen[Any], longest_s: float = LONGEST_S) -> Iterator[None]:
    """Kill a process that takes longer, or is there still at the end, so that nobody reads from it for ever."""
    timer = threading.Timer(longest_s, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        process.kill()


def start(*args: str | Path) -> subprocess.Popen[str]:
    """Start a process that answers to Ctrl-C even where the tests themselves run in the background."""
    return subprocess.Popen(
        [sys.executable, "-c", _ANSWERING_TO_CTRL_C, SCRIPT, *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment({}),
        text=True,
    )


def on_terminal(*args: str | Path, columns: int, cwd: Path | None = None) -> str:
    """Return what a command shows on a terminal of so many columns, without colours; it must succeed."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = _environment({"TERM": "xterm-256color", "NO_COLOR": "1"})
    with os.fdopen(ours, "rb", buffering=0) as screen, TemporaryFile() as said:
        process = subprocess.Popen(
            [SCRIPT, *args], cwd=cwd, stdin=subprocess.DEVNULL, stdout=theirs, stderr=said, env=environment
        )
        os.close(theirs)
        with limited(process):
            shown = b"".join(_until_closed(screen))
            process.wait(LONGEST_S)
        said.seek(0)
        assert process.returncode == ExitCode.OK, said.read().decode()
    lines = _ESCAPES.sub("", shown.decode()).replace("\r\n", "\n").splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _until_closed(screen: IO[bytes]) -> Iterator[bytes]:
    with suppress(OSError):  # a terminal's way to say that the last process has closed it
        while part := screen.read(65536):
            yield part


def _environment(changes: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in _DECIDED_BY_THE_TEST} | changes


def error(done: Done, code: ExitCode, *words: str) -> str:
    """Check that a command failed as documented, with one sentence that has these words; return that sentence."""
    assert "Traceback" not in done.stderr
    assert done.code == code, done.stderr
    said = done.stderr.splitlines()
    errors = [place for place, line in enumerate(said) if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    after = said[errors[0] + 1 :]
    assert all(line.startswith("hint: ") for line in after) and len(after) <= 1, done.stderr
    sentence = said[errors[0]]
    assert not sentence.endswith(".")
    for word in words:
        assert word in sentence
    return sentence


def has_hint(done: Done) -> bool:
    return bool(re.search(r"^hint: \S", done.stderr, re.MULTILINE))


def document(text: str) -> Any:
    """Return what a JSON text says, and accept only what the standard allows."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def keys(record: dict[str, Any], expected: Mapping[str, type | tuple[type, ...]]) -> None:
    """Check that a record has these keys, with values of these types; a bool is no number."""
    for key, kinds in expected.items():
        assert key in record, key
        wanted: Sequence[type] = kinds if isinstance(kinds, tuple) else (kinds,)
        assert type(record[key]) in wanted, (key, record[key])
