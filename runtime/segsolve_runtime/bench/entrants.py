"""The plans that a benchmark is given: folders of plans, or folders that hold such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from segsolve_runtime.bench.turns import Entrant
from segsolve_runtime.contract.files import is_folder, is_there
from segsolve_runtime.contract.plan import PLAN_FILE, is_pool, load_plan
from segsolve_runtime.contract.pool import PoolFolder, load_pool
from segsolve_runtime.errors import PlanError


def entrants_of(paths: Sequence[Path]) -> list[Entrant]:
    """Load plans; a folder without a plan stands for those in it, such as a shortlist of ``segsolve solve --within``.

    Raises:
        PlanError: one cannot be used, or pools serve other models, or in another proportion.
    """
    found = [
        Entrant(name=str(path), folder=load_pool(path) if is_pool(path) else load_plan(path))
        for path in dict.fromkeys(plan_folders(paths))
    ]
    pools = [(one, _served(one)) for one in found if isinstance(one.folder, PoolFolder)]
    for other in found if pools else ():
        if _served(other) != pools[0][1]:
            raise PlanError(f"{pools[0][0].name} and {other.name} do not serve the same models in one proportion")
    return found


def _served(entrant: Entrant) -> dict[str, int]:
    """Return what a period of an entrant has: how many inferences of each model, which is known by its content."""
    folder = entrant.folder
    if isinstance(folder, PoolFolder):
        weights = [model.weight for model in folder.pool.models]
        return {plan.plan.model.sha256: weight for plan, weight in zip(folder.plans, weights, strict=True)}
    return {folder.plan.model.sha256: 1}


def plan_folders(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the folders of plans that paths stand for."""
    for path in paths:
        inside = sorted(child.parent for child in path.glob(f"*/{PLAN_FILE}")) if is_folder(path) else []
        if inside and not is_there(path / PLAN_FILE) and not is_pool(path):
            yield from inside
        else:
            yield path
