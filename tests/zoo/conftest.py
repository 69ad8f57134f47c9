"""Networks are built once per session: their tests only read them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from segsolve import zoo
from segsolve.graph import flatbuffer

from .files import Content, Model


@pytest.fixture(scope="session")
def content() -> Content:
    """Give the file of a network, seed 0."""
    return cache(zoo.build)


@pytest.fixture(scope="session")
def model(content: Content) -> Model:
    """Give the ``ModelT`` of a network, seed 0."""
    return cache(lambda name: flatbuffer.unpack(content(name), Path(name)))
