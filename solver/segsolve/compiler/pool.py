"""Compiles a pool's plan: the residents of each device in one go, in their order."""

from __future__ import annotations

from dataclasses import dataclass

from segsolve.compiler.build import write_compiled
from segsolve.compiler.run import Compiled, Compiler
from segsolve_runtime.contract.plan import Stage
from segsolve_runtime.contract.pool import PoolFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledResident:
    """A compiled stage on its device, with the bytes that the compiler keeps on chip and those that were predicted."""

    device: str
    model: str
    stage: int
    predicted_onchip_bytes: int
    predicted_offchip_bytes: int
    compiled: Compiled


def compile_pool(folder: PoolFolder, compiler: Compiler) -> list[CompiledResident]:
    """Compile the residents of each device together, and write the results into the folders of the models' plans.

    Raises:
        CompilerError: the residents of a device cannot be compiled, or not in time.
        OutputError: a folder cannot be written.
    """
    plans = {model.name: plan for model, plan in zip(folder.pool.models, folder.plans, strict=True)}
    made: dict[str, dict[str, Compiled]] = {name: {} for name in plans}
    found: list[CompiledResident] = []
    groups: set[tuple[tuple[str, str], ...]] = set()
    for device in folder.pool.devices:
        stages: list[Stage] = [plans[r.model].plan.pipelines[r.pipeline].stages[r.stage] for r in device.residents]
        names = [resident.model for resident in device.residents]
        group = tuple((name, stage.file) for name, stage in zip(names, stages, strict=True))
        if group and group not in groups:
            groups.add(group)
            files = [plans[name].root / stage.file for name, stage in zip(names, stages, strict=True)]
            for name, stage, compiled in zip(names, stages, compiler.compile_together(files), strict=True):
                made[name][stage.file] = compiled
        found += [
            CompiledResident(
                device=device.name,
                model=resident.model,
                stage=resident.stage,
                predicted_onchip_bytes=stage.prediction.onchip_bytes,
                predicted_offchip_bytes=stage.prediction.offchip_bytes,
                compiled=made[resident.model][stage.file],
            )
            for resident, stage in zip(device.residents, stages, strict=True)
        ]
    for name, plan in plans.items():
        write_compiled(plan, made[name], compiler.version)
    return found
