"""Turns errors into one sentence on stderr and the documented exit code; never a traceback for a user's mistake."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import typer

from segsolve.errors import ExitCode, SegsolveError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def guarded(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Wrap a command so that its errors end it as README documents."""

    @wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except SegsolveError as error:
            _say(str(error), error.hint)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            _say("interrupted", "")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except MemoryError:
            _say("out of memory", "")
            raise typer.Exit(ExitCode.INTERNAL) from None
        except Exception as error:
            code = _runtime_exit_code(error)
            if code is None:
                raise
            _say(str(error), "")
            raise typer.Exit(code) from None

    return run


def _runtime_exit_code(error: Exception) -> ExitCode | None:
    from segsolve_runtime.errors import BackendError, PlanError, RuntimeFault

    if isinstance(error, PlanError):
        return ExitCode.BAD_PLAN
    if isinstance(error, BackendError):
        return ExitCode.USAGE
    return ExitCode.RUN_FAILED if isinstance(error, RuntimeFault) else None


def _say(message: str, hint: str) -> None:
    typer.echo(f"error: {message}", err=True)
    if hint:
        typer.echo(f"hint: {hint}", err=True)
