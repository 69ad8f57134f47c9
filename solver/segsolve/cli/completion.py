"""``segsolve completion``."""

from __future__ import annotations

from typing import Annotated

import typer

from segsolve.cli.completing import SHELLS, script
from segsolve.cli.console import show_text
from segsolve.cli.guard import guarded
from segsolve.errors import UsageError


@guarded
def command(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help=f"The shell: {', '.join(SHELLS)}.")],
) -> None:
    """Print what a shell needs to complete command lines.

    bash: add `eval "$(segsolve completion bash)"` to ~/.bashrc. zsh: the same in ~/.zshrc, below compinit. fish:
    segsolve completion fish > ~/.config/fish/completions/segsolve.fish
    """
    if shell not in SHELLS:
        raise UsageError(f"there is no completion for {shell!r}", f"known: {', '.join(SHELLS)}")
    show_text(script(shell))
