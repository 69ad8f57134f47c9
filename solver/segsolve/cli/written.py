"""What commands that make a plan say of the folder that they write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from segsolve.cli.console import news, progress
from segsolve.library.plans import build

if TYPE_CHECKING:
    from segsolve.library.answer import Answer


def write_and_verify(answer: Answer, output: Path, *, verify: bool) -> None:
    """Write a plan's folder, and prove its segments equal to the whole model."""
    from segsolve.report.units import count
    from segsolve.segments.verify import verify as verify_segments

    folder = build(answer, output, verify=False)
    if answer.model is None:
        news(f"wrote {output / 'plan.json'}, without segments: there is no model behind these costs")
        return
    news(f"wrote {output / 'plan.json'} and {count(len(set(folder.segment_paths())), 'segment')}")
    if not verify:
        return
    with progress("comparing the segments with the whole model"):
        done = verify_segments(folder, answer.model)
    news(
        f"verified: {count(done.output_tensors, 'output')} and {count(done.crossing_tensors, 'crossing tensor')} "
        f"of the segments are identical to the whole model's on {count(done.inputs, 'random input')}"
    )
    if done.left_out:
        news(f"not verified: {count(done.left_out, 'operation')} that LiteRT cannot run here, or that hang on these")
