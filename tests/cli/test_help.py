"""The help is whole, fits 80 columns, and comes without loading what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from segsolve.cli.commands import COMMANDS as FIRST_LINES
from segsolve.errors import ExitCode
from segsolve.version import __version__

from .tool import inside, run

HEAVY = (
    "numpy",
    "ortools",
    "ai_edge_litert",
    "rich",
    "pandas",
    "segsolve.graph",
    "segsolve.search",
    "segsolve.solvers",
)
COMMANDS = (
    "inspect",
    "solve",
    "compare",
    "run",
    "verify",
    "check",
    "devices",
    "doctor",
    "zoo",
    "zoo list",
    "zoo build",
)
_IMPORTS = """
import json, sys
from segsolve.cli.main import run
sys.argv = ["segsolve", *sys.argv[1:]]
try:
    run()
except SystemExit as ended:
    assert not ended.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def _modules(*args: str) -> set[str]:
    command = [sys.executable, "-c", _IMPORTS, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(done.stderr))


@pytest.mark.parametrize("command", [(), ("solve",)])
def test_help_loads_no_heavy_library(command: tuple[str, ...]) -> None:
    modules = _modules(*command, "--help")
    assert not modules & set(HEAVY)
    if not command:  # Typer itself needs pydantic once a command has parameters
        assert "pydantic" not in modules


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_sentences_are_whole(command: str) -> None:
    done = run(*command.split(), "--help", COLUMNS="80") if not command else inside(*command.split(), "--help")
    assert (done.code, done.stderr) == (ExitCode.OK, "")
    assert done.stdout.startswith("Usage: ")
    assert "..." not in done.stdout.partition("\n")[2]
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_every_command_is_listed() -> None:
    listed = inside("--help").stdout.partition("Commands:")[2]
    for command in COMMANDS:
        assert f"\n  {command.split()[0]} " in listed


OPTIONS = {
    "--json": ("inspect", "solve", "compare", "run", "verify", "zoo list"),
    "--seed": ("solve", "compare", "run", "verify", "zoo build"),
    "--tpus": ("solve", "compare"),
    "--device": ("inspect", "solve", "compare"),
    "--tpu-memory": ("inspect", "solve", "compare"),
    "--no-spill": ("solve", "compare"),
    "--time-limit": ("solve", "compare"),
    "--workers": ("solve", "compare"),
    "--output": ("solve", "zoo build"),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_are_the_same_everywhere(option: str) -> None:
    for command in OPTIONS[option]:
        assert f"{option} " in inside(*command.split(), "--help").stdout, command


def test_version() -> None:
    assert run("--version").stdout == f"segsolve {__version__}\n"


@pytest.mark.parametrize("command", sorted(FIRST_LINES))
def test_the_list_says_what_a_command_says_of_itself(command: str) -> None:
    said = inside(command, "--help").stdout.split("\n\n")[1].split()
    assert " ".join(said).startswith(FIRST_LINES[command])
