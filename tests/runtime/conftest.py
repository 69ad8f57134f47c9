from __future__ import annotations

from collections.abc import Iterator

import pytest

from .runners import stage_threads


@pytest.fixture
def leaves_no_thread() -> Iterator[None]:
    yield
    assert stage_threads() == []
