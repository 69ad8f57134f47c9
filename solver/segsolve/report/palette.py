"""Colours of stages: eight hues that stay apart for colour-blind eyes, then the same eight with dots.

The hues are those of M. Okabe and K. Ito, "Color Universal Design", 2008, in an order that keeps neighbours apart.
A colour never stands alone: every stage carries its number, and what streams is hatched.
"""

from __future__ import annotations

FILLS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#9aa5b1")
INKS = ("#ffffff", *("#14181d",) * 7)


def hue(stage: int) -> int:
    """Return the number of a stage's hue, 0 to 7."""
    return stage % len(FILLS)


def is_dotted(stage: int) -> bool:
    """Return whether a stage's colour carries dots, which tell it from the stage that has the same hue."""
    return stage // len(FILLS) % 2 == 1
