"""The standard streams of a process that is a command: they may be closed, full, or without our characters."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO


def prepare() -> None:
    """Make stdout and stderr fit to be written to, and keep the descriptors of closed ones from the files of others."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file would get its number, and what native code prints
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = sys.stdout or _opened(1), sys.stderr or _opened(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _opened(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", closefd=False)


def write_line(stream: TextIO, text: str) -> None:
    """Write a line at once; a reader that has gone away, as `head` does, is no reason to stop working.

    Raises:
        OSError: it cannot be written, for another reason.
    """
    try:
        stream.write(text + "\n")
        stream.flush()
    except OSError as error:
        # What is left in the stream's buffer would fail once more at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def say(text: str) -> None:
    """Write a line of news on stderr, if that can be written."""
    with suppress(OSError):
        write_line(sys.stderr, text)
