"""``segsolve zoo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segsolve.cli.console import progress, show, show_json, show_text
from segsolve.cli.grouped import GroupedCommand
from segsolve.cli.guard import guarded
from segsolve.cli.options import Json
from segsolve.values import within

app = typer.Typer(help="Classic CNNs as int8 .tflite files with seeded weights.", no_args_is_help=True)


@app.command("list")
@guarded
def list_networks(as_json: Json = False) -> None:
    """List the networks with their sizes."""
    from segsolve.report.zoo import zoo_document, zoo_table
    from segsolve.zoo.catalogue import CATALOGUE
    from segsolve.zoo.facts import facts_of

    networks, facts = tuple(CATALOGUE.values()), facts_of(CATALOGUE)
    if as_json:
        show_json(zoo_document(networks, facts))
    else:
        show(zoo_table(networks, facts))


@app.command("build", cls=GroupedCommand)
@guarded
def build(
    name: Annotated[str, typer.Argument(help="A network of `segsolve zoo list`, or all.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the models.")] = Path(),
    seed: Annotated[int, typer.Option("--seed", help="Seed of the weights.")] = 0,
) -> None:
    """Write a network, or all of them, as NAME.tflite; prints the paths."""
    from segsolve.zoo.catalogue import get, names
    from segsolve.zoo.files import write_network

    within("--seed", seed, 0)
    wanted = names() if name == "all" else (get(name).name,)
    for network in wanted:
        with progress(f"building {network}"):
            path = write_network(network, output, seed=seed)
        show_text(str(path))
