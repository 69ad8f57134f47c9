"""Reports as one self-contained HTML file: no network, no font or script but its own."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from segsolve.report import explain, gantt, palette, units
from segsolve.report import strip as strips
from segsolve.report.asked import asked_for
from segsolve.report.bars import scale_of
from segsolve.report.front import Point, plot_svg
from segsolve.report.layout import operations
from segsolve.report.plan_view import Details, Layer, PlanView
from segsolve.report.start import first_result_words
from segsolve.report.strategy import StrategyView
from segsolve.report.units import sentence
from segsolve.search.strategies import VENDOR
from segsolve.version import __version__
from segsolve_runtime.contract.start import first_result
from segsolve_runtime.contract.wording import percent

_ASSETS = resources.files("segsolve.report") / "assets"


def plan_html(view: PlanView) -> str:
    """Return the report of a plan as an HTML document."""
    return environment().get_template("plan.html.j2").render(plan_figures(view))


def plan_figures(view: PlanView) -> dict[str, Any]:
    """Return everything that the templates of a plan draw."""
    details = view.details
    others = _others(view, details) if details else []
    vendor = next((s for s in others if s.key == VENDOR), None)
    title = explain.title_of(view.strategy, view)
    scale = scale_of(view.strategy, others)
    inferences = gantt.shown_inferences(max(len(s.rows) for s in (view.strategy, *others)))
    timelines = gantt.predicted([view.strategy, *([vendor] if vendor else [])], inferences)
    titles = explain.TITLES | {s.key: explain.title_of(s, view) for s in others}
    stages = [stage for s in (view.strategy, *others[:1]) for stage in s.stages]
    return {
        "view": view,
        "plan_title": title,
        "titles": titles,
        "rules": explain.RULES,
        "explanation": explain.explain(view),
        "corrected": any(stage.score.correction_ns for s in (view.strategy, *others) for stage in s.stages),
        "asked": asked_for(view.plan.solution),
        "first": first_result_words(first) if (first := first_result(view.plan)) else "",
        "unused": 0 if view.plan.solution.point else view.plan.solution.tpus_requested - len(view.strategy.devices),
        "others": others,
        "vendor": vendor,
        "vendor_gain": vendor.period_ns / view.strategy.period_ns if vendor else None,
        "one_gain": details.one_tpu.time_ns / view.strategy.period_ns if details else None,
        "plan_bars": scale.bars(title, view.strategy),
        "other_bars": {s.key: scale.bars(titles[s.key], s) for s in others},
        "plan_gantt": timelines[0],
        "vendor_gantt": timelines[-1],
        "longest": max(1, *(stage.score.time_ns for stage in stages)),
        "front": _front(view),
        **_measured(view, inferences),
        **(_strip(view, details, others, titles) if details else {"strip": None, "more_lanes": ()}),
    }


@cache
def environment() -> Environment:
    """Return the templates' environment, in which every value is escaped unless a template made it."""
    made = Environment(
        loader=FunctionLoader(lambda name: (_ASSETS / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    made.globals["version"] = __version__
    made.filters |= {name: getattr(units, name) for name in ("first_name", "fps", "mib", "ms", "size", "times")}
    made.filters |= {"percent": percent, "amount": _amount, "kib": _kib, "over": _over}
    made.filters |= {"hue": palette.hue, "dotted": palette.is_dotted}
    made.filters |= {"operations": operations, "sentence": sentence}
    return made


def _front(view: PlanView) -> str | None:
    """Return the front that the plan is a point of, drawn."""
    solution = view.plan.solution
    if not solution.points:
        return None
    fastest = max(range(len(solution.points)), key=lambda k: solution.points[k].throughput_fps)
    chosen = fastest if solution.point is None else solution.point - 1
    points = [
        Point(
            number=k + 1,
            tpus=p.tpus,
            layout=p.layout,
            fps=p.throughput_fps,
            latency_ns=p.latency_ns,
            is_chosen=k == chosen,
        )
        for k, p in enumerate(solution.points)
    ]
    return plot_svg(points)


def _others(view: PlanView, details: Details) -> list[StrategyView]:
    """Return the other strategies, the vendor's first; a proven single pipeline needs no second optimum."""
    is_it = view.is_optimal and view.strategy.is_chain and view.plan.solution.objective == "throughput"
    return [s for s in details.others if not (s.key == "optimum" and is_it)]


def _measured(view: PlanView, inferences: int) -> dict[str, Any]:
    m = view.measurement
    if m is None:
        return {"measured_gantt": None, "measured_on": ""}
    where = f"the {m.backend} backend's virtual clock" if m.times == "virtual" else f"{m.backend}, {m.machine}"
    return {
        "measured_gantt": gantt.measured(m, view.strategy, inferences) if m.timeline else None,
        "measured_on": where,
    }


def _strip(view: PlanView, details: Details, others: list[StrategyView], titles: dict[str, str]) -> dict[str, Any]:
    strip = strips.make_strip(details)
    titled = [("", "this plan", view.strategy), *((s.key, titles[s.key], s) for s in others)]
    plan_lane, *more_lanes = strip.lanes(view.strategy)
    return {
        "strip": strip,
        "plan_lane": plan_lane,
        "more_lanes": more_lanes,
        "lanes": [strip.lane(strategy) for strategy in others],
        "data": {
            "operations": [_facts(layer) for layer in details.layers],
            "edges": {"time": strip.time_edges, "weights": strip.weight_edges},
            "strategies": [lane for key, title, s in titled for lane in _owners(key, title, s, len(details.layers))],
            "slowest": max(details.layers, key=lambda layer: layer.compute_ns).position,
            "shortLabel": strips.SHORT_LABEL,
            "longLabel": strips.LONG_LABEL,
        },
    }


def _owners(key: str, title: str, strategy: StrategyView, operations: int) -> list[dict[str, Any]]:
    """Return for each distinct pipeline which of its stages has which operation."""
    return [
        {
            "key": key,
            "title": title,
            "names": [strategy.full_name(stage) for stage in pipeline.stages],
            "owner": [next(s.place for s in pipeline.stages if i in s.ops) for i in range(operations)],
            "spilled": [i for stage in pipeline.stages for i in stage.spilled_ops],
        }
        for pipeline in strategy.pipelines
    ]


def _facts(layer: Layer) -> tuple[str, ...]:
    """Return what a reader is told of an operation, in the order that plan.js expects."""
    return (
        layer.title,
        layer.kind,
        " × ".join(map(str, layer.shape)),
        _amount(layer.weight_bytes),
        f"{units.ms(layer.compute_ns)} ms",
        f"{units.ms(layer.streamed_ns)} ms" if layer.weight_bytes else "–",
        f"{layer.macs / 1e6:,.1f} million" if layer.macs else "–",
    )


def _amount(nbytes: int) -> str:
    return units.size(nbytes) if nbytes else "none"


def _kib(nbytes: int) -> str:
    return f"{nbytes / 1024:,.1f}"


def _over(best_ns: int, ns: int) -> str:
    return "–" if ns == best_ns else f"{100 * (ns / best_ns - 1):+.1f} %"
