"""The only reader of a study's storage.

A study is an Optuna study whose trials carry, as user attributes, what Optuna has no place for. Every
table and report is made from here; nothing is kept beside the storage that it could contradict.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import optuna
import pandas as pd
import sqlalchemy
from optuna.distributions import CategoricalDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from harness.architecture import Architecture
from harness.architecture.choices import NO_BLOCK, Option
from harness.common.errors import UserError
from harness.record.form import AblationRecord, StudySettings, check_names, check_study, check_trial
from harness.record.storage_url import is_server, require_storage_url, with_driver, without_password
from harness.record.study import (
    ABLATION,
    ARCHITECTURE,
    COLUMNS,
    DUPLICATE,
    ENVIRONMENT,
    EXPECTED_GAINS,
    INFEASIBLE,
    LAST_RUN,
    MODEL_YAML,
    PER_CLASS,
    ROLE,
    ROW,
    SETTINGS,
    SPACE,
    TRAINING,
    Choices,
    StudyRecord,
    trials_of,
)
from harness.record.surroundings import LOOKS, Environment, SpaceSummary
from harness.storage.patient_storage import PatientStorage

# How long SQLite waits for another program to let go of the database, unless its URL says so: `?timeout=5`.
LOCK_SECONDS = 30.0


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
    """Return what the database itself said, in one line: SQLAlchemy and Optuna wrap it in generalities."""
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
    """List the studies of a storage."""
    file = sqlite_file(url)
    return [] if file is not None and not file.is_file() else optuna.get_all_study_names(open_storage(url))


def begun_with(url: str, name: str, entry: str = SETTINGS) -> Mapping[str, Any]:
    """Return an entry of a study as it was begun: what its trials share, or what makes it an ablation (`ABLATION`).

    It is empty of a study that is not there or does not open: whoever opens it for writing says what is wrong with it.
    """
    try:
        if name not in study_names(url):
            return {}
        found: Mapping[str, Any] = optuna.load_study(study_name=name, storage=open_storage(url)).user_attrs[entry]
    # Of Optuna, too: damaged, or of another version.
    except (UserError, SQLAlchemyError, RuntimeError, LookupError, ValueError):
        return {}
    return found


def checked_record(study: optuna.Study) -> StudyRecord:
    """Read the record of a study that may have been written by anybody.

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
    """Return the file behind a plain SQLite URL; None where there is none."""
    if not url.startswith("sqlite:///"):
        return None
    path = sqlalchemy.make_url(url).database or ""
    return Path(path) if path and not path.startswith((":memory:", "file:")) else None


def record_of(study: optuna.Study) -> StudyRecord:
    """Build the record of an open study."""
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
        settings=StudySettings.of({**attributes.get(LAST_RUN, {}), **attributes.get(SETTINGS, {})}),
        environment=Environment.of(attributes.get(ENVIRONMENT, {})) | _looks(attributes),
        space=SpaceSummary.of(attributes.get(SPACE, {})),
        proposals={role: sum(t.user_attrs.get(ROLE) == role for t in trials) for role in (DUPLICATE, INFEASIBLE)},
        model_yamls={t.user_attrs[ROW]["architecture"]: t.user_attrs[MODEL_YAML] for t in reversed(trained)},
        expected_gains=tuple(attributes.get(EXPECTED_GAINS, ())),
        per_class=_per_class({t.number: t.user_attrs[ROW].get(PER_CLASS, {}) for t in trained}),
        choices=choices_of(study),
        ablation=AblationRecord.of(kept) if (kept := attributes.get(ABLATION)) else None,
    )


def _looks(attributes: Mapping[str, Any]) -> dict[str, list[int]]:
    looks = [int(seeds) for seeds in attributes.get(LOOKS, ())]
    return {LOOKS: looks} if looks else {}


def choices_of(study: optuna.Study) -> Choices:
    """Return the choices and outcomes of a search's study.

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
