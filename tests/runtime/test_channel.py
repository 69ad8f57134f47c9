from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from segsolve_runtime.channel import Channel
from segsolve_runtime.errors import ClosedError

PATIENCE_S = 30


def test_items_come_out_in_order_with_the_times_they_went_in() -> None:
    channel: Channel[str] = Channel(2)
    assert (channel.put("a", 3), channel.put("b", 5)) == (3, 5)
    assert (channel.get(), channel.get()) == (("a", 3), ("b", 5))


def test_a_put_is_no_earlier_than_the_freeing_of_its_slot() -> None:
    channel: Channel[str] = Channel(1)
    channel.put("a", 1)
    channel.get()
    channel.free(7)
    assert channel.put("b", 2) == 7
    channel.get()
    channel.free(8)
    assert channel.put("c", 9) == 9


def test_an_item_that_was_got_keeps_its_slot_until_it_is_freed() -> None:
    channel: Channel[str] = Channel(1)
    channel.put("a", 0)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(channel.put, "b", 0)
        channel.get()
        assert not channel.has_item()
        channel.free(4)
        assert second.result(PATIENCE_S) == 4
    assert channel.has_item()


def test_closing_wakes_every_waiting_put() -> None:
    channel: Channel[str] = Channel(1)
    channel.put("a", 0)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(channel.put, "b", 0) for _ in range(3)]
        channel.close()
        for future in waiting:
            with pytest.raises(ClosedError):
                future.result(PATIENCE_S)


def test_closing_wakes_every_waiting_get() -> None:
    channel: Channel[str] = Channel(1)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(channel.get) for _ in range(3)]
        channel.close()
        for future in waiting:
            with pytest.raises(ClosedError):
                future.result(PATIENCE_S)


def test_a_closed_channel_gives_nothing_out_and_takes_nothing() -> None:
    channel: Channel[str] = Channel(2)
    channel.put("a", 0)
    channel.close()
    channel.close()
    for _ in range(3):
        with pytest.raises(ClosedError):
            channel.get()
        with pytest.raises(ClosedError):
            channel.put("b", 0)
