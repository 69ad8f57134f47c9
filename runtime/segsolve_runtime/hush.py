"""Keeps native code from saying more than it is asked: LiteRT notes about itself, HiGHS prints among results."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STDOUT, _STDERR = 1, 2
_NOTE = b"INFO: "
_lock = threading.Lock()


@contextmanager
def without_notes() -> Iterator[None]:
    """Hold back what native code writes to stderr meanwhile, and pass it on but for LiteRT's INFO lines.

    LiteRT has no switch for them. Other threads' lines are passed on as well, in their order.
    """
    with _lock, tempfile.TemporaryFile() as held:
        try:
            screen = os.dup(_STDERR)
        except OSError:  # closed: there is nothing to keep clean
            yield
            return
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(screen, _STDERR)
            os.close(screen)
            held.seek(0)
            said = b"".join(line for line in held if not line.startswith(_NOTE))
            if said:
                os.write(_STDERR, said)


@contextmanager
def off_stdout() -> Iterator[None]:
    """Let what is written to stdout meanwhile go to stderr, so that nothing comes between the results there."""
    with _lock:
        try:
            screen = os.dup(_STDOUT)
        except OSError:  # closed: nothing comes there
            yield
            return
        with suppress(OSError, ValueError, AttributeError):
            sys.stdout.flush()
        try:
            with suppress(OSError):
                os.dup2(_STDERR, _STDOUT)
            yield
        finally:
            os.dup2(screen, _STDOUT)
            os.close(screen)
