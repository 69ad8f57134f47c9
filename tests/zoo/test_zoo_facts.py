"""The list shows what the files are."""

from __future__ import annotations

from pathlib import Path

import pytest

from segsolve.zoo import names
from segsolve.zoo.facts import load, measure

from .files import Content


def test_facts_are_of_every_network() -> None:
    assert list(load()) == list(names()), "run: python -m benchmarks.zoo_facts"


@pytest.mark.parametrize("name", ["resnet50", "mobilenetv2", "inceptionv3", "squeezenet1.1", "nasnetmobile"])
def test_facts_are_those_of_the_file(name: str, content: Content, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(content(name))
    assert load()[name] == measure(path), "run: python -m benchmarks.zoo_facts"
