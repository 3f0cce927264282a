"""The Optuna study behind a search: told what became of trials, asked what there is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypedDict, cast

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from harness.architecture import BASELINE, Architecture
from harness.record.settings import Objective, SearchSettings
from harness.record.state import Key, State
from harness.record.study import (
    ARCHITECTURE,
    ENVIRONMENT,
    MODEL_YAML,
    ROLE,
    ROW,
    TRAINING,
    StudyRecord,
    evaluation_seeds,
)
from harness.record.surroundings import LOOKS, Environment
from harness.storage.good_copy import GoodCopy
from harness.storage.members import ME, Alone, Members
from harness.storage.records import record_of

Trial = optuna.trial.Trial
WEIGHTS: Final = "weights_sha256"
WORKER: Final = "worker"
# Entries of a trial's row beside the record's columns: whose it is, and whether that one died of it.
DIED: Final = "died"


class Row(TypedDict, total=False):
    """What a study decides by, of all that a trial's row has: columns of the record and the entries above."""

    architecture: str
    seed: int
    base_seed: int
    epochs: int
    state: str
    reason: str
    finished: str
    map50_95: float
    evaluator: str
    latency_ms_p50: float
    latency_ratio: float
    macs: float
    params: float
    weights_sha256: str
    worker: str
    died: bool


@dataclass(frozen=True, kw_only=True)
class Known:
    """An architecture that the study has a result for.

    Attributes:
        values: What Optuna was told, or None where the trial failed.
    """

    values: tuple[float, ...] | None


class SearchStudy:
    """One study, open for writing: by one search at a time, or by many that share a database server.

    Args:
        study: Optuna's.
        storage: Its storage.
        settings: What was asked for.
        members: Who else may write.
    """

    def __init__(
        self, study: optuna.Study, storage: RDBStorage, settings: SearchSettings, members: Members | None = None
    ) -> None:
        self.optuna = study
        self.settings = settings
        self.members = members or Alone()
        self.storage = storage
        self._study_id = storage.get_study_id_from_name(study.study_name)

    def record(self) -> StudyRecord:
        """Return everything so far, as data."""
        return record_of(self.optuna)

    @property
    def environment(self) -> Environment:
        """Where and with what the study ran, as far as it is known."""
        return Environment.of(self.optuna.user_attrs.get(ENVIRONMENT, {}))

    @environment.setter
    def environment(self, environment: Environment) -> None:
        self.optuna.set_user_attr(ENVIRONMENT, environment.to_dict())

    def looked(self) -> StudyRecord:
        """Return everything at a search's end, and keep that as a look if it is one on more seeds than before."""
        with self.members.turn():
            record = self.record()
            seeds, before = evaluation_seeds(record.trials), list(self.optuna.user_attrs.get(LOOKS, ()))
            if seeds > max(before, default=0):
                self.optuna.set_user_attr(LOOKS, [*before, seeds])
        return self.record()

    def begin(
        self,
        trial: optuna.trial.Trial,
        architecture: Architecture,
        identity: str,
        model_yaml: str,
        row: Mapping[str, Any],
    ) -> None:
        """Write down what a trial is before it starts, so that a kill leaves its name."""
        self.members.works_on(self._id(trial.number))
        trial.set_user_attr(ARCHITECTURE, architecture.to_dict())
        trial.set_user_attr(MODEL_YAML, model_yaml)
        trial.set_user_attr(
            ROW,
            {
                **row,
                "architecture": identity,
                "state": State.INTERRUPTED,
                "reason": "",
                "started": _now(),
                WORKER: ME,
            },
        )
        trial.set_user_attr(ROLE, TRAINING)

    def end(self, trial: optuna.trial.Trial, state: State, figures: Mapping[str, Any], reason: str = "") -> None:
        """Record how a trial ended, then tell Optuna.

        Who was cut off from the storage for so long that it was taken for dead hands in its result all the same,
        unless another was faster: nothing finished is lost, and nothing counts twice.
        """
        with self.members.turn():
            ended = {**trial.user_attrs[ROW], **figures, "state": state, "reason": reason, "finished": _now()}
            row = cast(Row, ended)
            number = trial.number
            if self.storage.get_trial(self._id(number)).state is not TrialState.RUNNING:
                if not state.settled or State.COMPLETE in self._ends(row):
                    return
                number = self._once_more(trial)
            elif state is State.COMPLETE and State.COMPLETE in self._ends(row):
                row |= {"state": State.INTERRUPTED, "reason": "another worker had it finished before"}
            self._write(number, row)
            self.members.leaves(self._id(trial.number))
            if row["state"] is not State.COMPLETE:
                self.optuna.tell(number, state=TrialState.FAIL)
            self._tell_what_is_complete()
        GoodCopy(self.settings.storage_url).keep()

    def _tell_what_is_complete(self) -> None:
        """Tell Optuna of trials that are complete, once their control is settled: without it there is no gain.

        Among them may be one whose search was killed between record and tell.
        """
        under_way = self.under_way()
        for trial in self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            row = trial.user_attrs.get(ROW, {})
            is_complete = trial.user_attrs.get(ROLE) == TRAINING and row["state"] == State.COMPLETE
            if is_complete and _key(row)._replace(identity=BASELINE) not in under_way:
                self._tell(trial.number, row)

    def _ends(self, row: Row) -> list[State]:
        """Return what became of the trials of the same training."""
        return [State(each["state"]) for each in self._rows() if _training(each) == _training(row)]

    def _once_more(self, trial: optuna.trial.Trial) -> int:
        """Add a running trial like one that was closed too early."""
        closed = self.storage.get_trial(self._id(trial.number))
        again = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=closed.params,
            distributions=closed.distributions,
            user_attrs=closed.user_attrs,
            system_attrs=closed.system_attrs,
        )
        self.optuna.add_trial(again)
        return max(each.number for each in self.optuna.get_trials(deepcopy=False))

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number)

    def _write(self, number: int, row: Row) -> None:
        self.storage.set_trial_user_attr(self._id(number), ROW, row)

    def _tell(self, number: int, row: Row) -> None:
        """Tell the sampler of the first rung's epochs alone; every other row stays complete, but nothing is told of it.

        A gain after more epochs is another quantity than one after few, and known only of the candidates that
        are promoted: mixed with first observations it would teach a sampler who was promoted, not who is better. A
        trial whose seed has no control has no gain at all.

        Nor is there anything to learn where a site is required and the baseline was trained, which is no candidate
        then: its trial has no parameters, and a sampler looks for what all trials have in common.
        """
        no_candidate = row["architecture"] == BASELINE and bool(self.settings.constraints.required_sites)
        is_first_rung = row["epochs"] == self.settings.epochs
        values = self._values(row) if is_first_rung and not no_candidate else [math.nan]
        if all(map(math.isfinite, values)):
            self.optuna.tell(number, values)
        else:
            self.optuna.tell(number, state=TrialState.FAIL)

    def _values(self, row: Row) -> list[float]:
        """Compute what the sampler learns: figures freed of drift and of the seed's own level.

        mAP is the first control's plus the paired gain, latency the first control's times the interleaved
        ratio. For the first seed and in a steady machine these are the raw figures.
        """
        rows = self._rows()
        controls = [each for each in rows if each["architecture"] == BASELINE and each["state"] == State.COMPLETE]
        paired = [each["map50_95"] for each in controls if _pair(each) == _pair(row)]
        gain = row["map50_95"] - paired[-1] if paired else math.nan
        ratios = [
            each["latency_ratio"] for each in rows if each["architecture"] == row["architecture"] and _is_timed(each)
        ]
        ratio = ratios[0] if ratios else math.nan  # measured with the first seed only
        anchor = controls[0] if controls else None
        values = {
            Objective.MAP50_95: row["map50_95"] if anchor is None else anchor["map50_95"] + gain,
            Objective.LATENCY: row.get("latency_ms_p50", math.nan)  # an ablation need not measure it
            if anchor is None
            else anchor.get("latency_ms_p50", math.nan) * ratio,
            Objective.MACS: row["macs"],
            Objective.PARAMS: row["params"],
        }
        return [float(values[objective]) for objective in self.settings.objectives]

    def states(self) -> dict[Key, State]:
        """Return what became of each training: complete if any of its trials is, interrupted if no trial settled it."""
        states: dict[Key, State] = {}
        for row in self._rows():
            key, state = _key(row), State(row["state"])
            if state is State.COMPLETE or not (key in states and states[key].settled):
                states[key] = state
        return states

    def failures(self, identity: str) -> Counter[Key]:
        """Count the trials of an architecture's trainings that were settled without figures."""
        rows = [row for row in self._rows() if row["architecture"] == identity]
        return Counter(_key(row) for row in rows if State(row["state"]) in {State.FAILED, State.OUT_OF_MEMORY})

    def under_way(self) -> set[Key]:
        """Return the trainings that some worker runs."""
        trials = self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        rows = [trial.user_attrs[ROW] for trial in trials if trial.user_attrs.get(ROLE) == TRAINING]
        return {_key(row) for row in rows if row["state"] != State.COMPLETE}

    def _rows(self) -> list[Row]:
        trials = self.optuna.get_trials(deepcopy=False)
        return [trial.user_attrs[ROW] for trial in trials if trial.user_attrs.get(ROLE) == TRAINING]

    def known(self) -> dict[str, Known]:
        """Return every architecture that was settled, by identity, with what Optuna was told of its first seed."""
        known: dict[str, Known] = {}
        for trial in self.optuna.get_trials(deepcopy=False):
            if trial.user_attrs.get(ROLE) != TRAINING or not State(trial.user_attrs[ROW]["state"]).settled:
                continue
            row = trial.user_attrs[ROW]
            if self._is_first(row):
                values = tuple(trial.values) if trial.state == TrialState.COMPLETE else None
                known[row["architecture"]] = Known(values=values)
        return known

    def _is_first(self, row: Row) -> bool:
        """Return whether it is the training that an architecture begins with."""
        return (row["seed"], row["epochs"]) == (self.settings.seed, self.settings.epochs)

    def checkpoints(self, identity: str, seed: int) -> dict[int, str]:
        """Map epochs to SHA-256 of the weights that an architecture's complete trainings of a seed left."""
        return {
            row["epochs"]: row[WEIGHTS]
            for row in self._rows()
            if WEIGHTS in row and (row["architecture"], row["seed"]) == (identity, seed)
        }

    def close_abandoned(self) -> None:
        """Tell Optuna of trials that nobody works on any more: their search was killed, or its machine."""
        self._tell_what_is_complete()
        running = {
            self._id(trial.number): trial
            for trial in self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        }
        for trial_id in self.members.left_alone({*running}):
            trial = running[trial_id]
            row = trial.user_attrs.get(ROW, {})
            if row and row["state"] == State.COMPLETE:
                continue  # it waits for its control
            if trial.user_attrs.get(ROLE) == TRAINING and not State(row["state"]).settled:
                self._write(trial.number, self._died(row))
            self.optuna.tell(trial.number, state=TrialState.FAIL)

    def _died(self, row: Row) -> Row:
        """Mark a row whose worker is gone: to be run again, but not for ever, for it may be the training that kills."""
        alike = [each for each in self._rows() if _training(each) == _training(row)]
        deaths = 1 + sum(each.get(DIED, False) for each in alike)
        row = {**row, DIED: True, "finished": _now(), "reason": f"its worker {row.get(WORKER, '')} died; run again"}
        if self.members.most_deaths is None or deaths < self.members.most_deaths:
            return row
        return {**row, "state": State.FAILED, "reason": f"{deaths} workers died of it; not run again"}

    def unfinished(self) -> list[Architecture]:
        """List candidates whose first training was cut short, and neither has a result nor runs: to be run first."""
        known, under_way = self.known(), {key.identity for key in self.under_way()}
        left: dict[str, Architecture] = {}
        for trial in self.optuna.get_trials(deepcopy=False):
            if trial.user_attrs.get(ROLE) == TRAINING:
                row = trial.user_attrs[ROW]
                if self._is_first(row) and row["architecture"] not in known:
                    left[row["architecture"]] = Architecture.from_dict(trial.user_attrs[ARCHITECTURE])
        return [each for identity, each in left.items() if identity != BASELINE and identity not in under_way]


def _key(row: Row) -> Key:
    return Key(row["architecture"], row["epochs"], row["seed"])


def _training(row: Row) -> tuple[Key, int]:
    """Return what is trained: in an ablation from one of several bases."""
    return _key(row), row.get("base_seed", 0)


def _pair(row: Row) -> tuple[object, ...]:
    """Return what a candidate and its control have in common."""
    by_coco = str(row.get("evaluator", "")).startswith("COCOeval")
    return row.get("base_seed", 0), row["seed"], row["epochs"], by_coco


def _is_timed(row: Row) -> bool:
    return not math.isnan(row.get("latency_ratio", math.nan))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
