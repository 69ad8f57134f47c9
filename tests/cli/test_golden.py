"""Commands with their whole expected output, one file per case in golden/; README of the format: each file's header.

SEGSOLVE_GOLDEN=rewrite pytest tests/cli/test_golden.py    writes what the commands print now
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from pathlib import Path

import pytest

from .tool import on_terminal, run

GOLDEN = Path(__file__).with_name("golden")
HEADER = """\
# Command lines stand after "$ ", below them what they print on stdout; in terminal-N.txt, on a terminal of N columns.
# Measured durations, as in "in 0.25 s", are masked: "in * s", and those that end a row are "*".
# Rewrite with: SEGSOLVE_GOLDEN=rewrite pytest tests/cli/test_golden.py
"""
DURATION = re.compile(r"\bin \d+\.\d\d s\b")
LAST_COLUMN = re.compile(r"(?<=optimal|..... %) {4}\d\.\d\d$", re.MULTILINE)


@pytest.mark.parametrize("case", sorted(GOLDEN.glob("*.txt")), ids=lambda path: path.stem)
def test_golden(case: Path, mobilenet: Path, dense: Path, tmp_path: Path) -> None:
    for model in (mobilenet, dense):
        (tmp_path / model.name).symlink_to(model)
    expected = case.read_text()
    columns = int(case.stem.removeprefix("terminal-")) if case.stem.startswith("terminal-") else None
    actual = HEADER + "".join(_shown(command, tmp_path, columns) for command in _commands(expected))
    if columns is not None:
        assert all(len(line) <= columns for line in actual.splitlines() if not line.startswith(("#", "$")))
        assert "…" not in actual
    if os.environ.get("SEGSOLVE_GOLDEN") == "rewrite":
        case.write_text(actual)
        return
    difference = difflib.unified_diff(expected.splitlines(), actual.splitlines(), case.name, "now", lineterm="")
    assert actual == expected, "\n" + "\n".join(difference)


def _commands(text: str) -> list[str]:
    return [line.removeprefix("$ segsolve ") for line in text.splitlines() if line.startswith("$ segsolve ")]


def _shown(command: str, folder: Path, columns: int | None) -> str:
    words = shlex.split(command)
    said = on_terminal(*words, columns=columns, cwd=folder) if columns else run(*words, cwd=folder).stdout
    return f"\n$ segsolve {command}\n" + LAST_COLUMN.sub("       *", DURATION.sub("in * s", said))
