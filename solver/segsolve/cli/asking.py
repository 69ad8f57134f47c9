"""Options that say what is asked of a plan."""

from __future__ import annotations

from typing import Annotated

import typer

MaxLatency = Annotated[
    str | None, typer.Option("--max-latency", help="Most time of one inference, e.g. 20ms, 0.5s (plain numbers: ms).")
]
MinFps = Annotated[float | None, typer.Option("--min-fps", help="Fewest inferences per second of the whole plan.")]
MaxStages = Annotated[int | None, typer.Option("--max-stages", help="Most stages of a pipeline.")]
CutBefore = Annotated[
    list[str] | None, typer.Option("--cut-before", metavar="OP", help="A stage begins at this operation; repeatable.")
]
NoCutBefore = Annotated[
    list[str] | None, typer.Option("--no-cut-before", metavar="OP", help="No stage begins at this operation.")
]
KeepTogether = Annotated[
    list[str] | None, typer.Option("--keep-together", metavar="A,B", help="These operations share a stage; repeatable.")
]
Pin = Annotated[
    list[str] | None, typer.Option("--pin", metavar="OP=STAGE", help="Number of the stage that runs an operation.")
]
