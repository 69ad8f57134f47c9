"""The standard streams of a process that is a command: they may be closed, full, or without our characters."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

_TURNING = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys((*range(0x80, 0xA0), *_TURNING), 0xFFFD),
}
"""Control characters, and those that turn the direction of writing, by what is shown for them."""


def visible(text: str) -> str:
    """Return a text without control characters, which names in files may have and terminals obey."""
    return text if text.isprintable() else text.translate(_CONTROLS)


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
        write_line(sys.stderr, visible(text))
