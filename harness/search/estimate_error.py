"""How far an estimate of latency lies from what was measured, told by architectures that were really built.

The estimated ratio to the base is 1 + offset + factor × what the table adds; of the base itself it is 1. Both are
fitted by least squares to the calibration's measurements, and take in what no block shows alone, such as layers of
the base that find their caches swept. Each error is leave-one-out: that of the estimate fitted to all the others, so
that nothing is judged by itself. It holds the measurements' own error, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from harness.errors import UserError
from harness.measure.intervals import Samples

FEWEST = 4
"""Architectures without which there is no error to speak of."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Architectures with at least one block and both figures; ratios are to the base.

    Attributes:
        added: What the table adds, in passes of the base, (n,).
        measured: Ratio measured end to end, (n,).

    Raises:
        UserError: Fewer than four architectures.
    """

    added: Samples
    measured: Samples

    def __post_init__(self) -> None:
        if len(self.measured) < FEWEST:
            raise UserError(f"latency table: {len(self.measured)} architectures to calibrate on; {FEWEST} or more do")

    @cached_property
    def fit(self) -> tuple[float, float]:
        """Offset and factor."""
        return self._fit(np.ones(len(self.measured), dtype=np.bool_))

    @cached_property
    def estimated(self) -> Samples:
        """Ratio of each by the fit to all the others, (n,)."""
        others = ~np.eye(len(self.measured), dtype=np.bool_)
        fits = np.array([self._fit(rows) for rows in others])
        estimated: Samples = 1 + fits[:, 0] + fits[:, 1] * self.added
        return estimated

    def _fit(self, rows: npt.NDArray[np.bool_]) -> tuple[float, float]:
        columns = np.stack([np.ones(rows.sum()), self.added[rows]], axis=1)
        offset, factor = np.linalg.lstsq(columns, self.measured[rows] - 1)[0]
        return float(offset), float(factor)

    @property
    def errors(self) -> Samples:
        """Estimated over measured ratio, less 1, (n,)."""
        errors: Samples = self.estimated / self.measured - 1
        return errors

    @property
    def bias(self) -> float:
        """Mean error; above 0 estimates are too slow."""
        return float(self.errors.mean())

    @property
    def rmse(self) -> float:
        """Root mean square of the errors."""
        return float(np.sqrt(np.mean(self.errors**2)))

    @property
    def max_error(self) -> float:
        """The greatest error, without its sign."""
        return float(np.abs(self.errors).max())

    @property
    def kendall(self) -> float:
        """Kendall's τ-b of estimate and measurement: 1 when all pairs are in the same order."""
        return float(scipy.stats.kendalltau(self.estimated, self.measured).statistic)

    @property
    def spearman(self) -> float:
        """Spearman's ρ of estimate and measurement."""
        return float(scipy.stats.spearmanr(self.estimated, self.measured).statistic)

    def to_dict(self) -> dict[str, Any]:
        """The summary as plain data."""
        offset, factor = self.fit
        names = ("bias", "rmse", "max_error", "kendall", "spearman")
        return {
            "architectures": len(self.measured),
            "offset": offset,
            "factor": factor,
            **{name: getattr(self, name) for name in names},
        }
