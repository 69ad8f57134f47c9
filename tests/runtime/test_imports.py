from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("ai_edge_litert", "ortools", "typer", "rich", "segsolve")


def imported_by(statement: str) -> set[str]:
    """Run a statement in a new interpreter; return the top-level modules that are loaded afterwards."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import segsolve_runtime",
        "from segsolve_runtime import Pipeline, load_plan, random_frames, PlanError",
        "import segsolve_runtime.backends.simulated, segsolve_runtime.backends.litert, segsolve_runtime.flow.schedule",
    ],
)
def test_nothing_heavy_is_imported(statement: str) -> None:
    loaded = imported_by(statement)
    assert "segsolve_runtime" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_bare_package_costs_no_library() -> None:
    assert imported_by("import segsolve_runtime").isdisjoint({"numpy", "pydantic"})


def test_every_exported_name_exists_and_no_other() -> None:
    import segsolve_runtime

    assert all(hasattr(segsolve_runtime, name) for name in segsolve_runtime.__all__)
    assert not hasattr(segsolve_runtime, "nothing")
