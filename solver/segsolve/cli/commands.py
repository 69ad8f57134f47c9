"""The commands: a line of help of each, which `segsolve --help` lists; the one that is called is loaded then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

COMMANDS: Final = {
    "inspect": "Show what a model is, what fits one TPU, where it can be cut.",
    "solve": "Find the best segmentation, prove it, and write the segments.",
    "compare": "Hold every strategy against the vendor's and the optimum.",
    "batch": "Solve every combination in parallel; go on after any stop.",
    "export": "Write a batch's records as one table.",
    "build": "Compile a plan's segments; correct the plan by the reports.",
    "run": "Run a plan as a pipeline and measure it.",
    "serve": "Serve plans over HTTP and gRPC (Open Inference Protocol).",
    "bench": "Run plans in turns: which is faster, or a tie.",
    "verify": "Prove segments equal to the whole model by running both.",
    "check": "Prove again that a plan is optimal, without the solver.",
    "profile": "Measure a model here or on an Edge TPU, for --device.",
    "tune": "Solve, measure the stages, solve again until the plan stands.",
    "report": "Write a report on a plan, a pool's plan or a batch.",
    "diff": "Say how two plans differ, and why; or what compiling changed.",
    "schema": "Print the JSON Schema of a kind of file or of --json.",
    "devices": "List the devices, or tell the origin of every figure of one.",
    "doctor": "Check what Edge TPUs need; exit code 12 if some is missing.",
    "completion": "Print what a shell needs to complete command lines.",
    "zoo": "Classic CNNs as int8 .tflite files with seeded weights.",
}
"""Each is `command` or `app` of the module of its name, whose documentation begins with the same line."""


PLAIN: Final[dict[str, Any]] = {
    "add_completion": False,
    "rich_markup_mode": None,
    "pretty_exceptions_enable": False,
}
"""How all of the command line looks: text without frames, and errors that `guard` words."""


class Commands(TyperGroup):
    """All commands, each of which is loaded when it is looked at."""

    def __init__(self, **known: Any) -> None:
        super().__init__(**known)
        self.commands: Any = _Loaded()

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write what each command is for, without loading it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


class _Loaded(Mapping[str, "Command"]):
    def __init__(self) -> None:
        self._known: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._known:
            self._known[name] = _load(name)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _load(name: str) -> Command:
    from segsolve.cli.grouped import GroupedCommand

    if name not in COMMANDS:
        raise KeyError(name)
    module = import_module(f"segsolve.cli.{name}")
    alone = typer.Typer(**PLAIN)
    if hasattr(module, "app"):
        alone.add_typer(module.app, name=name)
        group: Any = get_command(alone)
        return cast("Command", group.commands[name])
    alone.command(name, cls=GroupedCommand)(module.command)
    return get_command(alone)
