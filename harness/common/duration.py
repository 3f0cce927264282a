"""Times as people type them."""

from __future__ import annotations

import math
import re

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Read `90`, `90s`, `25m` or `1.5 h`, in seconds.

    Raises:
        ValueError: It is no time, or none at all.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not match or not 0 < float(match[1]) < math.inf:
        raise ValueError("not a time; write 90, 90s, 25m or 2h")
    return float(match[1]) * _SECONDS[match[2]]
