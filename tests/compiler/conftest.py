from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..standins.edgetpu import StandIn, build

SCRIPT = Path(__file__).parents[1] / "standins" / "standin_edgetpu_compiler.py"


@pytest.fixture(scope="session")
def standin_compiler(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for the vendor's compiler, as a program."""
    program = tmp_path_factory.mktemp("compiler") / "standin_edgetpu_compiler"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{SCRIPT}" "$@"\n')
    program.chmod(0o755)
    return program


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for libedgetpu as a file."""
    return build(tmp_path_factory.mktemp("standin"))


@pytest.fixture
def standin(library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in in this process, with usb:0, pci:0 and usb:1."""
    standin = StandIn(library, monkeypatch)
    yield standin
    standin.close()
