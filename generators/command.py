"""The command line in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from segsolve.cli.guard import exit_code
from segsolve.cli.main import app
from segsolve_runtime.command import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str


def inside(*args: str | Path, cwd: Path | None = None, **environment: str) -> Done:
    """Run ``segsolve`` without a process, where that would add nothing but time."""
    argv = ["segsolve", *map(str, args)]
    with patch.object(sys, "argv", argv), patch.dict(os.environ, environment), chdir(cwd or Path.cwd()):
        return _done(lambda: exit_code(app))


def light(*args: str | Path) -> Done:
    """Run ``segsolve-run`` in this process."""
    return _done(lambda: main([*map(str, args)]))


def _done(command: Callable[[], int]) -> Done:
    with redirect_stdout(StringIO()) as stdout, redirect_stderr(StringIO()) as stderr:
        code = command()
    return Done(code=code, stdout=stdout.getvalue(), stderr=stderr.getvalue())
