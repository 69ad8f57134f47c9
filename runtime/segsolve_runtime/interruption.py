"""Ctrl-C and SIGTERM of a process that is a command: it ends with a sentence and code 130, from its first moment on.

What is imported before `end_at_once_while_loading` is called is built into Python, this package and its parents, which
import nothing themselves: an interruption of an import would be a traceback. Whoever imports this package as a library
keeps the signals as they are.
"""

import os
import sys
from _signal import (
    ITIMER_REAL,
    SIG_DFL,
    SIG_IGN,
    SIGALRM,
    SIGINT,
    SIGTERM,
    getsignal,
    setitimer,
    signal,
)  # `signal` itself loads more

from segsolve_runtime.shortage import shortage

CODE = 130
"""Of a process that was interrupted, as shells have it."""
_WAIT_S, _MOST_WAITS = 0.002, 500  # for the end of an import; one that takes longer is interrupted
_IMPORT, _LIBRARIES = "<frozen importlib._bootstrap>", (f"{os.sep}numba{os.sep}", f"{os.sep}pydantic{os.sep}")
_waited = 0


def end_at_once_while_loading() -> None:
    """Let both signals end this process at once, as nothing has begun; one that it was started to ignore stays so."""
    sys.excepthook = _said_of_what_escapes
    for number in (SIGINT, SIGTERM):
        if getsignal(number) != SIG_IGN:
            signal(number, _end)


def interrupt_from_now_on() -> None:
    """Let both signals raise KeyboardInterrupt, so that a command keeps what is known and cleans up."""
    for number in (SIGINT, SIGTERM):
        if getsignal(number) in (_end, SIG_DFL):
            signal(number, _interrupt)


def nothing_to_interrupt() -> None:
    """Ignore both signals, and one that waits: the command is done, and ends with the code that it has."""
    for number in (SIGINT, SIGTERM, SIGALRM):  # Python restores what it handles as it ends, and that would end it
        signal(number, SIG_IGN)
    setitimer(ITIMER_REAL, 0)
    # Python notes a KeyboardInterrupt that passes an exec, as dataclasses have one, and would end by SIGINT for it,
    # although it was caught. Another exec forgets it.
    exec("")


def _interrupt(_: int, frame) -> None:  # type: ignore[no-untyped-def] # the types are in `types`
    """Raise KeyboardInterrupt, but after native code that would make something else of it.

    NumPy's modules swallow it as they are imported, Numba goes on as if its compiler had succeeded, and pydantic says
    that a schema is at fault.
    """
    global _waited  # noqa: PLW0603 - of this process
    if _is_within(frame, *_LIBRARIES) or (_waited < _MOST_WAITS and _is_within(frame, _IMPORT)):
        _waited += 1
        signal(SIGALRM, _interrupt)
        setitimer(ITIMER_REAL, _WAIT_S)
        return
    _waited = 0
    raise KeyboardInterrupt


def _is_within(frame, *places: str) -> bool:  # type: ignore[no-untyped-def]
    """Whether code of a file, or a folder, is running."""
    while frame is not None:
        for place in places:
            if place in frame.f_code.co_filename:
                return True
        frame = frame.f_back
    return False


def _end(*_: object) -> None:
    _say_and_end("interrupted", CODE)


def _said_of_what_escapes(kind, error, trace) -> None:  # type: ignore[no-untyped-def] # the types are in `types`
    """End as an interruption does where one comes while another is dealt with, or nothing can be loaded."""
    if issubclass(kind, KeyboardInterrupt):
        _end()
    if said := shortage(error):
        _say_and_end(said, 1)
    sys.__excepthook__(kind, error, trace)


def _say_and_end(sentence: str, code: int) -> None:
    try:
        os.write(2, f"error: {sentence}\n".encode())
    finally:  # it may be closed
        os._exit(code)
