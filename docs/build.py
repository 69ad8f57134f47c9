"""``python -m docs.build``: gather the pages, make the reference from commands and schemas, and build the site.

What it writes is in ``build/site``; it needs ``pip install '.[docs]'``, and no network.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from segsolve.cli.schema import FILES, file_schema
from segsolve_runtime.version import __version__

ROOT = Path(__file__).parents[1]
PAGES, TARGET = ROOT / "docs", ROOT / "build" / "docs"


def gather(target: Path = TARGET) -> None:
    """Write all pages to a folder, made anew."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for page in PAGES.glob("*.md"):
        shutil.copy(page, target)
    for picture in (ROOT / "benchmarks" / "results").glob("*.svg"):
        shutil.copy(picture, target)
    _pictures(target)
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("benchmarks/results/largest_gain", "largest_gain")
    (target / "readme.md").write_text(readme, encoding="utf-8")
    shutil.copy(ROOT / "solver" / "README.md", target / "mathematics.md")
    (target / "commands.md").write_text("\n".join(_commands()), encoding="utf-8")
    (target / "files.md").write_text("\n".join(_files()), encoding="utf-8")


def _pictures(target: Path) -> None:
    """Draw what "Concepts" explains, with the code that draws reports: a layout, and a front of trade-offs."""
    import segsolve
    from segsolve.report.answer import front_points
    from segsolve.report.front import plot_svg
    from segsolve.report.plan_source import plan_view
    from segsolve.report.svg import plan_svg
    from segsolve.zoo.files import write_network

    with TemporaryDirectory() as folder:
        model = write_network("resnet50", Path(folder))
        answer = segsolve.solve(model, tpus=4, device="edgetpu-usb")
        assert answer.plan is not None and answer.plan.layout == "4[2,1,1]", "concepts.md says otherwise"
        plan = segsolve.build(answer, Path(folder) / "plan", verify=False)
        (target / "layout.svg").write_text(plan_svg(plan_view(plan.root)), encoding="utf-8")
        front = segsolve.solve(model, tpus=8, objective="pareto")
        # As a file of its own: in a grey that is read on white and on black.
        drawn = plot_svg(front_points(front.found))
        own = drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" style="color: #808a96" ', 1)
        (target / "front.svg").write_text(own, encoding="utf-8")


def _commands() -> Iterator[str]:
    from typer.main import get_command

    from segsolve.cli.main import app

    yield f"# Commands\n\nMade from segsolve {__version__}: what `segsolve COMMAND --help` prints.\n"
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for words in ([name, inner] for inner in command.commands) if hasattr(command, "commands") else ([name],):
            text = subprocess.run(
                [sys.executable, "-m", "segsolve", *words, "--help"], capture_output=True, text=True, check=True
            ).stdout
            yield f"## {' '.join(words)}\n\n```text\n{text.rstrip()}\n```\n"


def _files() -> Iterator[str]:
    yield f"# Files\n\nMade from segsolve {__version__}: the JSON Schema of every kind of file (`segsolve schema`).\n"
    for name in FILES:
        schema = file_schema(name)
        yield f"## {name}\n\n{schema.get('description', '')}\n"
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield "| member | meaning |\n|---|---|"
            for key, member in properties.items():
                meaning = str(member.get("description", "")).replace("|", "\\|").replace("\n", " ")
                yield f"| `{key}` | {meaning} |"
        yield f"\nThe whole schema:\n\n```json\n{json.dumps(schema, indent=2)}\n```\n"


def main() -> int:
    """Build the site; warnings, such as a link to nowhere, are errors."""
    gather()
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"], cwd=ROOT, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
