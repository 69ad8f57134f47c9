"""``segsolve`` as a program: Ctrl-C while it loads ends it without a word, since nothing has begun."""

from __future__ import annotations

import signal


def run() -> None:
    """Entry point of the ``segsolve`` script, and of ``python -m segsolve``."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from segsolve.cli.main import run as run_command_line

    run_command_line()


if __name__ == "__main__":
    run()
