"""What is compiled is the function that was written, also where nothing can be kept."""

from __future__ import annotations

import numba.core.caching
import numpy as np
import pytest

from segsolve.jit import compiled


def _sum(values: np.ndarray) -> int:
    total = 0
    for value in values:
        total += value
    return total


@pytest.mark.parametrize("can_keep", [True, False])
def test_a_function_is_compiled_where_nothing_can_be_kept(can_keep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not can_keep:  # a read-only installation, and no home
        for made in ("CodeLibraryCacheImpl", "CompileResultCacheImpl"):
            monkeypatch.setattr(getattr(numba.core.caching, made), "_locator_classes", [])
        with pytest.raises(RuntimeError):
            numba.njit(cache=True)(_sum)
    assert compiled()(_sum)(np.arange(5)) == 10
