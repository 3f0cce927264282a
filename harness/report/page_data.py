"""What the page's scripts are given: plain JSON, small enough for a thousand architectures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.report.budget import SHOWN, Budget
from harness.report.comparison import Entry
from harness.report.content import Content
from harness.report.interactive import hover_texts, plotly_figure


@dataclass
class _Table:
    """Texts that many architectures share, each once; they are named by their place."""

    texts: dict[str, int] = field(default_factory=dict)

    def places(self, texts: Sequence[str]) -> list[int]:
        return [self.texts.setdefault(text, len(self.texts)) for text in texts]


def page_data(content: Content) -> dict[str, Any]:
    """All that is drawn or said by scripts.

    Returns:
        `figures` and `notes` as `harness.report.interactive` makes them; `texts`, to whose places everything in
        `entries` refers; `entries`: identity to kind, facts, latency and MACs as ratios, blocks (site, kind, shape,
        text) and difference; `chosen`; `commands` with `token` for an identity; `budgets`.
    """
    table = _Table()
    compared = content.comparison
    entries = {name: _entry(entry, table) for name, entry in compared.entries.items()}
    return {
        "figures": {figure.axis.key: plotly_figure(figure) for figure in content.figures},
        "notes": hover_texts(content.figures),
        "entries": entries,
        "texts": list(table.texts),
        "chosen": list(compared.chosen),
        "commands": [list(pair) for pair in compared.commands],
        "token": compared.token,
        "budgets": {budget.key: _budget(budget) for budget in content.budgets},
    }


def _entry(entry: Entry, table: _Table) -> list[Any]:
    return [
        *table.places([entry.kind]),
        table.places(entry.facts),
        _number(entry.latency_ratio, SHOWN["latency"]),
        _number(entry.macs_ratio, SHOWN["macs"]),
        [table.places([block.site, block.kind, block.shape, block.text]) for block in entry.blocks],
        table.places(entry.difference),
    ]


def _budget(budget: Budget) -> dict[str, Any]:
    return {
        "name": budget.name,
        "least": budget.least,
        "most": budget.most,
        "to_x": budget.to_x,
        "steps": [[_number(step.cost, SHOWN[budget.key]), step.architecture, step.said] for step in budget.steps],
    }


def _number(value: float, digits: int) -> float | None:
    """A ratio as it is shown; None for what JSON has no word for."""
    return round(value, digits) if math.isfinite(value) else None
