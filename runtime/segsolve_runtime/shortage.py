"""What a machine, its limits (ulimit) or its disks have too little of, which every library says in its own way.

Imports nothing that is not built into Python: it is there before the libraries are.
"""

import errno
import os
import sys

_MEMORY = (errno.ENOMEM,)
_FILES = (errno.EMFILE, errno.ENFILE)
_PROCESSES = (errno.EAGAIN,)
_NUMPY_BYTES = 90 * 2**20  # of address space, of which its OpenBLAS takes most at once
_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EROFS)


def prepare_numpy() -> None:
    """Let it have one thread: the matrices here are small, and threads would only wait for each other.

    Its import raises a MemoryError where a limit (ulimit -v) leaves no room, since OpenBLAS would end the process.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit
    except ImportError:  # no such limits on this system
        return
    if getrlimit(RLIMIT_AS)[0] != RLIM_INFINITY:
        sys.meta_path.insert(0, _Room())


class _Room:
    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "numpy":
            from mmap import mmap

            try:
                mmap(-1, _NUMPY_BYTES).close()
            except OSError as error:
                raise MemoryError from error


def shortage(error: BaseException | None) -> str:
    """Return a sentence on the memory, files or threads that are missing; empty where an error is of another kind."""
    while error is not None:
        number, said = _said(error)
        if isinstance(error, MemoryError) or number in _MEMORY or "failed to map segment" in said:
            return "out of memory"
        if number in _FILES:
            return "too many files are open for this process or system: see ulimit -n"
        if number in _PROCESSES or "can't start new thread" in said:
            return "no more threads or processes can be started: see ulimit -u"
        error = error.__cause__ or error.__context__
    return ""


def no_room(error: BaseException | None) -> str:
    """Return a sentence on what cannot be written; empty where an error is of another kind."""
    while error is not None:
        number, said = _said(error)
        if "No usable temporary directory" in said:
            return "no temporary file can be written: no folder for them has room (TMPDIR names another)"
        if isinstance(error, OSError) and number in _ROOM:
            return f"{error.filename or 'a file, or the standard output,'} cannot be written: {error.strerror}"
        error = error.__cause__ or error.__context__
    return ""


def _said(error: BaseException) -> tuple[int | None, str]:
    return (error.errno if isinstance(error, OSError) else None), str(error)
