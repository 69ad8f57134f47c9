"""doctor: check what Edge TPUs need; exit code 12 if some is missing."""

from __future__ import annotations

import argparse
from pathlib import Path

from segsolve_runtime.command.options import add_json, show, show_json
from segsolve_runtime.doctor import EXIT_NOT_READY, examine, is_ready, lines
from segsolve_runtime.streams import say


def options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--bundle", type=Path, metavar="FILE.zip", help="write what to send with a report")
    add_json(parser)


def command(chosen: argparse.Namespace) -> int:
    """Print the findings."""
    findings = []
    for finding in examine():
        findings.append(finding)
        if not chosen.json:
            show(lines([finding]))
    if chosen.json:
        show_json({"ready": is_ready(findings), "checks": [finding.as_dict() for finding in findings]})
    if chosen.bundle is not None:
        from segsolve_runtime.doctor.bundle import write_bundle

        for name, words in write_bundle(chosen.bundle, findings):
            say(f"{name}: {words}")
        say(f"wrote {chosen.bundle}")
    return 0 if is_ready(findings) else EXIT_NOT_READY
