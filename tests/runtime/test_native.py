"""Calls in a child process: what it returns, raises, and dies of."""

from __future__ import annotations

import os
import threading
import time
from hashlib import sha256
from pathlib import Path

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


@pytest.mark.parametrize("begun", [True, False])
def test_an_interruption_as_a_call_begins_leaves_nothing_to_wait_for(
    begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python waits for threads before it ends, whatever the timer's time; the child may hang."""
    before, start = {*threading.enumerate()}, threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if begun:
            start(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            native.call("time:sleep", 60, timeout_s=3600)
    assert all(thread.daemon for thread in {*threading.enumerate()} - before)
    assert native.call("os:getpid") != os.getpid()


def test_a_note_outside_of_a_child_does_nothing() -> None:
    native.note("nobody reads it")


def test_a_child_that_nobody_calls_ends_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    before = native.call("os:getpid")
    deadline = time.monotonic() + 30
    while native._child is not None and native._child.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert native.call("os:getpid") != before


def test_what_is_to_be_done_beside_a_call_is_done_once_while_the_child_is_at_it(tmp_path: Path) -> None:
    go, done = tmp_path / "go", []

    def work() -> None:
        done.append(threading.current_thread())
        go.touch()

    native.beside(work)
    assert native.call(f"{__name__}:waiting_for", str(go), timeout_s=60)
    native.call("os:getpid")
    assert done == [threading.current_thread()]


def waiting_for(path: str) -> bool:
    while not Path(path).exists():
        time.sleep(0.001)
    return True


def test_files_that_no_pipe_holds_go_through_as_they_are() -> None:
    content = os.urandom(2**22)
    assert native.call(f"{__name__}:hashes", content, "between", content[:1]) == [
        sha256(content).hexdigest(),
        "between",
        sha256(content[:1]).hexdigest(),
    ]


def hashes(*parts: bytes | str) -> list[str]:
    return [sha256(part).hexdigest() if isinstance(part, bytes) else part for part in parts]


def test_an_interruption_beside_a_call_ends_the_child_and_the_next_call_has_its_own_answer() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    native.beside(interrupt)
    with pytest.raises(KeyboardInterrupt):
        native.call(f"{__name__}:hashes", os.urandom(2**22))
    assert native.call("os.path:basename", "a/b") == "b"
