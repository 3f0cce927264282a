"""A table of finished trainings, as data that a search can be replayed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from optuna.distributions import CategoricalDistribution

from harness.analysis.fronts import non_dominated
from harness.analysis.hypervolume import relative_hypervolume
from harness.common.errors import UserError
from harness.search.candidates import ListedCandidates
from harness.search.improvement import Floats

# Column of a study's `trials.csv`.
_SEED = "seed"


@dataclass(frozen=True, kw_only=True)
class Table:
    """Models that were trained, each once in the table.

    Attributes:
        name: The file's.
        parameters: Columns that say which model it is; one row each.
        accuracy: (N,); more is better.
        cost: (N,), above 0; less is better.
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
        """Return the rows as candidates.

        Args:
            cost: (N,); what a search believes they cost.
        """
        rows = self.parameters.to_dict("records")
        return ListedCandidates(self.distributions, [{str(k): v for k, v in row.items()} for row in rows], cost)

    def share(self, rows: Sequence[int]) -> float:
        """Compute some rows' share of the whole table's hypervolume (`relative_hypervolume`); NaN if that has none."""
        return relative_hypervolume(self.objectives.iloc[list(rows)], self.objectives, ["accuracy"], ["cost"])

    def front(self, accuracy: Mapping[int, float]) -> list[int]:
        """Return the rows that nothing else beats, were these their accuracies."""
        believed = self.objectives.loc[list(accuracy)].assign(accuracy=pd.Series(accuracy))
        return [int(row) for row in believed.index[non_dominated(believed, ["accuracy"], ["cost"])]]

    @cached_property
    def objectives(self) -> pd.DataFrame:
        """`accuracy` and `cost`, by row."""
        return pd.DataFrame({"accuracy": self.accuracy, "cost": self.cost})


def read_table(path: Path, *, parameters: Sequence[str], maximize: str, minimize: str) -> Table:
    """Read a CSV of finished trainings.

    Args:
        path: The file; a model whose objectives are missing, or whose cost is 0 or less, is left out. Rows that
            differ in a column `seed` alone, as in a study's `trials.csv`, are readings of one model, which has
            their mean.
        parameters: Columns that together name a model.
        maximize: Column of the accuracy; a column of a loss isn't one.
        minimize: Column of the cost.

    Raises:
        UserError: There is no such file or column, it is no table, an objective is no number, two rows have the same
            parameters, or no model is better than the worst in both objectives, so that there is no hypervolume.
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
    kept = means[means[minimize] > 0].dropna().reset_index()
    table = Table(
        name=path.name,
        parameters=kept[list(parameters)],
        accuracy=kept[maximize].to_numpy(dtype=float),
        cost=kept[minimize].to_numpy(dtype=float),
    )
    if kept.empty or not table.share(range(len(kept))) > 0:
        both = f"{maximize} and {minimize}"
        raise UserError(f"table {path}: of {len(kept)} usable models none is better than the worst in both {both}")
    return table


def _values(column: pd.Series) -> list[str | float | int | bool]:
    """Return the column's distinct values in order, as plain Python."""
    return sorted(column.unique().tolist(), key=lambda value: (isinstance(value, str), value))
