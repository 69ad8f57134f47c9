"""Ask the package index for known vulnerabilities of every pinned package, and say how many it knows.

An index that mirrors packages may not tell of vulnerabilities; what it does not know is counted apart, since that is no
good news. Ends with 1 where there are any.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parents[1] / "constraints.txt"


def audit(pinned: Path) -> list[dict[str, Any]]:
    """Return what pip-audit says of each line of a file of pinned packages: a name, and vulnerabilities or why not."""
    words = ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json", f"--requirement={pinned}"]
    done = subprocess.run([sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True, check=False)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        sys.exit(f"pip-audit: {done.stderr.strip() or 'no answer'}")
    return packages


def main() -> None:
    packages = audit(PINNED)
    found = [(package, fault) for package in packages for fault in package.get("vulns", ())]
    for package, fault in found:
        mended = ", ".join(fault["fix_versions"]) or "nowhere yet"
        print(f"{package['name']} {package['version']}: {fault['id']}, mended in {mended}")
    unknown = sum("vulns" not in package for package in packages)
    print(f"{len(packages)} pinned packages, {unknown} not known to this index, {len(found)} known vulnerabilities")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
