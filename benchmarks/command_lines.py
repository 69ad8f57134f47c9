"""Command lines of odd values: every command with options drawn at random, each with a value that fits it or does not.

The options are those that the commands declare, so that new ones come by themselves.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

_ODD = (
    *(
        "0",
        "1",
        "2",
        "3",
        "-1",
        "1e400",
        "nan",
        "inf",
        "-inf",
        "0.5",
        "1e-300",
        "9223372036854775808",
        "9" * 400,
        "0x10",
    ),
    *("x", "\u00e9\u4e2d\U0001f600", "\udcff", "a\nb", "a,b", ",", "=", "a=", "=b", ":", "..", "1..", "..1", "3..1"),
    *(
        "1..99999999",
        "*",
        "[",
        "~",
        "x" * 5000,
        "x" * 300,
        "%",
        "{}",
        "--",
        "-",
        "1_000",
        "\uff11",
        "1 2",
        "+1",
        "0-",
        "5-2",
    ),
    *("0-1", "usb:0", "all", "zoo", "attached", "edgetpu-m2:0", "edgetpu-m2:1", "edgetpu-m2:99999999", "edgetpu-m2:-1"),
    *(
        "5%",
        "-5%",
        "1e9%",
        "20ms",
        "-20ms",
        "1e300s",
        "0ms",
        "6MiB",
        "-6MiB",
        "1e30MiB",
        "0=0",
        "0=1",
        "1=99",
        "CONV=1",
    ),
    *("A=3,B=1", "synthetic-dense-50=1", "synthetic-dense-50=-1", "synthetic-dense-50=inf", "camera:0", "camera:-1"),
    *("127.5,127.5", "0,0,0", "work/none", "work/folder", "work/loop", "work/dangling", "work/empty"),
    *("work/a\nb", "work/noise", "plan", "plan/plan.json", "plan/certificate.json", "batch", "pool", "frames.npz"),
    *(
        "frame.png",
        "measured.json",
        "device.toml",
        "synthetic-dense-50.tflite",
        "/dev/null",
        "/dev/zero",
        "/proc/self/mem",
    ),
    *("work/none/below/out.npz", "work/out.npz", "work/out.jsonl", "work/out.csv", "work/out.json", "work/out.html"),
)
"""Numbers, lists, names and paths; what is below ``work`` `hostile` makes anew each time."""

_BASES: Mapping[str, Sequence[Sequence[str]]] = {
    "inspect": (("synthetic-dense-50.tflite",),),
    "solve": (
        ("synthetic-dense-50.tflite", "--tpus", "2", "--no-verify", "--time-limit", "2"),
        ("synthetic-dense-50.tflite", "squeezenet1.1.tflite", "--pool", "edgetpu-m2:2", "--time-limit", "1"),
        ("profile.json", "--tpus", "2", "--time-limit", "2"),
    ),
    "compare": (("synthetic-dense-50.tflite", "--tpus", "2"),),
    "batch": (
        ("synthetic-dense-50.tflite", "--tpus", "1..2", "--planners", "uniform", "--processes", "1", "-o", "work/out"),
    ),
    "export": (("batch", "work/table.csv"),),
    "build": (("work/plan", "--check-coral"), ("work/plan", "--compile", "--rounds", "1")),
    "run": (
        ("plan", "--count", "2"),
        ("photo", "frame.png"),
        ("plan", "--count", "3", "--backend", "simulated"),
        ("pool", "--count", "2"),
    ),
    "bench": (("plan", "--count", "1", "--rounds", "2", "--warm-up", "0"),),
    "verify": (("plan", "--inputs", "1"),),
    "check": (("plan",), ("pool",)),
    "profile": (("synthetic-dense-50.tflite", "--runs", "1", "--warm-up", "0", "-o", "work/out.json"),),
    "tune": (
        (
            "synthetic-dense-50.tflite",
            "--tpus",
            "2",
            "--runs",
            "1",
            "--warm-up",
            "0",
            "--iterations",
            "1",
            "--no-verify",
        ),
    ),
    "report": (("plan", "-o", "work/out.html"), ("batch", "-o", "work/out.html"), ("pool", "-o", "work/out.html")),
    "diff": (("plan", "photo"), ("plan",)),
    "schema": (("plan",),),
    "devices": ((), ("edgetpu-m2",), ("device.toml",)),
    "doctor": ((),),
    "completion": (("bash",),),
    "zoo list": ((),),
    "zoo build": (("synthetic-dense-20", "-o", "work"),),
}
_NEVER = ("--help", "--engine", "--scheduler", "--metrics-port")
"""Dask's cluster is another program; a port is this machine's, not the seed's."""


def command_line(rng: random.Random) -> list[str]:
    """Return a command with one to three options, and sometimes another argument, or one in another's place."""
    name = rng.choice(list(_BASES))
    line = [*name.split(), *rng.choice(_BASES[name])]
    for flag, value in drawn_options(rng, name, rng.choice((0, 1, 1, 1, 2, 3))):
        line += [flag] if value is True else [flag, value]
    match rng.randrange(6):
        case 0:
            line.append(rng.choice(_ODD))
        case 1 if len(line) > 1:
            line[rng.randrange(1, len(line))] = rng.choice(_ODD)
    return line


def drawn_options(rng: random.Random, name: str, count: int) -> Iterator[tuple[str, Any]]:
    """Yield some options of a command, each with a value that fits it or does not, True if it takes none."""
    for _ in range(count):
        flags, takes_value, choices = rng.choice(_options(name))
        flag = rng.choice(flags)
        yield flag, rng.choice(choices if choices and rng.random() < 0.8 else _ODD) if takes_value else True


@cache
def _options(name: str) -> list[tuple[list[str], bool, list[str]]]:
    """Return a command's options: their flags, whether they take a value, and their choices if they have some."""
    return list(_declared(name)) or [(["--help"], False, [])]


def _declared(name: str) -> Iterator[tuple[list[str], bool, list[str]]]:
    from typer.main import get_command

    from segsolve.cli.main import app

    command: Any = get_command(app)
    for word in name.split():
        command = command.commands[word]
    for option in command.params:
        if option.param_type_name == "option" and not set(option.opts) & set(_NEVER):
            kind = option.type_descriptor.annotation
            choices = [*map(str, getattr(kind, "__members__", {}).values())]
            yield [*option.opts, *option.secondary_opts], not option.is_flag, choices
