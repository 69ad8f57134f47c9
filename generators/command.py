"""The command line in this process."""

from __future__ import annotations

import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from segsolve.cli.guard import exit_code
from segsolve.cli.main import app


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str


def inside(*args: str | Path) -> Done:
    """Run ``segsolve`` without a process, where that would add nothing but time."""
    with (
        patch.object(sys, "argv", ["segsolve", *map(str, args)]),
        redirect_stdout(StringIO()) as stdout,
        redirect_stderr(StringIO()) as stderr,
    ):
        code = exit_code(app)
    return Done(code=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())
