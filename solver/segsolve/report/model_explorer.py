"""A plan as node data for Google's Model Explorer: its nodes coloured by the TPU, or the CPU stage, that runs them.

Where several pipelines differ, a node names its stage in each and has the colour of the first.

Format: ``GraphNodeData`` of ai-edge-model-explorer (node_data_builder.py). A node's key is its id, which Model
Explorer's reader of .tflite files takes from the operator's place in the file.
"""

from __future__ import annotations

import json
from typing import Any

from segsolve.report import palette
from segsolve.report.plan_view import Layer, PlanView
from segsolve.report.strategy import StageView, StrategyView
from segsolve.report.units import sentence


def node_data(view: PlanView) -> dict[str, Any]:
    """Return the node data of a plan whose layers are known."""
    layers = view.details.layers if view.details else ()
    results = {str(layer.file_index): _result(layer, view.strategy) for layer in layers}
    return {
        "name": f"TPU ({view.title}, {_what(view.strategy)})",
        "results": results,
        "showExpandedSummaryOnGroupNode": True,
        "showLabelCountColumnsInChildrenStatsTable": True,
    }


def node_data_json(view: PlanView) -> str:
    """Return the text of a node data file."""
    return json.dumps(node_data(view), indent=1) + "\n"


def _what(strategy: StrategyView) -> str:
    if strategy.is_plain:
        return f"{len(strategy.stages)} stages"
    pipelines = "1 pipeline" if len(strategy.order) == 1 else f"{len(strategy.order)} pipelines"
    return f"{pipelines} on {strategy.hardware}"


def _result(layer: Layer, strategy: StrategyView) -> dict[str, str]:
    stages = [stage for stage in strategy.stages if layer.position in stage.ops]
    hue = palette.hue(stages[0].number)
    return {
        "value": sentence(", ".join(_place(layer, stage, strategy) for stage in stages)),
        "bgColor": palette.FILLS[hue],
        "textColor": palette.INKS[hue],
    }


def _place(layer: Layer, stage: StageView, strategy: StrategyView) -> str:
    spills = layer.position in stage.spilled_ops
    return f"{strategy.full_name(stage)}{' (weights stream)' if spills else ''}"
