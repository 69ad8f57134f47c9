"""Opens devices again that were lost, each in a thread of its own, with growing waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import sleep
from typing import Protocol

from segsolve_runtime.contract.places import Place
from segsolve_runtime.contract.runner import Reopenable

THREAD_NAME = "segsolve-rejoin-"
FIRST_WAIT_S = 0.02
LONGEST_WAIT_S = 5.0
_LOOKS_AGAIN_S = 0.1


class Listener(Protocol):
    """The run under way, as far as lost devices are concerned; called in a device's thread."""

    def may_reopen(self, place: Place) -> bool:
        """Whether the thread that lost a device is done with it."""
        ...

    def rejoin(self, place: Place, accepted: Callable[[], None]) -> bool:
        """Use a device again, after calling `accepted`: from then on it may be lost anew. False if the run is over."""
        ...

    def still_lost(self, place: Place) -> None:
        """Take note that a device did not open."""
        ...


class Rejoining:
    """What a pipeline does about its lost devices, which goes on from one run to the next.

    A device that is back is taken out of `retired`, by the run that listens or, between two runs, here.
    """

    def __init__(self, retired: dict[Place, str]) -> None:
        self._retired = retired
        self._listener: Listener | None = None
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._under_way: dict[Place, Reopenable] = {}
        self._threads: set[threading.Thread] = set()

    def listen(self, listener: Listener) -> None:
        """Let a run know from now on."""
        with self._lock:
            self._listener = listener

    def leave(self, listener: Listener) -> None:
        """Let a run know no more."""
        with self._lock:
            if self._listener is listener:
                self._listener = None

    def begin(self, place: Place, runner: Reopenable) -> None:
        """Try to open a place's device again, until it opens or all ends."""
        with self._lock:
            if self._ended.is_set() or place in self._under_way:
                return
            name = f"{THREAD_NAME}{place.pipeline}.{place.stage}.{place.replica}"
            self._threads = {each for each in self._threads if each.is_alive()}
            thread = threading.Thread(target=self._loop, args=(place, runner), name=name, daemon=True)
            self._under_way[place] = runner
            self._threads.add(thread)
            thread.start()

    def end(self) -> None:
        """Let all threads come to their end, also those that wait for a device."""
        self._ended.set()
        while True:
            with self._lock:
                left = [t for t in self._threads if t.is_alive() and t is not threading.current_thread()]
                opening = [*self._under_way.values()]
            if not left:
                return
            for runner in opening:
                runner.abandon()  # it may have begun on a new process meanwhile
            left[0].join(_LOOKS_AGAIN_S)

    def _loop(self, place: Place, runner: Reopenable) -> None:
        wait_s = FIRST_WAIT_S
        while not self._ended.wait(wait_s):
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            listener = self._listener
            if listener is not None and not listener.may_reopen(place):
                continue
            try:
                runner.reopen()
            except Exception:
                if listener is not None:
                    listener.still_lost(place)
            else:
                self._back(place)
                return

    def _back(self, place: Place) -> None:
        while not self._ended.is_set():
            with self._lock:
                listener = self._listener
                if listener is None:
                    self._under_way.pop(place)
                    self._retired.pop(place, None)
                    return
            if listener.rejoin(place, lambda: self._forget(place)):
                return
            sleep(FIRST_WAIT_S)  # its run is about to leave

    def _forget(self, place: Place) -> None:
        with self._lock:
            self._under_way.pop(place)
