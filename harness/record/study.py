"""What is kept of a study, as data: no storage, no torch, no Optuna. Every table and report is made from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.architecture import BASELINE, Architecture
from harness.architecture.choices import Option
from harness.record.constraints import Constraints
from harness.record.data_dictionary import TRIALS
from harness.record.form import AblationRecord, StudySettings, TrainedArm
from harness.record.state import State
from harness.record.surroundings import Environment, SpaceSummary

# User attribute that says what an Optuna trial stands for: one of the three below.
ROLE = "role"
TRAINING, DUPLICATE, INFEASIBLE = "training", "duplicate", "infeasible"
ROW, ARCHITECTURE, MODEL_YAML = "row", "architecture", "model_yaml"
SETTINGS, LAST_RUN, ENVIRONMENT, SPACE = "settings", "last_run", "environment", "space"
# Study attribute of an ablation: its file and its arms; see `harness.ablation.run`.
ABLATION = "ablation"
# Study attribute: what the sampler expects of each of the next trainings, as shares of the hypervolume.
EXPECTED_GAINS = "expected_gains"
# Study attribute on a database server: hash, origin and accuracy of the base that all machines share.
BASE = "common_base"
# Columns of `StudyRecord.trials` and their types in memory.
COLUMNS = {name: column.dtype for name, column in TRIALS.items()}
# Entry of a trial's row beside the columns: class name to AP50-95.
PER_CLASS = "per_class"


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What was chosen for each architecture that was trained, and what came of it.

    Attributes:
        chosen: One row per architecture, one column per parameter; NaN where it was not asked about. Kinds are
            always known: a site that was not asked about, because the blocks were used up, is empty.
        outcomes: The same rows; one column per objective, in its own sign and unit.
        minimized: Objective to whether less is better.
        levels: Parameter to what there was to choose from.
    """

    chosen: pd.DataFrame = field(default_factory=pd.DataFrame)
    outcomes: pd.DataFrame = field(default_factory=pd.DataFrame)
    minimized: Mapping[str, bool] = field(default_factory=dict)
    levels: Mapping[str, tuple[Option, ...]] = field(default_factory=dict)

    @property
    def kinds(self) -> list[str]:
        """Parameters that say what is at a site; see `SearchSpace.suggest`."""
        return [str(name) for name in self.chosen if str(name).endswith(":kind")]


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study as data.

    Attributes:
        name: The study's name.
        trials: One row for each architecture and seed that was trained or failed; `COLUMNS`. The
            baseline comes first.
        architectures: Identity to architecture, the baseline included.
        settings: The options that all trials share, and those of the last run.
        environment: Where and with what it ran.
        space: Name, sites and size of the search space.
        proposals: How often the sampler proposed something already known (`duplicate`) or over a bound on cost
            (`infeasible`).
        model_yamls: Identity to trainable Ultralytics YAML.
        expected_gains: What the sampler expected each of the next trainings to add when it was last asked, as
            shares of the hypervolume that there was; empty where it can't tell.
        per_class: AP50-95 by the row's evaluator: a row for each complete trial, by its number, a column for
            each class; NaN where the validation set has no object of it.
        choices: What the sampler chose and was told, by architecture.
        ablation: File and arms of an ablation; None for a search.
    """

    name: str
    trials: pd.DataFrame
    architectures: dict[str, Architecture]
    settings: StudySettings
    environment: Environment
    space: SpaceSummary
    proposals: dict[str, int]
    model_yamls: dict[str, str]
    expected_gains: tuple[float, ...] = ()
    per_class: pd.DataFrame = field(default_factory=pd.DataFrame)
    choices: Choices = field(default_factory=Choices)
    ablation: AblationRecord | None = None

    @property
    def arms(self) -> tuple[TrainedArm, ...]:
        """What an ablation trains, the baseline first; nothing for a search."""
        return self.ablation.arms if self.ablation else ()

    @property
    def look(self) -> int:
        """How many times the study has been judged on more evaluation seeds than before; `noise.spent` wants it.

        A study from before looks were kept counts as looked at once.
        """
        now: int = evaluation_seeds(self.trials)
        return 1 + len([before for before in self.environment.looks if before < now])

    @property
    def constraints(self) -> Constraints:
        """What candidates had to fulfil in the last run."""
        return self.settings.constraints

    @property
    def min_gain(self) -> float:
        """The smallest difference in mAP50-95 that matters, as the last run or the report was told."""
        return self.settings.min_gain


def evaluation_seeds(trials: pd.DataFrame) -> int:
    """Count the evaluation seeds that have a gain, of the candidate that has most of them.

    Args:
        trials: `StudyRecord.trials`.
    """
    judging = trials[
        (trials["state"] == State.COMPLETE)
        & (trials["architecture"] != BASELINE)
        & trials["gain_map50_95"].notna()
        & ~trials["selected_on"].astype(bool)
    ]
    found = judging.groupby(["architecture", "epochs"])["seed"].nunique()
    return 0 if found.empty else int(found.max())


def trials_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return `StudyRecord.trials` from what is kept of each training; gains are taken anew."""
    blank = {name: "" for name, kind in COLUMNS.items() if kind == "str"} | {"base_seed": 0}
    plain = [{**blank, **row} for row in rows]
    table = _with_gains(pd.DataFrame(plain, columns=list(COLUMNS))).astype(COLUMNS)
    baseline_first = table.architecture.ne(BASELINE).astype(int)
    table = table.assign(_order=baseline_first).sort_values(["_order", "trial"], kind="stable").drop(columns="_order")
    return table.reset_index(drop=True)


def _with_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Add each row's difference to the baseline's complete row of the same base, seed, epochs and kind of evaluator."""
    keyed = rows.assign(by_coco=rows.evaluator.astype(str).str.startswith("COCOeval"))
    key = ["base_seed", "seed", "epochs", "by_coco"]
    is_control = (rows.architecture == BASELINE) & (rows.state == State.COMPLETE)
    controls = keyed[is_control].drop_duplicates(key, keep="last").set_index(key).map50_95
    control = [controls.get(values, float("nan")) for values in keyed[key].itertuples(index=False, name=None)]
    return rows.assign(
        gain_map50_95=rows.map50_95.astype("float64") - pd.Series(control, index=rows.index, dtype="float64")
    )


def base_of(record: StudyRecord) -> str:
    """Return what names a study's base from any folder: a model's name, or an absolute path.

    A path is relative to the folder where the search was begun; of a study from before that was kept, to this one.
    """
    given = str(record.settings.base)
    path = Path(record.environment.folder or ".", given).expanduser().absolute()
    return str(path) if path.is_file() else given
