"""Where real models and measurements lie, for those who have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"
MODELS = Path(os.environ.get("SEGSOLVE_MODELS", _SHARED / "models"))
MEASUREMENTS = Path(os.environ.get("SEGSOLVE_EDGETPU", _SHARED / "edgetpu"))


def real_models() -> list[object]:
    """The quantised models that are not compiled, as pytest parameters; one that skips if there are none."""
    paths = sorted(p for p in MODELS.glob("*.tflite") if not p.stem.endswith("_edgetpu"))
    if not paths:
        return [pytest.param(None, marks=pytest.mark.skip(reason="no models: set SEGSOLVE_MODELS to a folder of some"))]
    return [pytest.param(path, id=path.stem) for path in paths]
