"""``python -m segsolve_runtime.doctor``: prints the findings; exit code 0 if a plan can run on an Edge TPU, else 12."""

from __future__ import annotations

import sys
from shutil import get_terminal_size

from segsolve_runtime.doctor import EXIT_NOT_READY, examine, is_ready, lines


def main() -> int:
    """Print the findings and return the exit code."""
    findings = list(examine())
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    sys.stdout.write("\n".join(lines(findings, width)) + "\n")
    return 0 if is_ready(findings) else EXIT_NOT_READY


if __name__ == "__main__":
    sys.exit(main())
