"""Times as people read them."""

from __future__ import annotations

import time


def seconds(value: float) -> str:
    """Minutes and seconds, such as `3:07`."""
    return f"{int(value) // 60}:{int(value) % 60:02d}"


def expected(left: float) -> str:
    """`about 12 min left, ends 14:32`; with the weekday where that is not today.

    Args:
        left: Seconds from now.
    """
    minutes = max(1, round(left / 60))
    how_long = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    now, end = time.localtime(), time.localtime(time.time() + left)
    is_today = (now.tm_year, now.tm_yday) == (end.tm_year, end.tm_yday)
    return f"about {how_long} left, ends {time.strftime('%H:%M' if is_today else '%a %H:%M', end)}"
