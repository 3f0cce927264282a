"""A table of finished trainings, as data that a search can be replayed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.distributions import CategoricalDistribution

from harness.errors import UserError
from harness.search.candidates import ListedCandidates, on_a_scale
from harness.search.improvement import Floats, Staircase

_SEED = "seed"
"""Column of a study's `trials.csv`."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Models that were trained, each once in the table.

    Attributes:
        name: The file's.
        parameters: Columns that say which model it is; one row each.
        accuracy: (N,); more is better.
        cost: (N,); less is better.
    """

    name: str
    parameters: pd.DataFrame
    accuracy: Floats
    cost: Floats

    @property
    def distributions(self) -> dict[str, CategoricalDistribution]:
        """The values that each parameter has somewhere in the table."""
        return {str(name): CategoricalDistribution(_values(column)) for name, column in self.parameters.items()}

    def candidates(self, cost: Floats) -> ListedCandidates:
        """The rows as candidates.

        Args:
            cost: (N,); what a search believes they cost.
        """
        rows = self.parameters.to_dict("records")
        return ListedCandidates(self.distributions, [{str(k): v for k, v in row.items()} for row in rows], cost)

    def share(self, rows: Sequence[int]) -> float:
        """Hypervolume of some rows as a share of the whole table's.

        Costs count in logarithms where all are positive; the reference point is the worst of the table. Scaling both
        objectives to 0 and 1 wouldn't change a share.
        """
        return self._volume(np.asarray(rows, dtype=int)) / self._volume(np.arange(len(self.cost)))

    def _volume(self, rows: np.ndarray) -> float:
        cost = on_a_scale(self.cost)
        return Staircase.of(
            cost[rows], self.accuracy[rows], worst_cost=float(cost.max()), worst_accuracy=float(self.accuracy.min())
        ).hypervolume


def read_table(path: Path, *, parameters: Sequence[str], maximize: str, minimize: str) -> Table:
    """Read a CSV of finished trainings.

    Args:
        path: The file; a model whose objectives are missing is left out. Rows that differ in a column `seed` alone,
            as in a study's `trials.csv`, are readings of one model, which has their mean.
        parameters: Columns that together name a model.
        maximize: Column of the accuracy; a column of a loss isn't one.
        minimize: Column of the cost.

    Raises:
        UserError: There is no such file or column, it is no table, an objective is no number, two rows have the same
            parameters, or fewer than two rows or no trade-off are left.
    """
    try:
        frame = pd.read_csv(path)
    except FileNotFoundError as error:
        raise UserError(f"table {path}: no such file") from error
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"table {path}: cannot be read as CSV ({str(error).splitlines()[0]})") from error
    wanted = [*parameters, maximize, minimize]
    if not parameters or len(set(wanted)) < len(wanted):
        raise UserError(f"table {path}: {', '.join(wanted)}: name parameters and both objectives, each once")
    if missing := [name for name in wanted if name not in frame.columns]:
        raise UserError(f"table {path}: no column {', '.join(missing)}; its columns: {', '.join(frame.columns)}")
    for name in (maximize, minimize):
        if not pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name]):
            raise UserError(f"table {path}: column {name} holds no numbers")
    frame = frame.replace([np.inf, -np.inf], np.nan).dropna(subset=[*parameters, maximize])
    of_a_reading = [*parameters, *({_SEED} & set(frame.columns) - set(parameters))]
    twice = frame.duplicated(of_a_reading)
    if twice.any():
        row = frame.loc[twice, of_a_reading].iloc[0]
        shown = ", ".join(f"{name} {value}" for name, value in row.items())
        raise UserError(f"table {path}: two rows have {shown}; name all columns that tell models apart")
    means = frame.groupby(list(parameters), sort=False)[[maximize, minimize]].mean()
    kept = means.dropna().reset_index()
    table = Table(
        name=path.name,
        parameters=kept[list(parameters)],
        accuracy=kept[maximize].to_numpy(dtype=float),
        cost=kept[minimize].to_numpy(dtype=float),
    )
    if len(kept) < 2 or not table._volume(np.arange(len(kept))) > 0:
        raise UserError(f"table {path}: {len(kept)} usable rows without a trade-off of {maximize} and {minimize}")
    return table


def _values(column: pd.Series) -> list[str | float | int | bool]:
    """The column's distinct values in order, as plain Python."""
    return sorted(column.unique().tolist(), key=lambda value: (isinstance(value, str), value))
