"""Numbers as people read them: signed, with unit and interval, a dash where nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

DASH = "—"
MINUS = "−"


def plain(value: float, digits: int) -> str:
    """Format as `0.497`."""
    return DASH if _absent(value) else f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float, digits: int) -> str:
    """Format as `+0.012`, `−0.004`, and `0.000` for what rounds to zero."""
    if _absent(value):
        return DASH
    rounded = round(value, digits)
    return plain(0.0, digits) if rounded == 0 else f"{rounded:+.{digits}f}".replace("-", MINUS)


def interval(low: float, high: float, digits: int, *, sign: bool = False) -> str:
    """Format as `[+0.006, +0.018]`, or `no interval`."""
    if _absent(low) or _absent(high):
        return "no interval"
    show = signed if sign else plain
    return f"[{show(low, digits)}, {show(high, digits)}]"


def with_interval(value: float, low: float, high: float, digits: int) -> str:
    """Format as `+0.012 [+0.006, +0.018]`."""
    return f"{signed(value, digits)} {interval(low, high, digits, sign=True)}"


def times(ratio: float, low: float = math.nan, high: float = math.nan) -> str:
    """Format as `1.21× [1.19, 1.23]`."""
    if _absent(ratio):
        return DASH
    return f"{ratio:.2f}×" if _absent(low) or _absent(high) else f"{ratio:.2f}× {interval(low, high, 2)}"


def percent(ratio: float) -> str:
    """Format a ratio to the baseline as a change: `+8.0 %`."""
    return DASH if _absent(ratio) else f"{signed(100 * (ratio - 1), 1)} %"


def amount(value: float) -> str:
    """Format a count with a prefix: `58.3 M`, `4.52 G`."""
    if _absent(value):
        return DASH
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {prefix}"
    return f"{value:.0f}"


def signed_amount(value: float) -> str:
    """Format as `+58.3 M`, `−4.52 G`, `0`."""
    if _absent(value):
        return DASH
    sign = "" if round(value) == 0 else MINUS if value < 0 else "+"
    return sign + amount(abs(value))


def milliseconds(value: float) -> str:
    """Format as `12.3 ms`."""
    return DASH if _absent(value) else f"{value:.3g} ms"


def p_value(value: float) -> str:
    """Format as `p = 0.012`, `p < 0.001`."""
    if _absent(value):
        return ""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Format as `1 architecture`, `11 architectures`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def epochs(number: float) -> str:
    """Format as `1 epoch`, `12 epochs`; a dash where nothing is complete."""
    return DASH if math.isnan(number) else count(int(number), "epoch")


def listed(names: Sequence[str], most: int = 4) -> str:
    """List some names and how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def part(of_one: float, digits: int = 0) -> str:
    """Format a part of a whole that is 1: `33.5 %`."""
    return DASH if _absent(of_one) else f"{100 * of_one:.{digits}f} %"


def share(part: float, spread: float) -> str:
    """Format a share with its standard deviation: `23 ± 5 %`."""
    if _absent(part):
        return DASH
    return f"{100 * part:.0f} %" if _absent(spread) else f"{100 * part:.0f} ± {100 * spread:.0f} %"


def _absent(value: float) -> bool:
    """Return whether there is no number to show."""
    return not math.isfinite(value)
