"""Looks at regular times whether something takes too long."""

from __future__ import annotations

import threading
from collections.abc import Callable

THREAD_NAME = "segsolve-watchdog"
_CHECKS_PER_TIMEOUT = 8


class Watchdog:
    """Calls `check` with the timeout in ns, several times per timeout, from a thread of its own; without one, never."""

    def __init__(self, timeout_s: float | None, check: Callable[[int], None]) -> None:
        self._timeout_s, self._check = timeout_s, check
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, if there is a timeout."""
        if self._timeout_s is not None:
            self._thread = threading.Thread(target=self._loop, args=(self._timeout_s,), name=THREAD_NAME, daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Let the thread end."""
        self._ended.set()

    def join(self) -> None:
        """Wait for its end, unless it is this thread."""
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join()

    def _loop(self, timeout_s: float) -> None:
        while not self._ended.wait(timeout_s / _CHECKS_PER_TIMEOUT):
            self._check(int(timeout_s * 1e9))
