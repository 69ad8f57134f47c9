"""Compiled models and plans: what was predicted of a segment, what the compiler says, and what its files hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from segsolve.compiler.coral import Breach
from segsolve.compiler.log import Report
from segsolve.compiler.package import CompiledModel, Executable, Kind
from segsolve.compiler.refine import End, Refinement, Round
from segsolve.compiler.truth import AGREEMENT_BYTES, StageTruth
from segsolve.report.grid import Grid
from segsolve.report.table import GOOD
from segsolve.report.units import count, fps, mib, ms, size
from segsolve_runtime.contract.compiled import CompileRecord
from segsolve_runtime.contract.document import jsonable, members
from segsolve_runtime.contract.plan import Plan, Stage
from segsolve_runtime.contract.wording import percent

_DIFFERENT = "yellow"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPlan:
    """What there is to show: the plan as it is now, and the rounds that led to it.

    Reports and what was read of the compiled files are by segment file; not every file can be read.
    """

    plan: Plan
    compiler: str
    reports: Mapping[str, Report]
    codes: Mapping[str, CompiledModel]
    refinement: Refinement | None
    note: str

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages that have a segment of their own, each once."""
        return tuple({stage.file: stage for stage in self.plan.all_stages}.values())

    def truth(self, stage: Stage) -> StageTruth | None:
        """Return what is known of a stage if the loop ran."""
        return self.refinement.truths.get(stage.ops) if self.refinement else None


def compiled_document(done: CompiledPlan, record: CompileRecord) -> dict[str, Any]:
    """Return a compilation as a JSON document; ns and bytes."""
    return {
        "model": done.plan.model.name,
        "compiler": done.compiler,
        "segments": [_stage_document(done, stage) for stage in done.stages if stage.file in done.reports],
        "files": [segment.file for segment in record.segments],
        "rounds": [_round_document(r) for r in done.refinement.rounds] if done.refinement else [],
        "ended": done.refinement.end if done.refinement else End.NOT_ASKED,
        "throughput_fps": {
            "predicted": done.plan.solution.throughput_fps,
            "corrected": done.refinement.best.corrected.throughput_fps if done.refinement else None,
        },
        "note": done.note or None,
    }


def compiled_table(done: CompiledPlan) -> RenderableType:
    """Return one row per segment, and sentences on the whole."""
    table = Grid(
        f"{done.plan.model.name}: {count(len(done.reports), 'segment')} compiled by edgetpu_compiler {done.compiler}",
        *("segment", "operations", "on chip\npredicted", "MiB\ncompiler", "free\nMiB"),
        *("streamed\npredicted", "MiB\ncompiler", "predicted\nms", "corrected\nms", "on CPU"),
        left=("operations",),
        optional=("free\nMiB", "operations"),
    )
    for k, stage in enumerate(done.stages):
        table.add_row(str(k), *_cells(done, stage))
    return Group(table, *map(Text, _verdict(done)))


def model_document(model: CompiledModel) -> dict[str, Any]:
    """Return a compiled model as a JSON document; bytes."""
    return {
        "model": model.name,
        "compiled": True,
        "file_bytes": model.file_bytes,
        **executables_document(model),
        **members(model, "on_host"),
    }


def executables_document(model: CompiledModel) -> dict[str, Any]:
    """Return what a compiled file's executables take, in all and each; bytes."""
    return {
        **members(model, "cached_bytes", "streamed_bytes", "instruction_bytes", "activation_bytes"),
        "packages": [
            {
                "min_runtime_version": package.min_runtime_version,
                "compiler_version": package.compiler_version or None,
                "executables": [_executable_document(e) for e in package.executables],
            }
            for package in model.packages
        ],
    }


def model_table(model: CompiledModel) -> RenderableType:
    """Return what a compiled model holds, a row per fact."""
    facts = Table(
        box=None, show_header=False, title=Text(model.name, style="bold"), title_justify="left", title_style="bold"
    )
    facts.add_column(style="cyan", no_wrap=True)
    facts.add_column()
    for name, fact in _code_facts(model):
        facts.add_row(name, Text(fact))
    return facts


def coral_text(found: Sequence[Breach]) -> str:
    """Return what keeps a plan from the vendor's runner, a line each."""
    if not found:
        return "The plan fits the vendor's PipelinedModelRunner: give it the compiled segments in their order."
    lines = [f"{breach.rule}: {breach.text}; {breach.consequence}." for breach in found]
    return "\n".join(
        [f"The vendor's PipelinedModelRunner cannot run the plan ({count(len(found), 'restriction')}):", *lines]
    )


def coral_document(found: Sequence[Breach]) -> dict[str, Any]:
    """Return the same as a JSON document."""
    return {"fits": not found, "breaches": found}


def round_news(done: Round) -> str:
    """Return a line of news on a round."""
    return (
        f"compiled {count(done.compiled, 'segment')}: {fps(done.predicted.throughput_fps)} inferences per second "
        f"predicted, {fps(done.corrected.throughput_fps)} with the compiler's figures"
    )


def _code_facts(model: CompiledModel) -> Iterable[tuple[str, str]]:
    yield "file", f"{size(model.file_bytes)}, compiled for the Edge TPU"
    for package in model.packages:
        version = package.compiler_version or "version not in the file"
        yield "compiler", f"{version}; needs an Edge TPU runtime of version {package.min_runtime_version} or newer"
        yield "executables", ", ".join(_KIND[e.kind] for e in package.executables)
    yield "weights", f"{model.cached_bytes:,} bytes cached, {model.streamed_bytes:,} streamed with every inference"
    yield "instructions", f"{model.instruction_bytes:,} bytes with every inference"
    yield "activations", f"{model.activation_bytes:,} bytes on chip"
    for e in model.inferring:
        yield "transfers", f"{e.input_bytes:,} bytes in, {e.output_bytes:,} out with every inference"
        if e.scratch_bytes:
            yield (
                "host scratch",
                f"{e.scratch_bytes:,} bytes of activations; {e.scratch_in_bytes:,} in and {e.scratch_out_bytes:,} out",
            )
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(model.on_host).most_common())
    yield "on the host", kinds or "no operation"


def _executable_document(e: Executable) -> dict[str, Any]:
    return {**jsonable(e), "kind": e.kind.name.lower()}


_KIND = {
    Kind.ALONE: "one that streams all weights",
    Kind.CACHING: "one that fills the cache",
    Kind.EXECUTION: "one that infers",
}


def _cells(done: CompiledPlan, stage: Stage) -> Iterable[str | Text]:
    yield ", ".join(f"{first}-{last}" for first, last in stage.op_ranges)
    report, truth, predicted = done.reports.get(stage.file), done.truth(stage), stage.prediction
    if report is None:
        yield from ("CPU",)
        return
    yield mib(predicted.onchip_bytes)
    yield _differing(report.onchip_bytes, predicted.onchip_bytes)
    yield "?" if report.onchip_free_bytes is None else mib(report.onchip_free_bytes)
    yield mib(predicted.offchip_bytes)
    yield _differing(report.offchip_bytes, predicted.offchip_bytes)
    yield ms(truth.predicted.modelled_ns if truth else predicted.time_ns)
    yield ms(truth.time_ns) if truth else "?"
    fallen_back = sum(mapping.count for mapping in report.fallen_back)
    yield Text(str(fallen_back), style=_DIFFERENT) if fallen_back else Text("0", style=GOOD)


def _differing(found: int | None, predicted: int) -> Text:
    if found is None:
        return Text("?")
    return Text(mib(found), style=GOOD if abs(found - predicted) <= AGREEMENT_BYTES else _DIFFERENT)


def _verdict(done: CompiledPlan) -> Iterable[str]:
    for k, stage in enumerate(done.stages):
        report = done.reports.get(stage.file)
        for mapping in report.fallen_back if report else ():
            yield f"Segment {k}: {mapping.count} x {mapping.kind} on the CPU: {mapping.status}."
        if (truth := done.truth(stage)) and truth.fallback_ns:
            yield f"Segment {k}: on the CPU these take {ms(truth.fallback_ns)} ms longer than predicted on the TPU."
    if done.refinement is None:
        yield f"The predictions stay as they were: {done.note}."
        return
    first, best = done.refinement.rounds[0], done.refinement.best
    yield (
        f"{fps(first.predicted.throughput_fps)} inferences per second were predicted, "
        f"{fps(first.corrected.throughput_fps)} with what the compiler streams and leaves to the CPU."
    )
    if best is not first:
        gain = best.corrected.throughput_fps / first.corrected.throughput_fps - 1
        yield (
            f"Solved again {count(len(done.refinement.rounds) - 1, 'time')}: a better plan, "
            f"{fps(best.corrected.throughput_fps)} as compiled, {percent(gain)} more."
        )
    yield _END[done.refinement.end] + (f": {done.note}." if done.refinement.end is End.NOT_ASKED else "")


_END = {
    End.STANDS: "The plan stands: under the compiler's figures no other is predicted to be faster.",
    End.WITHOUT_GAPS: "The plan stands among those without gaps in their stages: the solver cannot be told more.",
    End.LIMIT: "The limit of rounds came first: a better plan may exist.",
    End.NOT_ASKED: "It was not solved again",
}


def _stage_document(done: CompiledPlan, stage: Stage) -> dict[str, Any]:
    report, truth, predicted = done.reports[stage.file], done.truth(stage), stage.prediction
    return {
        "segment": stage.file,
        "op_ranges": stage.op_ranges,
        "predicted": {
            **members(predicted, "onchip_bytes", "offchip_bytes"),
            "time_ns": truth.predicted.modelled_ns if truth else predicted.time_ns,
        },
        "compiler": {
            **members(report, "onchip_bytes", "onchip_free_bytes", "offchip_bytes", "subgraphs"),
            "operations": [members(m, "kind", "count", "status", "on_tpu") for m in report.operations],
        },
        "file": executables_document(code) if (code := done.codes.get(stage.file)) else None,
        **members(truth, "fallback_ns"),
        "corrected_ns": truth.time_ns if truth else None,
    }


def _round_document(done: Round) -> dict[str, Any]:
    return {
        "layout": done.plan.layout,
        "stages": [s.op_ranges for p in done.plan.pipelines for s in p.stages],
        "predicted_ns": done.predicted.period_ns,
        "corrected_ns": done.corrected.period_ns,
        "compiled": done.compiled,
    }
