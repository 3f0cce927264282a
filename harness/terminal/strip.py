"""An interval as a strip of text: what a forest plot draws as a bar."""

from __future__ import annotations

from harness.report.tables import Spark


def strip(spark: Spark | None, width: int) -> str:
    """`    │ ──━━●━━──  `: the mean, its 95 % interval (thick), the corrected one (thin), and zero.

    Args:
        spark: Positions from 0 to 100; None where nothing was measured: an empty strip.
        width: Letters.
    """
    letters = [" "] * width
    if spark is None:
        return "".join(letters)

    def at(position: float) -> int:
        return min(width - 1, int(position / 100 * width))

    letters[at(spark.zero)] = "│"
    for low, high, letter in ((spark.outer_low, spark.outer_high, "─"), (spark.low, spark.high, "━")):
        for place in range(at(low), at(high) + 1) if low is not None and high is not None else ():
            letters[place] = letter if place != at(spark.zero) else "┼"
    letters[at(spark.mid)] = "●"
    return "".join(letters)
