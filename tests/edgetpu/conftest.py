from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segsolve_runtime.compiled import compiled_name

from ..runtime import tiny_model
from ..runtime.plans import write_folder
from ..standins.compiled import compiled
from ..standins.edgetpu import StandIn, build


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in for libedgetpu as a file."""
    return build(tmp_path_factory.mktemp("standin"))


@pytest.fixture
def standin(library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """The stand-in in this process, with usb:0, pci:0 and usb:1."""
    standin = StandIn(library, monkeypatch)
    yield standin
    standin.close()


@pytest.fixture
def plan_folder(tmp_path: Path) -> Path:
    """A plan of three stages with a tensor that skips one, whose segments are compiled."""
    folder = write_folder(tmp_path / "plan", tiny_model.plan(), tiny_model.sketches())
    for k, sketch in enumerate(tiny_model.sketches()):
        (folder / compiled_name(f"segments/{k}.tflite")).write_bytes(compiled(sketch.content))
    return folder
