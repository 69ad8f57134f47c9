from __future__ import annotations

from pathlib import Path

import pytest

from generators.runtime_plans import write_folder
from segsolve_runtime.contract.compiled import compiled_name

from ..runtime import tiny_model
from ..standins.compiled import compiled


@pytest.fixture
def plan_folder(tmp_path: Path) -> Path:
    """A plan of three stages with a tensor that skips one, whose segments are compiled."""
    folder = write_folder(tmp_path / "plan", tiny_model.plan(), tiny_model.sketches())
    for k, sketch in enumerate(tiny_model.sketches()):
        (folder / compiled_name(f"segments/{k}.tflite")).write_bytes(compiled(sketch.content))
    return folder
