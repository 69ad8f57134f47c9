"""Reading of files that others may have written: regular ones of a bounded size only, so that nothing hangs."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from segsolve_runtime.contract.limits import Limit


class UnfitFileError(OSError):
    """A file that is not read: not a regular one, or larger than any of its kind; `strerror` says which."""


def read_bounded(path: Path, limit: Limit) -> bytes:
    """Return the content of a regular file that is no larger than a limit; a FIFO or a device is not waited for.

    Raises:
        OSError: it is missing or cannot be read; UnfitFileError: it is something else, or too large.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    with os.fdopen(os.open(path, flags), "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise UnfitFileError(None, "it is not a regular file")
        if found.st_size <= limit.most_bytes:
            content = stream.read(found.st_size + 1)
            if len(content) > found.st_size:
                raise UnfitFileError(None, "it grew while it was read; try again")
            return content
    raise UnfitFileError(None, f"it is larger than {limit.said()}")


def read_bounded_text(path: Path, limit: Limit) -> str:
    """Return the text of a regular file in UTF-8.

    Raises:
        OSError: as `read_bounded`.
        UnicodeDecodeError: it is no UTF-8.
    """
    return read_bounded(path, limit).decode("utf-8")


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        OSError: it cannot be made; `strerror` says so where a file has its name, which the system calls "File exists".
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(error.errno, "a file is in the place of the folder", error.filename) from None


def home() -> Path:
    """Return the user's folder; of a user whom the system does not know, as in containers, that of all: the root."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")


def is_file(path: Path) -> bool:
    """Whether a path is a regular file; not so is also what the system refuses, such as a name that is too long.

    Path.is_file raises on the latter, up to Python 3.13.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; see `is_file`."""
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: Path) -> bool:
    """Whether there is something at a path; see `is_file`."""
    return os.path.exists(path)  # noqa: PTH110


def resolved(path: Path) -> Path:
    """Return a path without links. Path.resolve raises a RuntimeError where links go round, up to Python 3.12.

    Such a path is returned as it is: whoever opens it is told by the system.
    """
    return Path(os.path.realpath(path))
