"""The Optuna study behind a search: opened or continued, locked, and told what became of trials."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import TrialState

from harness.architecture import BASELINE, Architecture
from harness.constraints import SITE_FIELDS
from harness.errors import UserError
from harness.records import (
    ARCHITECTURE,
    MODEL_YAML,
    ROLE,
    ROW,
    SETTINGS,
    TRAINING,
    StudyRecord,
    open_storage,
    record_of,
)
from harness.search.climb import Key
from harness.search.good_copy import GoodCopy
from harness.search.outcome import State
from harness.search.proposals import Known
from harness.settings import COMPARABLE, Objective, SearchSettings

WEIGHTS = "weights_sha256"
"""Entry of a trial's row beside the record's columns."""


class SearchStudy:
    """One study, open for writing by one search at a time."""

    def __init__(self, study: optuna.Study, settings: SearchSettings) -> None:
        self.optuna = study
        self.settings = settings

    def record(self) -> StudyRecord:
        """Everything so far, as data."""
        return record_of(self.optuna)

    def begin(
        self,
        trial: optuna.trial.Trial,
        architecture: Architecture,
        identity: str,
        model_yaml: str,
        row: Mapping[str, Any],
    ) -> None:
        """Write down what a trial is before it starts, so that a kill leaves its name."""
        trial.set_user_attr(ARCHITECTURE, architecture.to_dict())
        trial.set_user_attr(MODEL_YAML, model_yaml)
        trial.set_user_attr(
            ROW,
            {**row, "architecture": identity, "state": State.INTERRUPTED, "reason": "", "started": _now()},
        )
        trial.set_user_attr(ROLE, TRAINING)

    def end(self, trial: optuna.trial.Trial, state: State, figures: Mapping[str, Any], reason: str = "") -> None:
        """Record how a trial ended, then tell Optuna."""
        row = {**trial.user_attrs[ROW], **figures, "state": state, "reason": reason, "finished": _now()}
        trial.set_user_attr(ROW, row)
        if state is State.COMPLETE:
            self._tell(trial.number, row)
        else:
            self.optuna.tell(trial, state=state.optuna)
        GoodCopy(self.settings.storage_url).keep()

    def _tell(self, number: int, row: Mapping[str, Any]) -> None:
        """The sampler learns from the first rung's epochs alone; every other row stays complete, but is told nothing.

        A gain after more epochs is another quantity than one after few, and known only of the candidates that
        read best: mixed with first readings it would teach a sampler who climbed, not who is better. A trial
        whose seed has no control has no gain at all.

        Nor is there anything to learn where a site is required and the baseline was trained, which is no candidate
        then: its trial has no parameters, and a sampler looks for what all trials have in common.
        """
        no_candidate = row["architecture"] == BASELINE and bool(self.settings.constraints.required_sites)
        is_first_rung = row["epochs"] == self.settings.epochs
        values = self._values(number, row) if is_first_rung and not no_candidate else [math.nan]
        if all(map(math.isfinite, values)):
            self.optuna.tell(number, values)
        else:
            self.optuna.tell(number, state=TrialState.FAIL)

    def _values(self, number: int, row: Mapping[str, Any]) -> list[float]:
        """What the sampler learns: figures freed of drift and of the seed's own level.

        mAP is the first control's plus the paired gain, latency the first control's times the interleaved
        ratio. For the first seed and in a steady machine these are the raw figures.
        """
        rows = self.record().trials
        controls = rows[(rows.architecture == BASELINE) & (rows.state == State.COMPLETE)]
        anchor = controls.iloc[0] if len(controls) else None
        mine = rows[rows.trial == number].iloc[0]
        ratios = rows[
            rows.architecture == mine.architecture
        ].latency_ratio.dropna()  # measured with the first seed only
        own_ms = row.get("latency_ms_p50", math.nan)  # an ablation need not measure it
        ratio = float(ratios.iloc[0]) if len(ratios) else math.nan
        values = {
            Objective.MAP50_95: row["map50_95"] if anchor is None else anchor.map50_95 + mine.gain_map50_95,
            Objective.LATENCY: own_ms if anchor is None else anchor.latency_ms_p50 * ratio,
            Objective.MACS: row["macs"],
            Objective.PARAMS: row["params"],
        }
        return [float(values[objective]) for objective in self.settings.objectives]

    def states(self) -> dict[Key, State]:
        """What became of each training: complete if any of its trials is, interrupted if no trial settled it."""
        states: dict[Key, State] = {}
        for row in self._rows():
            key, state = Key(row["architecture"], row["epochs"], row["seed"]), State(row["state"])
            if state is State.COMPLETE or not (key in states and states[key].settled):
                states[key] = state
        return states

    def _rows(self) -> list[dict[str, Any]]:
        trials = self.optuna.get_trials(deepcopy=False)
        return [trial.user_attrs[ROW] for trial in trials if trial.user_attrs.get(ROLE) == TRAINING]

    def known(self) -> dict[str, Known]:
        """Every architecture that was settled, by identity, with what Optuna was told of its first seed."""
        known: dict[str, Known] = {}
        for trial in self.optuna.get_trials(deepcopy=False):
            if trial.user_attrs.get(ROLE) != TRAINING or not State(trial.user_attrs[ROW]["state"]).settled:
                continue
            row = trial.user_attrs[ROW]
            if self._is_first(row):
                values = tuple(trial.values) if trial.state == TrialState.COMPLETE else None
                known[row["architecture"]] = Known(values=values)
        return known

    def _is_first(self, row: Mapping[str, Any]) -> bool:
        """Whether it is the training that an architecture begins with."""
        return (row["seed"], row["epochs"]) == (self.settings.seed, self.settings.epochs)

    def checkpoints(self, identity: str, seed: int) -> dict[int, str]:
        """Epochs to SHA-256 of the weights that an architecture's complete trainings of a seed left."""
        return {
            row["epochs"]: row[WEIGHTS]
            for row in self._rows()
            if WEIGHTS in row and (row["architecture"], row["seed"]) == (identity, seed)
        }

    def close_interrupted(self) -> list[Architecture]:
        """Tell Optuna of trials that a killed search left running.

        Returns:
            Candidates whose first training was cut short and has no result since: to be run again first.
        """
        for trial in self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            row = trial.user_attrs.get(ROW, {})
            if trial.user_attrs.get(ROLE) == TRAINING and row["state"] == State.COMPLETE:
                self._tell(trial.number, row)  # killed between record and tell
            else:
                self.optuna.tell(trial.number, state=TrialState.FAIL)
        known = self.known()
        left: dict[str, Architecture] = {}
        for trial in self.optuna.get_trials(deepcopy=False):
            if trial.user_attrs.get(ROLE) == TRAINING:
                row = trial.user_attrs[ROW]
                if self._is_first(row) and row["architecture"] not in known:
                    left[row["architecture"]] = Architecture.from_dict(trial.user_attrs[ARCHITECTURE])
        left.pop(BASELINE, None)
        return list(left.values())


@contextmanager
def open_study(
    settings: SearchSettings, comparable: Mapping[str, Any], tell: Callable[[str], None] = lambda _: None
) -> Iterator[SearchStudy]:
    """Create the study, or continue it.

    Args:
        settings: What was asked for.
        comparable: What all trials of the study must share, beyond the settings: data, space, base.
        tell: Called with what a person should know: that a damaged database was replaced by its last good copy.

    Raises:
        UserError: Another search holds the study, it was made with other settings, or its storage does not open.
    """
    _quiet_optuna()
    with _locked(settings):
        if said := GoodCopy(settings.storage_url).recover():
            tell(said)
        storage = open_storage(settings.storage_url)
        study = optuna.create_study(
            study_name=settings.study,
            storage=storage,
            directions=[objective.direction for objective in settings.objectives],
            sampler=optuna.samplers.RandomSampler(seed=settings.seed),  # until what candidates cost is known
            load_if_exists=True,
        )
        _check_same(study, settings, comparable)
        yield SearchStudy(study, settings)


@contextmanager
def continue_study(settings: SearchSettings) -> Iterator[SearchStudy]:
    """Open a study that exists, to add trainings that no sampler asked for.

    Args:
        settings: The study's own, as its record has them.

    Raises:
        UserError: Another program holds the study, or its storage does not open.
    """
    _quiet_optuna()
    with _locked(settings):
        study = optuna.load_study(study_name=settings.study, storage=open_storage(settings.storage_url))
        yield SearchStudy(study, settings)


@contextmanager
def _locked(settings: SearchSettings) -> Iterator[None]:
    """While nobody else writes to the study."""
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{settings.folder}: cannot be made ({error.strerror}); choose another --results folder"
        ) from error
    lock = FileLock(settings.folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UserError(
            f"study {settings.study}: another clo search is running on it; wait for it or choose another --study"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check_same(study: optuna.Study, settings: SearchSettings, comparable: Mapping[str, Any]) -> None:
    levels = settings.ladder.levels
    sites = settings.constraints.model_dump(mode="json", include=set(SITE_FIELDS))
    now = {**settings.model_dump(mode="json", include=set(COMPARABLE)), **sites, **comparable}
    now["epochs_of_rungs"] = list(levels) if len(levels) > 1 else None  # 12 after 3 are not 12 after 6
    before = study.user_attrs.get(SETTINGS)
    if before is None:
        study.set_user_attr(SETTINGS, now)
        study.set_metric_names([str(objective) for objective in settings.objectives])
        return
    before = {name: [] for name in SITE_FIELDS} | before  # a study from before there were any
    for name, value in now.items():
        if before.get(name) != value:
            raise UserError(
                f"study {settings.study} exists with another {name} ({_short(before.get(name))}, now {_short(value)}); "
                f"choose another --study, or give what it was made with"
            )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _quiet_optuna() -> None:
    optuna.logging.set_verbosity(logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
