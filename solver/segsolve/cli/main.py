"""The application, and the process that it runs in."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from segsolve.cli import completing
from segsolve.cli.commands import PLAIN, Commands
from segsolve.cli.guard import exit_code
from segsolve.version import __version__
from segsolve_runtime import interruption, streams
from segsolve_runtime.shortage import prepare_numpy

app = typer.Typer(
    name="segsolve",
    cls=Commands,
    help="Proven-best segmentation of quantised TFLite CNNs over several Coral Edge TPUs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **PLAIN,
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


def run() -> None:
    """Run the command line of this process, and end it."""
    streams.prepare()
    completing.prepare()
    prepare_numpy()
    interruption.interrupt_from_now_on()
    code = exit_code(app)
    interruption.nothing_to_interrupt()
    sys.exit(code)
