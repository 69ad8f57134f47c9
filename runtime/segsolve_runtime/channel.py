"""A bounded first-in-first-out queue between two workers that also carries the times of its events."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Generic, TypeVar

from segsolve_runtime.errors import ClosedError

T = TypeVar("T")
E = TypeVar("E")


class Channel(Generic[T]):
    """Carries items one way and the times at which slots were freed the other way.

    Every time is computed from times that came through channels, never from the moment at which a thread
    happened to wake up: with virtual clocks the outcome is the same however the threads are scheduled.
    """

    __slots__ = ("_closed", "_free", "_items")

    def __init__(self, capacity: int) -> None:
        self._items: SimpleQueue[tuple[T, int] | None] = SimpleQueue()
        self._free: SimpleQueue[int | None] = SimpleQueue()
        self._closed = False
        for _ in range(capacity):
            self._free.put(0)

    def put(self, item: T, at_ns: int) -> int:
        """Wait for a free slot, put `item` there, and return when that was: in ns, not before `at_ns`.

        Raises:
            ClosedError: the channel is closed.
        """
        put_ns = max(at_ns, self._take(self._free))
        self._items.put((item, put_ns))
        return put_ns

    def get(self) -> tuple[T, int]:
        """Wait for the oldest item; return it with the time in ns at which it was put.

        Its slot stays taken until `free` is called.

        Raises:
            ClosedError: the channel is closed.
        """
        return self._take(self._items)

    def free(self, at_ns: int) -> None:
        """Tell that the oldest taken slot became free at `at_ns`."""
        self._free.put(at_ns)

    def has_item(self) -> bool:
        """Tell whether `get` would return without waiting."""
        return not self._items.empty()

    def close(self) -> None:
        """Make every present and future `put` and `get` raise; what the channel holds is lost."""
        self._closed = True
        self._items.put(None)
        self._free.put(None)

    def _take(self, queue: SimpleQueue[E | None]) -> E:
        entry = queue.get()
        if self._closed or entry is None:
            queue.put(entry)  # wakes whoever comes next
            raise ClosedError("the pipeline was closed, or another map was begun, before this map ended")
        return entry
