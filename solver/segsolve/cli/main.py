"""The application: registers the commands and nothing else, so that ``--help`` starts fast."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from segsolve.cli import (
    batch,
    bench,
    build,
    check,
    compare,
    completing,
    completion,
    devices,
    diff,
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
from segsolve.cli.grouped import GroupedCommand
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


app.command("inspect", cls=GroupedCommand)(inspect.command)
app.command("solve", cls=GroupedCommand)(solve.command)
app.command("compare", cls=GroupedCommand)(compare.command)
app.command("batch", cls=GroupedCommand)(batch.command)
app.command("export", cls=GroupedCommand)(export.command)
app.command("build", cls=GroupedCommand)(build.command)
app.command("run", cls=GroupedCommand)(run_command.command)
app.command("serve", cls=GroupedCommand)(serve.command)
app.command("bench", cls=GroupedCommand)(bench.command)
app.command("verify", cls=GroupedCommand)(verify.command)
app.command("check", cls=GroupedCommand)(check.command)
app.command("profile", cls=GroupedCommand)(profile.command)
app.command("tune", cls=GroupedCommand)(tune.command)
app.command("report", cls=GroupedCommand)(report.command)
app.command("diff", cls=GroupedCommand)(diff.command)
app.command("schema", cls=GroupedCommand)(schema.command)
app.command("devices", cls=GroupedCommand)(devices.command)
app.command("doctor", cls=GroupedCommand)(doctor.command)
app.command("completion", cls=GroupedCommand)(completion.command)
app.add_typer(zoo.app, name="zoo")


def run() -> None:
    """Run the command line of this process, and end it."""
    # The matrices here are small: on a busy machine, threads of the linear algebra only wait for each other.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    prepare()
    completing.prepare()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C does, it lets a command clean up
    code = exit_code(app)
    for late in (signal.SIGINT, signal.SIGTERM):  # there is nothing left to interrupt
        signal.signal(late, signal.SIG_IGN)
    sys.exit(code)
