"""Numbers as a row of small bars."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int) -> str:
    """The values from left to right, the lowest as the lowest block and the highest as the full one.

    Args:
        values: Finite; where there are more than `width`, a block stands for the last of its share.
        width: Most letters.
    """
    if not values or width < 1:
        return ""
    letters = min(width, len(values))
    shown = [values[math.ceil((place + 1) * len(values) / letters) - 1] for place in range(letters)]
    low, high = min(shown), max(shown)
    if high <= low:
        return _BLOCKS[0] * letters
    return "".join(_BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in shown)
