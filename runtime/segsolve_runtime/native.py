"""Calls functions in a child process, so that native code that ends its process does not end ours.

LiteRT aborts or crashes on some files that are valid by the schema, and no exception reaches Python. Whatever loads or
runs a model of others does it in such a child, or tries it there first. The child stays for a moment for further
calls: the first costs the start of a Python process and what the function imports, some 0.1 s on a desktop.
"""

from __future__ import annotations

import atexit
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any, Literal

_CODE = "import sys; sys.path[:] = {path!r}; from segsolve_runtime.native import _serve; _serve()"
_IDLE_S = 2.0  # after which a child ends itself; a pipeline that runs for days needs it at its start only
_LENGTH = struct.Struct("<Q")
_PIPE_BYTES = 2**20  # whole models go through; what Linux lets any user have
_Kind = Literal["note", "returned", "raised"]


class NativeCrash(Exception):
    """A child was ended by a signal, or ended itself. `where` is the last note that it left, or empty."""

    def __init__(self, how: str, where: str, said: str) -> None:
        self.how, self.where, self.said = how, where, said
        super().__init__(f"{how} {where}".strip() + (f" ({said})" if said else ""))


def call(function: str, *args: Any, timeout_s: float | None = None) -> Any:
    """Call ``package.module:name`` in a child, with what can be pickled, and return what it returns or raise it.

    Raises:
        NativeCrash: the child ended without an answer, or had none within `timeout_s`.
    """
    files = [a for a in args if isinstance(a, bytes)]  # which go through as they are
    head = pickle.dumps((function, [len(a) if isinstance(a, bytes) else (a,) for a in args]), protocol=5)
    request = [_LENGTH.pack(len(head)), head, *files]
    with _lock:
        is_fresh = _child is None or not _child.is_alive()
        try:
            return _ready().call(request, timeout_s)
        except NativeCrash:
            # A child that had other work before may have suffered from that.
            if is_fresh:
                raise
            return _ready().call(request, timeout_s)


def prepare() -> None:
    """Start a child that is not there yet, which then gets ready beside whatever else is to be done."""
    with _lock:
        _ready()


def beside(work: Callable[[], object]) -> None:
    """Do some work in the thread of the next call, while the child is at its own."""
    with _lock:
        _besides.append(work)


def note(where: str) -> None:
    """Leave a note of what comes next, which a `NativeCrash` will quote; does nothing outside of a child."""
    if _answers is not None:
        _put("note", where)


class _Child:
    """A process that answers calls one after the other."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the child
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            pipesize=_PIPE_BYTES,
        )

    def is_alive(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def call(self, request: Sequence[bytes], timeout_s: float | None) -> Any:
        where, timer = "", threading.Timer(timeout_s or 0, self._process.kill)
        timer.daemon = True  # nobody waits for one whose start was interrupted
        sending = threading.Thread(target=self._send, args=(request,), daemon=True)
        answered = False
        try:
            if timeout_s is not None:
                timer.start()
            sending.start()
            while _besides:
                _besides.pop()()
            while (record := self._record()) is not None:
                kind, value = record
                if answered := kind != "note":
                    if kind == "raised":
                        raise value
                    return value
                where = value
            code = self._process.wait()
        except BaseException:
            if not answered:  # an interruption: the answer would come to the next call
                self.close()
            raise
        finally:
            timed_out = timeout_s is not None and timer.finished.is_set()
            timer.cancel()
            if sending.is_alive():  # it may never have begun
                sending.join()
        how = f"does not end within {timeout_s:g} s" if timed_out else how_it_ended(code)
        self._errors.seek(0)
        raise NativeCrash(how, where, complaint(self._errors.read()))

    def _send(self, request: Sequence[bytes]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # it is gone, or closed
            for part in request:
                self._process.stdin.write(part)
            self._process.stdin.flush()

    def _record(self) -> tuple[_Kind, Any] | None:
        """Return the next that it says, None where it ends."""
        assert self._process.stdout is not None
        data = _framed(self._process.stdout)
        return None if data is None else pickle.loads(data)

    def close(self) -> None:
        """End the process; one that a fork left to another process is let alone."""
        if self.owner != os.getpid():
            return
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                with suppress(OSError):
                    stream.close()


_lock = threading.RLock()
_child: _Child | None = None
_besides: list[Callable[[], object]] = []
_answers: IO[bytes] | None = None


def _ready() -> _Child:
    global _child  # noqa: PLW0603 - one child a process, under the lock
    if _child is None or not _child.is_alive():
        _end()
        _child = _Child()
    return _child


@atexit.register
def _end() -> None:
    if _child is not None:
        _child.close()


def _serve() -> None:
    global _answers
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to deal with
    _answers, requests = os.fdopen(os.dup(1), "wb"), os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # what native code prints must not come between the answers
    with suppress(ImportError):  # what nearly every call needs, while the parent is still at other things
        import ai_edge_litert.interpreter  # noqa: F401
    while select.select([requests], [], [], _IDLE_S)[0] and (head := _framed(requests)) is not None:
        os.ftruncate(2, 0)
        os.lseek(2, 0, os.SEEK_SET)
        function, described = pickle.loads(head)
        args = [requests.read(a) if isinstance(a, int) else a[0] for a in described]
        try:
            module, name = function.split(":")
            _put("returned", getattr(__import__(module, fromlist=[name]), name)(*args))
        except Exception as error:
            _put("raised", error)
    os._exit(0)  # native code may crash while it is taken down, after all is done


def _put(kind: _Kind, value: Any) -> None:
    assert _answers is not None
    try:
        data = pickle.dumps((kind, value), protocol=5)
    except (pickle.PicklingError, TypeError, AttributeError):
        data = pickle.dumps((kind, RuntimeError(str(value))), protocol=5)
    _answers.write(_LENGTH.pack(len(data)) + data)
    _answers.flush()


def _framed(stream: IO[bytes]) -> bytes | None:
    """Return the bytes of the next record of a stream, None where it ends."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    data = stream.read(size)
    return data if len(data) == size else None


def how_it_ended(code: int) -> str:
    """Return what a child did, given its exit code: ``ends its process with SIGABRT``."""
    if code >= 0:
        return f"ends its process with code {code}"
    with suppress(ValueError):
        return f"ends its process with {signal.Signals(-code).name}"
    return f"ends its process with signal {-code}"


def complaint(printed: bytes) -> str:
    """Return the last line that native code printed, if it is a complaint."""
    lines: Sequence[str] = [line.strip() for line in printed.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines and not lines[-1].startswith("INFO:") else ""
