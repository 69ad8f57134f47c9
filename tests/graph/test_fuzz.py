"""Damaged files neither crash nor hang the reader, nor what comes behind it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import residual_net
from tests.shared import MODELS

SCRIPT = Path(__file__).with_name("fuzz.py")
VARIANTS = 400


def read_variants(model: Path, variants: int) -> int:
    """Return how many of the variants were read; the others were refused."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(model), str(variants)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


def test_flipped_bytes_in_a_small_network(tmp_path: Path) -> None:
    read = read_variants(residual_net().write(tmp_path), VARIANTS)
    assert VARIANTS / 20 < read < VARIANTS / 2  # flips in names, weights and scales do no harm


def test_flipped_bytes_in_a_real_model(tmp_path: Path) -> None:
    source = MODELS / "mobilenet_v1_0.25_128_quant.tflite"
    if not source.exists():
        pytest.skip(f"{source.name} is not at hand; set SEGSOLVE_MODELS")
    model = tmp_path / source.name
    model.write_bytes(source.read_bytes())
    assert 0 < read_variants(model, 60) <= 60
