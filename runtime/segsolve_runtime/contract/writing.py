"""Writing of files: whole or not at all, whenever the process is killed, and by one process at a time."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from segsolve_runtime.contract.files import resolved

PARTIAL = ".segsolve-partial"
"""How the name of a file ends that is being written, hidden beside the one that it becomes."""
WAIT_S = 30.0
"""How long another process that writes at the same place is waited for."""
_POLL_S = 0.02
_LONGEST_NAME = 200  # so that what is put around it leaves it a name on every file system


class InUseError(OSError):
    """Another process is writing there, and did not come to its end in time."""

    def __init__(self) -> None:
        super().__init__(None, "another command is writing there")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that at any time, even without power, either the old or the new content is there.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(path) as stream:
        stream.write(content)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """Give a stream whose content takes a file's place in one step when the block ends, unless it raises.

    What a killed process left is written over; a link goes on pointing; a device or a FIFO is written to as it is.
    Without `durable`, a power cut may leave an empty file.

    Raises:
        OSError: the file cannot be written; InUseError: another process does so.
    """
    before = path.stat() if path.exists() else None
    if before is not None and not stat.S_ISREG(before.st_mode):
        with path.open("wb") as stream:
            yield stream
        return
    if before is not None and not os.access(path, os.W_OK):
        raise PermissionError(None, "it is write-protected")
    target = resolved(path)
    partial = _partial(target)
    with os.fdopen(_open_alone(partial), "wb") as stream:
        try:
            yield stream
            stream.flush()
            if before is not None:
                os.fchmod(stream.fileno(), stat.S_IMODE(before.st_mode))
            if durable:
                os.fsync(stream.fileno())
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    if durable:
        sync_folder(target.parent)


def check_replaceable(path: Path) -> None:
    """Find out whether `replacing` could write a file, and leave nothing.

    What killed processes left there of other files is removed.

    Raises:
        OSError: it cannot be written.
    """
    if path.exists() and not path.is_file():
        with path.open("ab"):
            return
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(None, "it is write-protected")
    sweep(resolved(path).parent)
    partial = _partial(resolved(path))
    descriptor = _open_alone(partial)
    partial.unlink()
    os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the beginnings of files that killed processes left in a folder; those of living ones are locked."""
    for partial in folder.glob(f".*{PARTIAL}"):
        with suppress(OSError):
            descriptor = _open_alone(partial, wait_s=0)
            partial.unlink()
            os.close(descriptor)


@contextmanager
def locked(folder: Path, wait_s: float = WAIT_S) -> Iterator[None]:
    """Keep other processes out of a folder that `locked` is asked for; the lock goes with the process.

    Raises:
        OSError: the folder cannot be read, or was removed; InUseError: another process has it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, wait_s)
        if not _is_at(descriptor, folder):
            raise FileNotFoundError(None, "it was removed meanwhile")
        yield
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _partial(target: Path) -> Path:
    name = target.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return target.with_name(f".{name}{PARTIAL}")


def _open_alone(path: Path, wait_s: float = WAIT_S) -> int:
    """Open an empty file for writing that no other process writes, and return its descriptor."""
    end = time.monotonic() + wait_s
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            _lock(descriptor, max(0.0, end - time.monotonic()))
            if _is_at(descriptor, path):  # whoever had it may have renamed or removed it
                os.ftruncate(descriptor, 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, wait_s: float) -> None:
    import fcntl

    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise InUseError from None
            time.sleep(_POLL_S)
        except OSError:
            return  # a file system without locks
        else:
            return


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
