"""A plan as node data for Google's Model Explorer: its nodes coloured by the TPU that runs them.

Format: ``GraphNodeData`` of ai-edge-model-explorer (node_data_builder.py). A node's key is its id, which Model
Explorer's reader of .tflite files takes from the operator's place in the file.
"""

from __future__ import annotations

import json
from typing import Any

from segsolve.report import palette
from segsolve.report.plan_view import Layer, PlanView, StageView


def node_data(view: PlanView) -> dict[str, Any]:
    """Return the node data of a plan whose layers are known."""
    layers = view.details.layers if view.details else ()
    results = {
        str(layer.file_index): _result(layer, stage)
        for stage in view.strategy.stages
        for layer in layers[stage.first : stage.end]
    }
    return {
        "name": f"TPU ({view.title}, {len(view.strategy.stages)} stages)",
        "results": results,
        "showExpandedSummaryOnGroupNode": True,
        "showLabelCountColumnsInChildrenStatsTable": True,
    }


def node_data_json(view: PlanView) -> str:
    """Return the text of a node data file."""
    return json.dumps(node_data(view), indent=1) + "\n"


def _result(layer: Layer, stage: StageView) -> dict[str, str]:
    spills = layer.position in stage.score.spilled_ops
    hue = palette.hue(stage.number)
    return {
        "value": f"TPU {stage.number}{' (weights stream)' if spills else ''}",
        "bgColor": palette.FILLS[hue],
        "textColor": palette.INKS[hue],
    }
