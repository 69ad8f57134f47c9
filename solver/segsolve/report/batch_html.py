"""A batch's report as one self-contained HTML file."""

from __future__ import annotations

from typing import Any

from segsolve.batch.jobs import LAYOUTS
from segsolve.batch.record import Record
from segsolve.report.batch_view import BatchView, Board, Cell, Metric, geometric_mean
from segsolve.report.explain import TITLES
from segsolve.report.html import environment
from segsolve.search.strategies import VENDOR


def batch_html(view: BatchView) -> str:
    """Return the report of a batch as an HTML document."""
    vendor = [_best_gain(board) for board in view.boards if VENDOR in board.planners]
    every_gain = (v for b in view.boards for m in b.metrics if m.key == "vendor" for row in m.values for v in row)
    return (
        environment()
        .get_template("batch.html.j2")
        .render(
            view=view,
            titles=TITLES,
            networks=len({n.name for board in view.boards for n in board.networks}),
            gains=[gain for gain in vendor if gain],
            mean_gain=geometric_mean(every_gain),
            mean=geometric_mean,
            data=[_data(board) for board in view.boards],
        )
    )


def _best_gain(board: Board) -> tuple[str, int, float] | None:
    """Return the network and the number of TPUs where the best plan gains most over the vendor's."""
    metric = next(m for m in board.metrics if m.key == "vendor")
    gains = (
        (value, -board.tpus[j], network.name)
        for network, row in zip(board.networks, metric.values, strict=True)
        for j, value in enumerate(row)
        if value
    )
    best = max(gains, default=None)
    return (best[2], -best[1], best[0]) if best else None


def _data(board: Board) -> dict[str, Any]:
    return {
        "tpus": board.tpus,
        "networks": [network.name for network in board.networks],
        "metrics": {metric.key: _metric(metric) for metric in board.metrics},
        "plans": [[_plans(cell, board) for cell in network.cells] for network in board.networks],
    }


def _metric(metric: Metric) -> dict[str, Any]:
    def cell(value: float | None) -> tuple[str, float]:
        return metric.text(value), metric.shade(value)

    columns = list(zip(*metric.values, strict=True))
    return {
        "cost": metric.cost,
        "cells": [[*map(cell, row), cell(geometric_mean(row))] for row in metric.values],
        "means": [metric.text(geometric_mean(c)) for c in columns]
        + [metric.text(geometric_mean(v for row in metric.values for v in row))],
    }


def _plans(cell: Cell, board: Board) -> list[Any]:
    """Return a cell's plans as batch.js shows them: title, worth, ns per inference, latency, off chip, us of each
    TPU."""
    return [_plan(cell.plans[p]) for p in board.planners if p in cell.plans]


def _plan(record: Record) -> list[Any]:
    title = TITLES.get(record.planner, record.planner)
    if record.planner == LAYOUTS:
        title = f"{title}: {record.layout}"
    elif record.status == "optimal":
        title = f"Optimum of one pipeline ({record.planner})"
    replicas = record.stage_replicas or (1,) * len(record.stage_ns)
    stages_us = [round(ns / n / 1000) for ns, n in zip(record.stage_ns, replicas, strict=True) for _ in range(n)]
    return [title, record.cost, record.period_ns, record.latency_ns, record.offchip_bytes, stages_us]
