from __future__ import annotations

import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "standins" / "standin_edgetpu_compiler.py"


@pytest.fixture(scope="session")
def standin_compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for the vendor's compiler, as a program."""
    program = tmp_path_factory.mktemp("compiler") / "standin_edgetpu_compiler"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SCRIPT}" "$@"\n')
    program.chmod(0o755)
    return program
