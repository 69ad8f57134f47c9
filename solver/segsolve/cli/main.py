"""The application: registers the commands and nothing else, so that ``--help`` starts fast."""

from __future__ import annotations

from typing import Annotated

import typer

from segsolve import __version__
from segsolve.cli import compare, devices, inspect, run as run_command, solve, verify, zoo

app = typer.Typer(
    name="segsolve",
    help="Proven-best segmentation of quantised TFLite CNNs over several Coral Edge TPUs.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segsolve {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Proven-best segmentation of quantised TFLite CNNs over several Coral Edge TPUs."""


app.command("inspect")(inspect.command)
app.command("solve")(solve.command)
app.command("compare")(compare.command)
app.command("run")(run_command.command)
app.command("verify")(verify.command)
app.command("devices")(devices.command)
app.add_typer(zoo.app, name="zoo")


def run() -> None:
    """Entry point of the ``segsolve`` script."""
    app()
