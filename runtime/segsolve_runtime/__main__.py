"""``segsolve-run`` as a program, and ``python -m segsolve_runtime``."""

from _signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal

if getsignal(SIGINT) is default_int_handler:  # while even the next line would be a traceback
    signal(SIGINT, SIG_DFL)

from segsolve_runtime.interruption import end_at_once_while_loading
from segsolve_runtime.shortage import prepare_numpy


def run() -> None:
    """Run the command line of this process, and end it."""
    end_at_once_while_loading()
    prepare_numpy()
    from segsolve_runtime.command import run as run_command_line

    run_command_line()


if __name__ == "__main__":
    run()
