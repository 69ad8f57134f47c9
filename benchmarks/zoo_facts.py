"""Writes what `segsolve zoo list` shows beside the published figures: each network is built once and read."""

from __future__ import annotations

from benchmarks.common import zoo_file
from segsolve.zoo import names
from segsolve.zoo.facts import FILE, facts_json, measure


def main() -> None:
    found = {}
    for name in names():
        with zoo_file(name) as path:
            found[name] = measure(path)
    FILE.write_text(facts_json(found), encoding="utf-8")
    print(f"wrote {FILE}")


if __name__ == "__main__":
    main()
