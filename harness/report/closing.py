"""A finished search in one object: what a script reads, and the sentence a person reads last."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pandas as pd

from harness.analysis.analysis import analyse
from harness.analysis.power import NoNumber
from harness.architecture import BASELINE
from harness.record.state import State
from harness.record.study import StudyRecord
from harness.report.ablation import ablation_content
from harness.report.answer import answer
from harness.report.search import SearchContent


def closing(record: StudyRecord, content: SearchContent | None = None) -> dict[str, Any]:
    """The contract of `clo search --json`, without the folder.

    Args:
        record: The study.
        content: What its report says, where that is known already; of a thousand candidates it saves most of a second.

    Returns:
        `finished` and `failed`: candidates with and without a complete training, interrupted ones in
        neither; `front`: identities on a front, best gain first; `pick`: whom the report recommends, the baseline
        where nobody gains enough, None where nothing can be; `picked`: its gain, `ci95`, verdict and evaluation seeds,
        None for the baseline; `answer`: the report's first sentences.
    """
    if record.ablation:
        return _of_ablation(record)
    if content:
        said, front = content.answer, content.front
    else:
        study = analyse(record)
        said, front = answer(study), study.front
    candidates = record.trials[record.trials.architecture != BASELINE]
    complete = set(candidates[candidates.state == State.COMPLETE].architecture)
    failed = set(candidates[~candidates.state.isin([State.COMPLETE, State.INTERRUPTED])].architecture) - complete
    return {
        "study": record.name,
        "finished": len(complete),
        "failed": len(failed),
        "front": [str(identity) for identity in front.index],
        "pick": said.pick.architecture if said.pick else None,
        "picked": asdict(said.pick.picked) if said.pick and said.pick.picked else None,
        "answer": f"{said.opening} {said.lead}".strip(),
    }


def _of_ablation(record: StudyRecord) -> dict[str, Any]:
    """The contract of `clo ablate --json`: the same, without a front and with every difference."""
    said = ablation_content(record)
    done = record.trials.state == State.COMPLETE
    families = {"gains": said.gains, "worths": said.worths}
    return {
        "study": record.name,
        "finished": int(done.sum()),
        "failed": int((~done & ~record.trials.state.isin(["interrupted"])).sum()),
        "answer": f"{said.page.headline} {said.page.lead}".strip(),
        **{name: _jsonable(rows) for name, rows in families.items()},
    }


def _jsonable(rows: pd.DataFrame) -> list[dict[Any, Any]]:
    """Rows without what JSON has no number for: what is unknown is null, too many seeds are said in words."""
    known = rows.astype(object).where(rows.notna(), None)
    return known.assign(readings_needed=known["readings_needed"].replace(math.inf, str(NoNumber.TOO_MANY))).to_dict(
        "records"
    )
