"""What a batch tells while it runs."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from segsolve.batch.run import News
from segsolve.cli.batch_progress import batch_progress as shown


def news(done: int, *, before: int = 0, failed: int = 0, total: int = 100, task: str = "solving") -> News:
    return News(task=task, latest="net", done=done, total=total, before=before, failed=failed)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("segsolve.cli.batch_progress.time.monotonic", lambda: now[0])
    return now


def test_a_line_now_and_then_with_the_time_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as observe:
        for second in range(101):
            clock[0] = 1000.0 + second / 4
            observe(news(second, failed=second // 40))
    assert capsys.readouterr().err.splitlines() == [
        "solving: 40 of 100, 1 failed, about 15 s left",
        "solving: 80 of 100, 2 failed, about 5 s left",
        "solving: 100 of 100, 2 failed",
    ]


def test_the_time_left_does_not_grow(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as observe:
        observe(news(0))
        for done in (10, 20, 30, 40):  # ever slower
            clock[0] += 10 * done
            observe(news(done))
    said = [line.rpartition("about ")[2] for line in capsys.readouterr().err.splitlines()]
    assert said == ["15 min left"] * 4


def test_what_was_done_before_does_not_count_as_fast(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as observe:
        observe(news(80, before=80))
        clock[0] += 20
        observe(news(90, before=80))
    assert capsys.readouterr().err.splitlines() == [
        "80 of 100 jobs were done before",
        "solving: 90 of 100, about 20 s left",
    ]


def test_a_phase_follows_another(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as observe:
        for task in ("building", "solving"):
            observe(news(0, total=2, task=task))
            observe(news(2, total=2, task=task))
    assert capsys.readouterr().err.splitlines() == ["building: 2 of 2", "solving: 2 of 2"]


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr("segsolve.cli.terminal.Terminal", lambda **_: terminal)
    with shown() as observe:
        observe(news(3, total=3, task="building"))
        observe(news(40, failed=2))
    assert "building" in screen.getvalue()
    assert "solving, 2 failed" in screen.getvalue()
    assert "40/100" in screen.getvalue()
