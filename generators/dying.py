"""Commands that are killed at a chosen moment: before the n-th system call that writes or renames, or in a write."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_PATHS = {"os.rename": (0, 1), "os.remove": (0,), "os.rmdir": (0,), "os.mkdir": (0,), "os.truncate": (0,)}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_FAULT = 70
_LONGEST_S = 300


def forked(work: Callable[[], int]) -> int:
    """Do work in a fork of this process, silently, and return its exit code; negative if a signal ended it."""
    return ended(begun(work))


def ended(child: int) -> int:
    """Wait for a fork, and return its exit code; negative if a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def begun(work: Callable[[], int]) -> int:
    """Begin work in a fork of this process, silently, and return its number."""
    child = os.fork()
    if child:
        return child
    code = _FAULT
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        faulthandler.dump_traceback_later(_LONGEST_S, exit=True)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stderr.flush()
        os._exit(code)


def counted(work: Callable[[], int], root: Path) -> tuple[int, int]:
    """Do work in a fork, and return its code and how many steps it takes below a folder."""
    reader, writer = os.pipe()

    def counting() -> int:
        steps = _Steps(root, fatal=None)
        code = work()
        os.write(writer, steps.count.to_bytes(8, "little"))
        return code

    code = forked(counting)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        return code, int.from_bytes(stream.read(8), "little")


def killed_before(work: Callable[[], int], root: Path, step: int) -> int:
    """Do work in a fork that kills itself before a step, the first of which is 1; return its code."""

    def dying() -> int:
        _Steps(root, fatal=step)
        return work()

    return forked(dying)


def killed_beyond(work: Callable[[], int], size: int) -> int:
    """Do work in a fork that is killed within the write that makes a file larger than a size; return its code."""

    def dying() -> int:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return work()

    return forked(dying)


class _Steps:
    """Counts the system calls of this process that change what is below a folder, and dies before the fatal one."""

    def __init__(self, root: Path, fatal: int | None) -> None:
        self.count, self._root, self._fatal, self._owner = 0, os.fspath(root.resolve()), fatal, os.getpid()
        sys.addaudithook(self._hear)
        write = os.write

        def written(descriptor: int, content: Any) -> int:
            if self._is_ours(f"/proc/self/fd/{descriptor}"):
                self._step()
            return write(descriptor, content)

        os.write = written

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if os.getpid() != self._owner:
            return
        if event == "open":
            if isinstance(args[2], int) and args[2] & _WRITING and self._is_ours(args[0]):
                self._step()
        elif event in _PATHS and any(self._is_ours(args[k]) for k in _PATHS[event]):
            self._step()

    def _is_ours(self, path: object) -> bool:
        if isinstance(path, int):
            path = f"/proc/self/fd/{path}"
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        text = os.fsdecode(path)
        if not text.startswith("/"):
            return True  # relative to a folder that is open, as within rmtree
        return os.path.realpath(text).startswith(self._root)

    def _step(self) -> None:
        self.count += 1
        if self.count == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)
