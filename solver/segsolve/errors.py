"""Errors that are the user's to mend, each with the exit code that the command line ends with.

The message is one sentence that names what is wrong and where; the hint says what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit codes of ``segsolve``; README lists them."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    BAD_MODEL = 3
    BAD_DEVICE = 4
    NO_PLAN = 5
    BAD_PLAN = 6
    MISMATCH = 7
    OUTPUT = 8
    RUN_FAILED = 9
    SOLVER_FAULT = 10
    PARTIAL = 11  # of a batch's jobs, some failed
    HARDWARE = 12  # an Edge TPU, or what drives it
    NOT_CERTIFIED = 13
    NO_CERTIFICATE = 14
    INTERRUPTED = 130


class SegsolveError(Exception):
    """Base of all errors that end a command with one sentence instead of a traceback."""

    exit_code = ExitCode.INTERNAL

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(SegsolveError):
    """An option has a value that makes no sense."""

    exit_code = ExitCode.USAGE


class ModelError(SegsolveError):
    """The model cannot be read, or cannot be segmented."""

    exit_code = ExitCode.BAD_MODEL


class DeviceError(SegsolveError):
    """The device description is unknown or invalid."""

    exit_code = ExitCode.BAD_DEVICE


class MismatchError(SegsolveError):
    """The segments do not reproduce the whole model bit for bit."""

    exit_code = ExitCode.MISMATCH


class CompilerError(SegsolveError):
    """The vendor's compiler is missing, or cannot compile a segment."""

    exit_code = ExitCode.HARDWARE


class OutputError(SegsolveError):
    """A result cannot be written where it should go."""

    exit_code = ExitCode.OUTPUT


@contextmanager
def writing_to(path: Path, hint: str = "choose another folder with -o") -> Iterator[None]:
    """Raise an OutputError about a path where what is written meanwhile cannot be."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}", hint) from error


class SolverFault(SegsolveError):
    """A solver contradicted a known fact, so that nothing it said can be trusted."""

    exit_code = ExitCode.SOLVER_FAULT


class NotCertifiedError(SegsolveError):
    """A certificate does not prove its plan."""

    exit_code = ExitCode.NOT_CERTIFIED


class NoCertificateError(SegsolveError):
    """A plan has no certificate."""

    exit_code = ExitCode.NO_CERTIFICATE
