"""Writes a report of whatever a folder holds, in the format asked for."""

from __future__ import annotations

from pathlib import Path

from segsolve.errors import UsageError, writing_to
from segsolve_runtime.contract.files import is_file, make_folder
from segsolve_runtime.contract.writing import check_replaceable, replace_file

BATCH_FILE = "results.jsonl"
_ELSEWHERE = "choose another file"


def report_text(
    source: Path, report_format: str, *, model: Path | None, device: str | None, measured: Path | None
) -> tuple[str, str]:
    """Return a report's text, and what it lacks (nothing, for a complete one).

    Raises:
        UsageError: the format is not one for this folder.
        SegsolveError, PlanError: what the folder, the model, the device or the measurement have wrong.
    """
    if is_file(source / BATCH_FILE):
        return _batch_text(source, report_format), ""
    from segsolve.report.plan_source import plan_view

    view = plan_view(source, model=model, device=device, measured=measured)
    if report_format == "html":
        from segsolve.report.html import plan_html

        return plan_html(view), view.missing
    if view.details is None:
        raise UsageError(f"the format {report_format} needs the model: {view.missing}", "name it with --model")
    if report_format == "svg":
        from segsolve.report.svg import plan_svg

        return plan_svg(view), ""
    from segsolve.report.model_explorer import node_data_json

    return node_data_json(view), ""


def check_writable(output: Path) -> None:
    """Find out before long work whether its result can be written; leave no file that was not there.

    Raises:
        OutputError: it cannot be written.
    """
    with writing_to(output, _ELSEWHERE):
        make_folder(output.parent)
        check_replaceable(output)


def write_text(output: Path, text: str) -> None:
    """Write a report's file, whole or not at all, and the folder that it lies in.

    Raises:
        OutputError: it cannot be written.
    """
    with writing_to(output, _ELSEWHERE):
        make_folder(output.parent)
        replace_file(output, text.encode())


def _batch_text(source: Path, report_format: str) -> str:
    if report_format != "html":
        raise UsageError(f"{source} is a batch, which has no report as {report_format}", "leave out --format")
    from segsolve.report.batch_html import batch_html
    from segsolve.report.batch_view import batch_view

    return batch_html(batch_view(source))
