"""The learning curve of a training: its losses and learning rates by step, or by epoch as Ultralytics tells them.

It lies in a file of the study, so that a report can draw it; its columns are `harness.record.data_dictionary.CURVE`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from harness.common.atomic import write_whole
from harness.record.data_dictionary import CURVE, Kind
from harness.training.image_matches import matches_path

# A plot shows no more; a longer training's rows are means over several steps each.
MOST_ROWS = 2_000

# Column to that of Ultralytics' `results.csv`.
_OF_EPOCHS = {
    **{name: f"train/{name}" for name in CURVE if name.endswith("_loss")},
    "learning_rate": "lr/pg0",  # of Ultralytics' groups that of the matrices, in warm-up too
    "ultralytics_map50_95": "metrics/mAP50-95(B)",
}


def curve_of_steps(
    steps: Sequence[Mapping[str, float]], *, earlier: int, steps_an_epoch: int, map50_95: float
) -> pd.DataFrame:
    """Return the curve of a training by the short trainer.

    Args:
        steps: Each step's losses and rates, by the names of `CURVE`; another name is left out.
        earlier: Steps of the shorter trainings that it went on from.
        steps_an_epoch: Of every epoch, those of the shorter trainings too.
        map50_95: By Ultralytics' validator, after the last step.

    Returns:
        Columns of `CURVE`; at most `MOST_ROWS` rows, each the mean of equally many steps, but the last may have fewer.
    """
    number = earlier + 1 + np.arange(len(steps))
    every = pd.DataFrame(steps).assign(step=number, steps=1, epoch=(number - 1) // steps_an_epoch + 1)
    run = np.arange(len(steps)) // max(1, -(-len(steps) // MOST_ROWS))
    how = {name: {"step": "last", "epoch": "last", "steps": "sum"}.get(str(name), "mean") for name in every}
    curve = _typed(every.groupby(run).agg(how))
    curve.loc[curve.index[-1:], "ultralytics_map50_95"] = map50_95
    return curve


def curve_of_epochs(rows: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """Return the curve of a training by the published recipe, a row an epoch.

    Args:
        rows: Of Ultralytics' `results.csv`. A training that was killed between its row and its checkpoint went through
            that epoch again, and one that could not go on began again at the first: the last row counts.

    Returns:
        Columns of `CURVE`, `step` and `steps` empty; no rows where Ultralytics left none.
    """
    table = pd.DataFrame(rows).astype(float)
    if table.empty:
        return _typed(table)
    attempt = (table["epoch"] == 1).cumsum()
    kept = table[attempt == attempt.max()].drop_duplicates("epoch", keep="last")
    found = {name: kept[theirs] for name, theirs in _OF_EPOCHS.items() if theirs in kept}
    return _typed(pd.DataFrame({"epoch": kept["epoch"], **found}))


def _typed(values: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `CURVE`, empty where there is nothing."""
    kinds = {name: "Int64" if column.kind is Kind.COUNT else column.dtype for name, column in CURVE.items()}
    return values.reindex(columns=[*CURVE]).astype(kinds).reset_index(drop=True)


def curve_path(folder: Path, identity: str, epochs: int, base_seed: int, seed: int) -> Path:
    """Return where the curve of a training lies in a study's folder: named as its matches are."""
    return matches_path(folder, identity, epochs, base_seed, seed).with_suffix(".parquet")


def write_curve(curve: pd.DataFrame, path: Path) -> None:
    """Write a curve as Parquet, what is empty as null. A reader never sees half a file."""
    write_whole(path, curve.to_parquet(index=False))
