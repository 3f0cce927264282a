"""The rates of a short training: one place for searches, ablations, `clo train` and fidelity plans.

From a trained base, what is inserted has everything to learn in few steps, while the base's own random walk is noise
that hides what it learns (docs/decisions/0004-defaults-from-noise.md). From random weights everything is as new as
what is inserted: one rate, that of the base's own training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Rates(NamedTuple):
    """Rates of one training.

    Attributes:
        learning_rate: Peak rate of AdamW for the base's weights.
        block_rate_factor: Multiplier of it for inserted blocks and for the new elements of a widened base.
    """

    learning_rate: float
    block_rate_factor: float


FROM_BASE = Rates(1e-3, 5.0)
FROM_SCRATCH = Rates(2e-3, 1.0)


def default_rates(*, from_scratch: bool) -> Rates:
    """Return the rates of a training that starts from random weights, or from a trained base's."""
    return FROM_SCRATCH if from_scratch else FROM_BASE


def with_default_rates(values: Any) -> Any:
    """Return settings as a person gave them, with the rates that fit their start where they name none themselves.

    The published recipe has an optimiser of its own, and no use for them.
    """
    is_short = isinstance(values, Mapping) and values.get("recipe") != "published"
    if not is_short or not values.get("from_scratch"):
        return values
    return FROM_SCRATCH._asdict() | dict(values)
