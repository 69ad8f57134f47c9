"""What a run of a pool's plan measured, as profiles: one for each model on each kind of device that it ran on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.library.pool_again import question_of

if TYPE_CHECKING:
    from segsolve.profile.format import Profile
    from segsolve_runtime.contract.pool import PoolFolder
    from segsolve_runtime.flow.metrics import Metrics

Place = tuple[int, int]
"""The numbers of a kind and of a model."""


def profiles_of_run(
    folder: PoolFolder, metrics: Mapping[str, Metrics], backend: str, models: Path | None
) -> dict[Place, Profile]:
    """Return the costs that a run corrects.

    Raises:
        UsageError, ModelError, DeviceError: what the plan was made from is not there.
    """
    from segsolve.measure.run_profile import OnKind, profile_of_run

    asked, file = question_of(folder, models=models), folder.pool
    costs = asked.named.costs()
    found: dict[Place, Profile] = {}
    for m, (model, plan, loaded) in enumerate(zip(file.models, folder.plans, asked.models, strict=True)):
        places = [(p, s) for p, own in enumerate(plan.plan.pipelines) for s in range(len(own.stages))]
        homes = {(place.pipeline, place.stage): d for place, d in folder.device_of(model.name).items()}
        shared = frozenset(n for n, place in enumerate(places) if len(file.devices[homes[place]].residents) > 1)
        for k, kind in enumerate(file.kinds):
            stages = frozenset(n for n, place in enumerate(places) if file.devices[homes[place]].kind == k)
            if stages:
                problem = costs[k](loaded.graph).problem(tpus=kind.count)
                on = OnKind(device=kind.name, stages=stages, shared=shared)
                found[k, m] = profile_of_run(loaded.graph, problem, plan.plan, metrics[model.name], backend, on)
    return found


def pool_text(folder: PoolFolder, profiles: Mapping[Place, Path]) -> str:
    """Return what `--pool` takes for the pool of a plan with profiles."""
    from segsolve.profile.load import kind_parts

    parts = []
    for k, kind in enumerate(folder.pool.kinds):
        device, *before = kind_parts(kind.device)
        own = [str(path) for (kind_number, _), path in profiles.items() if kind_number == k]
        parts.append("+".join(dict.fromkeys((device, *own, *before))) + f":{kind.count}")
    return ",".join(parts)
