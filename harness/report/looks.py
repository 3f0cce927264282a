"""How points look, in every renderer."""

from __future__ import annotations

from typing import NamedTuple

from harness.report.figures import Mark


class Look(NamedTuple):
    """How a mark looks; shape and colour both tell, for those who see no colour."""

    color: str
    symbol: str
    marker: str
    size: int
    hollow: bool


LOOKS: dict[Mark, Look] = {
    Mark.BEYOND: Look("#7a7f87", "x", "x", 8, hollow=False),
    Mark.SCREENING: Look("#7a7f87", "circle-open", "o", 8, hollow=True),
    Mark.LOSS: Look("#D55E00", "triangle-down", "v", 10, hollow=False),
    Mark.UNDECIDED: Look("#0072B2", "square", "s", 10, hollow=False),
    Mark.GAIN: Look("#009E73", "circle", "o", 12, hollow=False),
    Mark.PLACEBO: Look("#8a6500", "pentagon", "p", 13, hollow=False),
    Mark.BASELINE: Look("#1b1f24", "diamond", "D", 12, hollow=False),
}
"""Okabe and Ito's palette, https://jfly.uni-koeln.de/color/; the page swaps in lighter tones when dark."""

LEGEND = {
    Mark.BEYOND: "beyond a bound of the search",
    Mark.SCREENING: "one seed: screening only",
    Mark.LOSS: "worse than the baseline",
    Mark.UNDECIDED: "judged, not told from the baseline",
    Mark.GAIN: "beats the baseline",
    Mark.PLACEBO: "placebo: the base, widened",
    Mark.BASELINE: "baseline",
}
FAINT = 0.55
MOST_BARS = 30
"""Bars of single seeds and losses beyond this many are left to the hover text: they would hide the rest."""
ALWAYS_BARRED = frozenset({Mark.GAIN, Mark.UNDECIDED, Mark.PLACEBO})
"""Judged candidates that matter to the answer keep their bars, however many there are; so do placebos."""
NEVER_FAINT = frozenset({Mark.BASELINE, Mark.PLACEBO})
"""What candidates are compared with."""
