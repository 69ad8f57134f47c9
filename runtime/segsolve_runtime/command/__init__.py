"""``segsolve-run``: what a machine with Edge TPUs does with plans that were made elsewhere; needs no solver."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from segsolve_runtime import interruption, streams
from segsolve_runtime.command import bench, devices, doctor, measure, run_plan
from segsolve_runtime.errors import HardwareError, RuntimeFault
from segsolve_runtime.shortage import no_room, shortage
from segsolve_runtime.streams import say
from segsolve_runtime.version import __version__

_COMMANDS = {"run": run_plan, "doctor": doctor, "devices": devices, "measure": measure, "bench": bench}
_SHORTAGE, _USAGE, _OUTPUT = 1, 2, 8


def run() -> None:
    """Run the command line of this process, and end it."""
    interruption.interrupt_from_now_on()
    streams.prepare()
    code = main(sys.argv[1:])
    interruption.nothing_to_interrupt()
    sys.exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run a command line, and return its exit code; what went wrong is a sentence on stderr."""
    parser = argparse.ArgumentParser(prog="segsolve-run", description=(__doc__ or "").replace("``", ""))
    parser.add_argument("--version", action="version", version=f"segsolve-run {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in _COMMANDS.items():
        words = (module.__doc__ or "").partition(": ")[2].strip()
        module.options(commands.add_parser(name, help=words, description=words))
    try:
        chosen = parser.parse_args(arguments)
        return int(_COMMANDS[chosen.command].command(chosen))
    except RuntimeFault as error:
        _say(str(error))
        if isinstance(error, HardwareError):
            say("hint: segsolve-run doctor tells what is missing")
        return error.exit_code
    except ValueError as error:
        _say(str(error))
        return _USAGE
    except KeyboardInterrupt:
        _say("interrupted")
        return interruption.CODE
    except Exception as error:
        if said := shortage(error):
            _say(said)
            return _SHORTAGE
        if not isinstance(error, OSError):
            raise
        _say(no_room(error) or f"{error.filename or 'a file'}: {error.strerror or error}")
        return _OUTPUT


def _say(sentence: str) -> None:
    say(f"error: {sentence}")
