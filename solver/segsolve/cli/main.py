"""The application: registers the commands and nothing else, so that ``--help`` starts fast."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from segsolve.cli import (
    batch,
    build,
    check,
    compare,
    devices,
    doctor,
    export,
    inspect,
    profile,
    report,
    schema,
    serve,
    solve,
    tune,
    verify,
    zoo,
)
from segsolve.cli import (
    run as run_command,
)
from segsolve.cli.console import prepare
from segsolve.cli.guard import exit_code
from segsolve.version import __version__

app = typer.Typer(
    name="segsolve",
    help="Proven-best segmentation of quantised TFLite CNNs over several Coral Edge TPUs.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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
app.command("batch")(batch.command)
app.command("export")(export.command)
app.command("build")(build.command)
app.command("run")(run_command.command)
app.command("serve")(serve.command)
app.command("verify")(verify.command)
app.command("check")(check.command)
app.command("profile")(profile.command)
app.command("tune")(tune.command)
app.command("report")(report.command)
app.command("schema")(schema.command)
app.command("devices")(devices.command)
app.command("doctor")(doctor.command)
app.add_typer(zoo.app, name="zoo")


def run() -> None:
    """Entry point of the ``segsolve`` script."""
    # The matrices here are small: on a busy machine, threads of the linear algebra only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    prepare()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does, it lets a command clean up
    sys.exit(exit_code(app))
