"""What the next size of the base's family gains, measured as a candidate is: a scale for a candidate's gain."""

from __future__ import annotations

from typing import Any

import pandas as pd

from harness.analysis.statistics import summarise
from harness.architecture import BASELINE
from harness.record.state import State
from harness.record.study import StudyRecord


def ruler_row(record: StudyRecord, larger: StudyRecord) -> pd.Series[Any] | None:
    """Summarise the larger base as one more candidate of a search, over the search's baseline of the same seeds.

    Its interval holds the scatter between its seeds, moderated as candidates' are, and another sample of validation
    images. It was chosen by nobody, so that it needs no correction; it corrects nobody else either.

    Args:
        record: The search.
        larger: The study of the larger base alone, trained for as many epochs under evaluation seeds.

    Returns:
        Its row as `summarise` makes it; None with fewer than two seeds that both have.
    """
    name, epochs = larger.settings.base, larger.settings.epochs
    own = record.trials[(record.trials["architecture"] == BASELINE) & (record.trials["epochs"] == epochs)]
    own = own[own["state"] == State.COMPLETE].drop_duplicates("seed", keep="last")
    readings: pd.Series[Any] = own.set_index("seed")["map50_95"]
    rows = larger.trials.assign(architecture=name, selected_on=False)
    rows["gain_map50_95"] = rows["map50_95"].to_numpy() - readings.reindex(rows["seed"]).to_numpy()
    if name in record.architectures or rows["gain_map50_95"].notna().sum() < 2:
        return None
    summary = summarise(pd.concat([record.trials, rows], ignore_index=True))
    return next(row for each, row in summary.iterrows() if each == name)
