"""What is compiled is the function that was written, also where nothing can be kept."""

from __future__ import annotations

from pathlib import Path
from runpy import run_path

import numba.core.caching
import numpy as np
import pytest

from segsolve.jit import announced, compiled

MODULE = """
from segsolve.jit import compiled

@compiled()
def more(number):
    return number + 1

@compiled()
def less(number):
    return number - 1
"""


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


def test_compiling_is_said_once_and_only_where_nothing_was_kept(tmp_path: Path) -> None:
    module, said = tmp_path / "module.py", list[int]()
    module.write_text(MODULE, encoding="utf-8")
    for wanted in (1, 1):  # the second time, both are kept beside the module
        with announced(lambda: said.append(1)):
            found = run_path(str(module))
            assert (found["more"](1), found["less"](1)) == (2, 0)
        assert len(said) == wanted
