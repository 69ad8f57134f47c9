"""Calls in a child process: what it returns, raises, and dies of."""

from __future__ import annotations

import os
import time

import pytest

from segsolve_runtime import native


def test_a_call_returns_what_the_function_returns_and_the_child_stays() -> None:
    first, second = native.call("os:getpid"), native.call("os:getpid")
    assert first == second != os.getpid()


def test_a_call_raises_what_the_function_raises() -> None:
    with pytest.raises(FileNotFoundError):
        native.call("os:listdir", "/nowhere/at/all")


def test_a_child_that_ends_itself_is_an_exception_and_the_next_call_has_a_new_one() -> None:
    before = native.call("os:getpid")
    with pytest.raises(native.NativeCrash, match="ends its process with SIGABRT"):
        native.call("os:abort")
    with pytest.raises(native.NativeCrash, match="ends its process with code 3"):
        native.call("os:_exit", 3)
    assert native.call("os:getpid") != before


def leaving_notes(last: str) -> None:
    native.note("at the beginning")
    native.note(last)
    os.write(2, b"a check failed\n")
    os.abort()


def test_a_crash_quotes_the_last_note_and_the_last_complaint() -> None:
    with pytest.raises(native.NativeCrash) as caught:
        native.call(f"{__name__}:leaving_notes", "in operation 3")
    assert (caught.value.where, caught.value.said) == ("in operation 3", "a check failed")


def test_a_child_that_hangs_is_ended() -> None:
    with pytest.raises(native.NativeCrash, match=r"does not end within 0\.3 s"):
        native.call("time:sleep", 60, timeout_s=0.3)


def test_a_note_outside_of_a_child_does_nothing() -> None:
    native.note("nobody reads it")


def test_a_child_that_nobody_calls_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    before = native.call("os:getpid")
    deadline = time.monotonic() + 30
    while native._child is not None and native._child.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert native.call("os:getpid") != before
