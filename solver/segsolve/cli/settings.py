"""Values of options from the environment and from files, for what a command line leaves out.

An option given counts first, then the environment (``SEGSOLVE_TPUS=4``), then ``segsolve.toml`` beside the model or the
plan, or in the current folder where neither is named, then the user's ``segsolve/segsolve.toml`` in
``$XDG_CONFIG_HOME`` (``~/.config``), then the default. A key of a file is an option without its dashes; in a table it
holds for the command of that name alone:

    device = "edgetpu-usb"
    tpus = 4

    [solve]
    max-latency = "50ms"
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from segsolve.errors import UsageError
from segsolve_runtime.contract.files import home, is_file, is_there, read_bounded_text
from segsolve_runtime.contract.limits import DOCUMENT

FILE: Final = "segsolve.toml"
_PREFIX: Final = "SEGSOLVE_"
_STARTS_OR_OPENS = ("compiler", "grpc", "host", "metrics-address", "metrics-port", "port", "token-file")
_WRITES = ("output", "pictures", "profile-out", "timeline", "trace")
_NOT_BESIDE_A_MODEL: Final = frozenset((*_STARTS_OR_OPENS, *_WRITES))
"""Options that start programs, write files or open ports: not for a file that may come with someone's model."""
_NO_SETTINGS: Final = frozenset(("help", "json", "csv"))

Options = Mapping[str, frozenset[str]]
"""The options of each command, without dashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value of an option, of one command or of all that have it (None), and where it is from."""

    option: str
    value: Any
    command: str | None
    source: str


def variable(option: str) -> str:
    """Return the environment variable of an option."""
    return _PREFIX + option.replace("-", "_").upper()


def settings(options: Callable[[], Options], folder: Path) -> list[Setting]:
    """Return what files and the environment say, the weakest first; `folder` is that of the model or the plan.

    `options` are asked for only where something is said.

    Raises:
        UsageError: a file is not valid, or names an option or a command that does not exist.
    """
    files = (_users_file(), folder / FILE)
    found = [setting for file in dict.fromkeys(files) for setting in _read(file, options, file is files[1])]
    is_said = any(name.startswith(_PREFIX) for name in os.environ)
    every = sorted(set().union(*options().values()) - _NO_SETTINGS) if is_said else ()
    said = ((option, os.environ.get(variable(option), "")) for option in every)
    return found + [Setting(option=o, value=v, command=None, source=f"${variable(o)}") for o, v in said if v]


def in_force(found: Iterable[Setting], command: str, options: frozenset[str]) -> dict[str, Setting]:
    """Return the settings that hold for a command, by option."""
    mine = [s for s in found if s.command in (None, command) and s.option in options]
    # Of one file, what is said of the command counts before what is said of all; of two sources the later one.
    ranked = sorted(mine, key=lambda s: (_rank(mine, s), s.command is not None))
    return {setting.option: setting for setting in ranked}


def folder_of(arguments: Sequence[str]) -> Path:
    """Return the folder of the first argument that is a file or a plan; without one the current folder."""
    for argument in arguments:
        path = Path(argument)
        if not argument.startswith("-") and is_there(path):
            return path.parent if is_file(path) or is_file(path / "plan.json") else path
    return Path()


def _rank(found: Sequence[Setting], setting: Setting) -> int:
    return next(k for k, other in enumerate(found) if other.source == setting.source)


def _users_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME") or home() / ".config"
    return Path(base) / "segsolve" / FILE


def _read(file: Path, all_options: Callable[[], Options], is_beside: bool) -> Iterator[Setting]:
    try:
        content = tomllib.loads(read_bounded_text(file, DOCUMENT))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", "check its permissions") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is not TOML: {error}", "a line is an option and its value: tpus = 4") from None
    options = all_options()
    every = frozenset[str]().union(*options.values()) - _NO_SETTINGS
    for key, value in content.items():
        if not isinstance(value, dict):
            yield _setting(file, None, key, value, every, is_beside)
        elif key not in options:
            raise UsageError(f"{file} has a table [{key}], which is no command", _nearest(key, options))
        else:
            for option, own in value.items():
                yield _setting(file, key, option, own, options[key] - _NO_SETTINGS, is_beside)


def _setting(file: Path, command: str | None, key: str, value: Any, known: frozenset[str], is_beside: bool) -> Setting:
    if key not in known:
        whose = f"the command {command}" if command else "any command"
        raise UsageError(f"{file} sets {key}, which is no option of {whose}", _nearest(key, known))
    if is_beside and key in _NOT_BESIDE_A_MODEL:
        raise UsageError(f"{file} sets {key}, which only the user's own file may", f"move it to {_users_file()}")
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float | bool) for one in values):
        raise UsageError(f"{file} sets {key} to {value!r}", "give a text, a number, true, false, or a list of these")
    return Setting(option=key, value=value, command=command, source=str(file))


def _nearest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, sorted(known), n=1)
    return f"did you mean {near[0]}?" if near else "the options of a command are in its --help"
