"""``segsolve doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.console import news, result_lines, show_json, stdout_width
from segsolve.cli.grouped import known_settings
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json
from segsolve.errors import ExitCode
from segsolve_runtime.contract.wording import hanging


@guarded
def command(
    context: typer.Context,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE.zip", help="Write what to send with a report, and list it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check what Edge TPUs need; exit code 12 if some is missing.

    Below stands what the environment and files set, and where.
    """
    from segsolve_runtime.doctor import examine, is_ready, lines

    findings = []
    print_line = result_lines()
    for finding in examine():
        findings.append(finding)
        if not as_json:  # at once: to open a device takes seconds
            print_line("\n".join(lines([finding], stdout_width())))
    found = known_settings(context, Path())
    if as_json:
        checks = [finding.as_dict() for finding in findings]
        show_json({"ready": is_ready(findings), "checks": checks, "settings": found})
    for setting in () if as_json else found:
        of = f" of {setting.command}" if setting.command else ""
        text = f"{setting.option}{of} = {setting.value}, from {setting.source}"
        print_line(hanging(f"{'set':8}{'option':18}", text, stdout_width()))
    if bundle is not None:
        from segsolve_runtime.doctor.bundle import write_bundle

        for name, words in write_bundle(bundle, findings):
            news(f"{name}: {words}")
        news(f"wrote {bundle}; it has no name of you or of this machine, but do look")
    if not is_ready(findings):
        raise typer.Exit(ExitCode.HARDWARE)
