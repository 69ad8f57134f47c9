"""Turns errors into one sentence on stderr and the documented exit code; never a traceback for a user's mistake."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from typing import ParamSpec, TypeVar

import typer
from typer.exceptions import TyperException

from segsolve.cli.console import news
from segsolve.cli.fault import fault_report
from segsolve.errors import ExitCode, SegsolveError
from segsolve_runtime.errors import HardwareError, RuntimeFault
from segsolve_runtime.shortage import no_room, shortage

_errors_said = 0

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def guarded(command: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Wrap a command so that its errors end it as README documents."""

    @wraps(command)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return command(*args, **kwargs)
        except SegsolveError as error:
            say_error(str(error), error.hint)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say_error("interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except RuntimeFault as error:
            say_error(str(error), "segsolve doctor tells what is missing" if isinstance(error, HardwareError) else "")
            raise typer.Exit(error.exit_code) from None

    return run


def exit_code(app: typer.Typer) -> int:
    """Run the application; what it says about a command line that it does not understand looks like other errors."""
    if (empty := _empty_argument(sys.argv[1:])) is not None:
        say_error(f"{empty} is empty", "give a value; for the current folder write .")
        return ExitCode.USAGE
    said = _errors_said
    try:
        code: int = app(prog_name="segsolve", standalone_mode=False) or ExitCode.OK
        if code == ExitCode.INTERRUPTED and _errors_said == said:  # Typer has a code for Ctrl-C, and no word
            say_error("interrupted")
        return code
    except SegsolveError as error:  # of settings, which are read before a command begins
        say_error(str(error), error.hint)
        return error.exit_code
    except TyperException as error:
        message = error.format_message()
        if message.startswith("Usage:"):  # no arguments: the message is the help
            news(message)
        else:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "segsolve"
            say_error(_sentence(message), f"see {command} --help")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        say_error("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:
        return _said_of_what_nobody_expected(error)


def _said_of_what_nobody_expected(error: Exception) -> ExitCode:
    if isinstance(error, ImportError) and _was_interrupted(error):  # as a library of native code says it
        say_error("interrupted")
        return ExitCode.INTERRUPTED
    if said := shortage(error):
        say_error(said)
        return ExitCode.INTERNAL
    if said := no_room(error):
        say_error(said)
        return ExitCode.OUTPUT
    say_error(*fault_report(error))
    return ExitCode.INTERNAL


def say_error(message: str, hint: str = "") -> None:
    """Print an error and what can be done about it on stderr."""
    global _errors_said  # noqa: PLW0603 - of this process
    _errors_said += 1
    news(f"error: {message}")
    if hint:
        news(f"hint: {hint}")


def _was_interrupted(error: BaseException) -> bool:
    before = error.__cause__ or error.__context__
    return before is not None and (isinstance(before, KeyboardInterrupt) or _was_interrupted(before))


def _empty_argument(arguments: Sequence[str]) -> str | None:
    """Return what is given without a value, as by an unset variable; a path would be the current folder."""
    for before, argument in pairwise(["", *arguments]):
        if argument.startswith("--") and argument.endswith("="):
            return argument[:-1]
        if not argument.strip():
            return before if before.startswith("-") and before != "--" else "an argument"
    return None


def _sentence(message: str) -> str:
    """Return Typer's sentence in the style of our own: Pydantic's phrases, the capital and the full stop removed."""
    text = message.replace("Value error, ", "").removesuffix(".")
    text = re.sub(r"Input should be (a valid \w+), unable to parse .*", r"it is not \1", text)
    return text[:1].lower() + text[1:]
