"""What is kept of a study, and the only reader of its storage.

A study is an Optuna study whose trials carry, as user attributes, what Optuna has no place for. Every
table and report is made from here; nothing is kept beside the storage that it could contradict.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import optuna
import pandas as pd
import sqlalchemy
from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from harness.architecture import BASELINE, Architecture
from harness.choices import NO_BLOCK, Option
from harness.constraints import Constraints
from harness.errors import UserError
from harness.patient_storage import PatientStorage
from harness.settings import MIN_GAIN, is_server, require_storage_url, with_driver, without_password
from harness.study_form import check_names, check_study, check_trial

LOCK_SECONDS = 30.0
"""How long SQLite waits for another program to let go of the database, unless its URL says so: `?timeout=5`."""

ROLE = "role"
"""User attribute that says what an Optuna trial stands for: one of the three below."""
TRAINING, DUPLICATE, INFEASIBLE = "training", "duplicate", "infeasible"
ROW, ARCHITECTURE, MODEL_YAML = "row", "architecture", "model_yaml"
SETTINGS, LAST_RUN, ENVIRONMENT, SPACE = "settings", "last_run", "environment", "space"
ABLATION = "ablation"
"""Study attribute of an ablation: its file and its arms; see `harness.search.ablate`."""
EXPECTED_GAINS = "expected_gains"
"""Study attribute: what the sampler expects of each of the next trainings, as shares of the hypervolume."""
BASE = "common_base"
"""Study attribute on a database server: hash, origin and accuracy of the base that all machines share."""
LOOKS = "looks"
"""Study attribute, and entry of the environment: evaluation seeds of the candidate that had most, each time that a
search ended with more of them than before."""
AA_CHECK = "latency_aa_check"
"""Entry of the environment: the baseline's latency over that of its own copy, and its interval."""
LATENCY_THREADS = "latency_threads"
"""Entry of the environment: CPU threads of latency measurements, `count` and `reason`."""
DATA_REPAIRS = "data_repairs"
"""Entry of the environment: what was repaired in the data, and what is not used of it, a list of sentences."""
DATA_CAUTIONS = "data_cautions"
"""Entry of the environment: what bears on what the data can tell, a list of sentences."""

COLUMNS: dict[str, str] = {
    "trial": "int64",
    "architecture": "str",
    "seed": "int64",
    "base_seed": "int64",
    "epochs": "int64",
    "state": "str",
    "reason": "str",
    "map50_95": "float64",
    "map50": "float64",
    "evaluator": "str",
    "ultralytics_map50_95": "float64",
    "coco_map50_95": "float64",
    "coco_map50": "float64",
    "coco_map_small": "float64",
    "coco_map_medium": "float64",
    "coco_map_large": "float64",
    "gain_map50_95": "float64",
    "latency_ms_p50": "float64",
    "latency_ms_p90": "float64",
    "latency_ratio": "float64",
    "latency_ratio_low": "float64",
    "latency_ratio_high": "float64",
    "macs": "float64",
    "flops": "float64",
    "params": "float64",
    "train_seconds": "float64",
    "cpu_seconds": "float64",
    "started": "str",
    "finished": "str",
    "selected_on": "bool",
    "transferred": "str",
    "image_influence": "str",
}
"""Columns of `StudyRecord.trials` and their types; units are in the names, ratios are to the baseline.

`base_seed` is the seed of the common base's own training; 0 in studies from before it was kept.
`map50_95` and `map50` are those of `evaluator`, which is empty in studies from before it was kept: there it
was Ultralytics' validator."""
PER_CLASS = "per_class"
"""Entry of a trial's row beside the columns: class name to AP50-95."""


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
        ablation: File and arms of an ablation; empty for a search.
    """

    name: str
    trials: pd.DataFrame
    architectures: dict[str, Architecture]
    settings: dict[str, Any]
    environment: dict[str, Any]
    space: dict[str, Any]
    proposals: dict[str, int]
    model_yamls: dict[str, str]
    expected_gains: tuple[float, ...] = ()
    per_class: pd.DataFrame = field(default_factory=pd.DataFrame)
    choices: Choices = field(default_factory=Choices)
    ablation: dict[str, Any] = field(default_factory=dict)

    @property
    def look(self) -> int:
        """How many times the study has been judged on more evaluation seeds than before; `noise.spent` wants it.

        A study from before looks were kept counts as looked at once.
        """
        now: int = evaluation_seeds(self.trials)
        return 1 + len([before for before in self.environment.get(LOOKS, ()) if before < now])

    @property
    def constraints(self) -> Constraints:
        """What candidates had to fulfil in the last run."""
        return Constraints.model_validate(self.settings.get("constraints", {}))

    @property
    def min_gain(self) -> float:
        """The smallest difference in mAP50-95 that matters, as the last run or the report was told."""
        return float(self.settings.get("min_gain", MIN_GAIN))


def evaluation_seeds(trials: pd.DataFrame) -> int:
    """Seeds that picked nobody and have a gain, of the candidate that has most of them.

    Args:
        trials: `StudyRecord.trials`.
    """
    judging = trials[
        (trials["state"] == "complete")
        & (trials["architecture"] != BASELINE)
        & trials["gain_map50_95"].notna()
        & ~trials["selected_on"].astype(bool)
    ]
    found = judging.groupby(["architecture", "epochs"])["seed"].nunique()
    return 0 if found.empty else int(found.max())


def open_storage(url: str) -> optuna.storages.RDBStorage:
    """Open Optuna's storage.

    Raises:
        UserError: It cannot be reached, is locked or is no database.
    """
    require_storage_url(url)
    if is_server(url) and importlib.util.find_spec("psycopg") is None:
        raise UserError(f"storage {without_password(url)}: needs psycopg; pip install 'clo-nas[postgres]'")
    says_so = "timeout" in sqlalchemy.make_url(url).query if url.startswith("sqlite") else True
    engine = {} if says_so else {"connect_args": {"timeout": LOCK_SECONDS}}
    try:
        if is_server(url):
            return PatientStorage(with_driver(url))
        # Optuna formats the URL, for a placeholder of its own: braces of a path would be taken for one.
        storage = optuna.storages.RDBStorage(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=engine)
        if url.startswith("sqlite"):
            # Write-ahead log: a report can be read while a search writes, and a commit costs no disk flush.
            # A killed process loses nothing; a power cut may cost the last trial.
            sqlalchemy.event.listen(storage.engine, "connect", _pragmas)
            storage.engine.dispose()
        return storage
    except (SQLAlchemyError, ImportError, RuntimeError, ValueError) as error:
        if "table schema" in str(error):
            raise UserError(
                f"storage {without_password(url)}: was made by another version of Optuna than the installed "
                f"{optuna.__version__}; read it with the clo-nas that made it, or name another storage"
            ) from error
        raise UserError(
            f"storage {without_password(url)}: cannot be opened ({storage_failure(error)}); "
            f"is it an Optuna database, not locked, on a disk with room?"
        ) from error


def storage_failure(error: BaseException) -> str:
    """What the database itself said, in one line: SQLAlchemy and Optuna wrap it in generalities."""
    wrapped: BaseException | None = error
    while wrapped is not None:
        if original := getattr(wrapped, "orig", None):
            error = original
            break
        wrapped = wrapped.__cause__
    return without_password((str(error).strip() or type(error).__name__).splitlines()[0])


def _pragmas(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def load_record(url: str, name: str) -> StudyRecord:
    """Read a study from storage.

    Raises:
        UserError: There is no such study.
    """
    file = sqlite_file(url)
    if file is not None and not file.is_file():  # opening it would make one
        raise UserError(f"study {name}: storage {url} does not exist")
    storage = open_storage(url)
    try:
        study = optuna.load_study(study_name=name, storage=storage)
    except KeyError as error:
        names = ", ".join(optuna.get_all_study_names(storage)) or "none"
        raise UserError(f"study {name}: not in {without_password(url)}; there are: {names}") from error
    return checked_record(study)


def study_names(url: str) -> list[str]:
    """The studies of a storage."""
    file = sqlite_file(url)
    return [] if file is not None and not file.is_file() else optuna.get_all_study_names(open_storage(url))


def checked_record(study: optuna.Study) -> StudyRecord:
    """The record of a study that may have been written by anybody.

    Raises:
        UserError: It is not as clo-nas writes it, or holds names that would lead out of its folder.
    """
    try:
        _check_form(study)
        record = record_of(study)
        placements = (p for architecture in record.architectures.values() for p in architecture.placements)
        check_names(record.name, record.trials.architecture.unique(), (p.site for p in placements))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(
            f"study {study.study_name}: what its storage holds is not as clo-nas writes it "
            f"({type(error).__name__}: {' '.join(str(error).split())})"
        ) from error
    return record


def _check_form(study: optuna.Study) -> None:
    attributes = study.user_attrs
    settings = {**_mapping(attributes, LAST_RUN), **_mapping(attributes, SETTINGS)}
    shown = {name: attributes.get(name) for name in (SPACE, ENVIRONMENT, ABLATION, EXPECTED_GAINS)}
    check_study({**shown, SETTINGS: settings})
    for trial in study.get_trials(deepcopy=False):
        given = {name: trial.user_attrs[name] for name in (ROW, MODEL_YAML) if name in trial.user_attrs}
        check_trial(trial.number, COLUMNS, given)


def _mapping(attributes: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = attributes.get(name, {})
    if not isinstance(value, dict):
        raise TypeError(f"its '{name}' is no mapping")
    return value


def sqlite_file(url: str) -> Path | None:
    """The file behind a plain SQLite URL; None where there is none."""
    if not url.startswith("sqlite:///"):
        return None
    path = sqlalchemy.make_url(url).database or ""
    return Path(path) if path and not path.startswith((":memory:", "file:")) else None


def record_of(study: optuna.Study) -> StudyRecord:
    """The record of an open study."""
    trials = study.get_trials(deepcopy=False)
    trained = [trial for trial in trials if trial.user_attrs.get(ROLE) == TRAINING and ROW in trial.user_attrs]
    attributes = study.user_attrs
    return StudyRecord(
        name=study.study_name,
        trials=trials_of({"trial": t.number, **t.user_attrs[ROW]} for t in trained),
        architectures={
            t.user_attrs[ROW]["architecture"]: Architecture.from_dict(t.user_attrs[ARCHITECTURE])
            for t in reversed(trained)
        },
        settings={**attributes.get(LAST_RUN, {}), **attributes.get(SETTINGS, {})},
        environment=cast(dict[str, Any], attributes.get(ENVIRONMENT, {})) | _looks(attributes),
        space=cast(dict[str, Any], attributes.get(SPACE, {})),
        proposals={role: sum(t.user_attrs.get(ROLE) == role for t in trials) for role in (DUPLICATE, INFEASIBLE)},
        model_yamls={t.user_attrs[ROW]["architecture"]: t.user_attrs[MODEL_YAML] for t in reversed(trained)},
        expected_gains=tuple(attributes.get(EXPECTED_GAINS, ())),
        per_class=_per_class({t.number: t.user_attrs[ROW].get(PER_CLASS, {}) for t in trained}),
        choices=choices_of(study),
        ablation=cast(dict[str, Any], attributes.get(ABLATION, {})),
    )


def trials_of(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return `StudyRecord.trials` from what is kept of each training; gains are taken anew."""
    blank = {name: "" for name, kind in COLUMNS.items() if kind == "str"} | {"base_seed": 0}
    plain = [{**blank, **row} for row in rows]
    table = _with_gains(pd.DataFrame(plain, columns=list(COLUMNS))).astype(COLUMNS)
    baseline_first = table.architecture.ne(BASELINE).astype(int)
    table = table.assign(_order=baseline_first).sort_values(["_order", "trial"], kind="stable").drop(columns="_order")
    return table.reset_index(drop=True)


def _looks(attributes: Mapping[str, Any]) -> dict[str, list[int]]:
    looks = [int(seeds) for seeds in attributes.get(LOOKS, ())]
    return {LOOKS: looks} if looks else {}


def choices_of(study: optuna.Study) -> Choices:
    """The choices and outcomes of a search's study.

    Trials that carry a completed training count, the baseline's included; duplicates and failures do not. What
    the sampler learnt from several seeds of an architecture is averaged.
    """
    trials = [
        trial
        for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
        if trial.user_attrs.get(ROLE) == TRAINING
    ]
    names = [trial.user_attrs[ROW]["architecture"] for trial in trials]
    objectives = study.metric_names or [f"values_{at}" for at in range(len(study.directions))]
    told = pd.DataFrame([tuple(trial.values) for trial in trials], index=names, columns=objectives, dtype=float)
    chosen = pd.DataFrame([trial.params for trial in trials], index=names, dtype=object)
    chosen = chosen[~chosen.index.duplicated()]
    choices = Choices(
        chosen=chosen,
        outcomes=told.groupby(level=0).mean().reindex(chosen.index),
        minimized={
            name: direction is StudyDirection.MINIMIZE
            for name, direction in zip(objectives, study.directions, strict=True)
        },
        levels={
            name: cast(tuple[Option, ...], cast(CategoricalDistribution, each).choices)
            for trial in trials
            for name, each in trial.distributions.items()
        },
    )
    chosen[choices.kinds] = chosen[choices.kinds].where(chosen[choices.kinds].notna(), NO_BLOCK)
    return choices


def _per_class(trials: Mapping[int, Mapping[str, float]]) -> pd.DataFrame:
    known = {number: values for number, values in trials.items() if values}
    return pd.DataFrame.from_dict(known, orient="index", dtype="float64").rename_axis(index="trial", columns="class")


def _with_gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Add each row's difference to the baseline's complete row of the same base, seed, epochs and kind of evaluator."""
    keyed = rows.assign(by_coco=rows.evaluator.astype(str).str.startswith("COCOeval"))
    key = ["base_seed", "seed", "epochs", "by_coco"]
    is_control = (rows.architecture == BASELINE) & (rows.state == "complete")
    controls = keyed[is_control].drop_duplicates(key, keep="last").set_index(key).map50_95
    control = [controls.get(values, float("nan")) for values in keyed[key].itertuples(index=False, name=None)]
    return rows.assign(
        gain_map50_95=rows.map50_95.astype("float64") - pd.Series(control, index=rows.index, dtype="float64")
    )
