"""``segsolve doctor``."""

from __future__ import annotations

import typer

from segsolve.cli.console import result_lines, show_json, stdout_width
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json
from segsolve.errors import ExitCode


@guarded
def command(as_json: Json = False) -> None:
    """Check what Edge TPUs need; exit code 12 if some is missing."""
    from segsolve_runtime.doctor import examine, is_ready, lines

    findings = []
    print_line = result_lines()
    for finding in examine():
        findings.append(finding)
        if not as_json:  # at once: to open a device takes seconds
            print_line("\n".join(lines([finding], stdout_width())))
    if as_json:
        show_json({"ready": is_ready(findings), "checks": [finding.as_dict() for finding in findings]})
    if not is_ready(findings):
        raise typer.Exit(ExitCode.HARDWARE)
