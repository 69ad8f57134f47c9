"""What a profile says, in a few lines; the file has it all."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from segsolve.profile.format import Layer, Profile
from segsolve.report.grid import Grid
from segsolve.report.units import count, ms, short
from segsolve_runtime.contract.document import members
from segsolve_runtime.contract.wording import percent

_SHOWN = 5


def profile_document(profile: Profile) -> dict[str, Any]:
    """Return totals of a profile as a JSON document."""
    whole = _whole_ns(profile)
    return {
        "model": profile.model.name if profile.model else None,
        "device": profile.device.name,
        "layers": len(profile.layers),
        "layers_ns": _layers_ns(profile),
        "overhead_ns": profile.device.overhead_ns,
        "whole_ns": whole,
        **members(profile, "segments", "environment"),
    }


def profile_table(profile: Profile) -> RenderableType:
    """Return the slowest layers, and how the layers' sum compares with the whole model."""
    name = profile.model.name if profile.model else "profile"
    table = Grid(
        f"{name} on {profile.device.name}: the slowest of {count(len(profile.layers), 'layer')}, measured",
        *("layer", "ms", "share", "spread"),
    )
    total = max(1, _layers_ns(profile))
    for layer in sorted(profile.layers, key=lambda layer: -layer.time_ns)[:_SHOWN]:
        table.add_row(short(layer.name, 47), ms(layer.time_ns), percent(layer.time_ns / total), _spread(layer))
    return Group(table, Text(_sum(profile)))


def segments_table(profile: Profile) -> RenderableType:
    """Return the measured segments."""
    name = profile.model.name if profile.model else "profile"
    table = Grid(
        f"{name} on {profile.device.name}: {count(len(profile.segments), 'segment')}, measured",
        *("operations", "ms", "spread", "runs"),
    )
    for segment in profile.segments:
        known = segment.statistics
        spread = percent(known.spread_ns / known.median_ns) if known and known.median_ns else "-"
        runs = str(known.runs) if known else "-"
        table.add_row(f"{segment.first_op}-{segment.last_op}", ms(segment.time_ns), spread, runs)
    text = f"All else as predicted, times {profile.scale:.3f}: the median of measured over predicted."
    return Group(table, Text(text))


def _sum(profile: Profile) -> str:
    whole = _whole_ns(profile)
    parts = _layers_ns(profile) + profile.device.overhead_ns
    text = f"All layers and one invocation: {ms(parts)} ms"
    return f"{text}; the whole model, measured: {ms(whole)} ms." if whole is not None else f"{text}."


def _layers_ns(profile: Profile) -> int:
    return sum(layer.time_ns for layer in profile.layers)


def _whole_ns(profile: Profile) -> int | None:
    last = len(profile.layers) - 1
    return next((s.time_ns for s in profile.segments if (s.first_op, s.last_op) == (0, last)), None)


def _spread(layer: Layer) -> str:
    known = layer.statistics
    return percent(known.spread_ns / max(1, known.median_ns)) if known else "-"
