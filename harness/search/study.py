"""The Optuna study behind a search: opened or continued, locked, and told what became of trials."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from harness.architecture import BASELINE, Architecture
from harness.constraints import SITE_FIELDS
from harness.errors import UserError
from harness.patient_storage import PatientStorage
from harness.records import (
    ARCHITECTURE,
    MODEL_YAML,
    ROLE,
    ROW,
    SETTINGS,
    TRAINING,
    StudyRecord,
    checked_record,
    open_storage,
    record_of,
)
from harness.search.climb import Key
from harness.search.members import ME, Alone, Members, OneOfMany
from harness.search.outcome import State
from harness.search.proposals import Known
from harness.settings import COMPARABLE, Objective, SearchSettings, is_server

DEVICE_KIND = "device_kind"
"""Entry of the settings: the model of the GPU, or `cpu` and the processor's."""
WEIGHTS = "weights_sha256"
WORKER = "worker"
DIED = "died"
"""Entries of a trial's row beside the record's columns: whose it is, and whether that one died of it."""


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

    def on_outage(self, tell: Callable[[str], None]) -> None:
        """Have it told when the storage goes away, and when it is back."""
        if isinstance(self.storage, PatientStorage):
            self.storage.on_outage = tell

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
            row = {**trial.user_attrs[ROW], **figures, "state": state, "reason": reason, "finished": _now()}
            number = trial.number
            if self.storage.get_trial(self._id(number)).state is not TrialState.RUNNING:
                if not state.settled or State.COMPLETE in self._ends(row):
                    return
                number = self._once_more(trial)
            elif state is State.COMPLETE and State.COMPLETE in self._ends(row):
                row |= {"state": State.INTERRUPTED, "reason": "another worker had it finished before"}
            self._write(number, row)
            if row["state"] is State.COMPLETE:
                self._tell(number, row)
            else:
                self.optuna.tell(number, state=TrialState.FAIL)
            self.members.leaves(self._id(trial.number))

    def _ends(self, row: Mapping[str, Any]) -> list[State]:
        """What became of the trials of the same training."""
        return [State(each["state"]) for each in self._rows() if _training(each) == _training(row)]

    def _once_more(self, trial: optuna.trial.Trial) -> int:
        """A running trial like one that was closed too early."""
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

    def _write(self, number: int, row: Mapping[str, Any]) -> None:
        self.storage.set_trial_user_attr(self._id(number), ROW, row)

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
        values = self._values(row) if is_first_rung and not no_candidate else [math.nan]
        if all(map(math.isfinite, values)):
            self.optuna.tell(number, values)
        else:
            self.optuna.tell(number, state=TrialState.FAIL)

    def _values(self, row: Mapping[str, Any]) -> list[float]:
        """What the sampler learns: figures freed of drift and of the seed's own level.

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
        """What became of each training: complete if any of its trials is, interrupted if no trial settled it."""
        states: dict[Key, State] = {}
        for row in self._rows():
            key, state = _key(row), State(row["state"])
            if state is State.COMPLETE or not (key in states and states[key].settled):
                states[key] = state
        return states

    def under_way(self) -> set[Key]:
        """The trainings that some member works on."""
        trials = self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        return {_key(trial.user_attrs[ROW]) for trial in trials if trial.user_attrs.get(ROLE) == TRAINING}

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

    def close_abandoned(self) -> None:
        """Tell Optuna of trials that nobody works on any more: their search was killed, or its machine."""
        running = {
            self._id(trial.number): trial
            for trial in self.optuna.get_trials(deepcopy=False, states=[TrialState.RUNNING])
        }
        for trial_id in self.members.left_alone({*running}):
            trial = running[trial_id]
            row = trial.user_attrs.get(ROW, {})
            if trial.user_attrs.get(ROLE) == TRAINING and row["state"] == State.COMPLETE:
                self._tell(trial.number, row)  # killed between record and tell
                continue
            if trial.user_attrs.get(ROLE) == TRAINING:
                self._write(trial.number, self._died(row))
            self.optuna.tell(trial.number, state=TrialState.FAIL)

    def _died(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row whose worker is gone: to be run again, but not for ever, for it may be the training that kills."""
        alike = [each for each in self._rows() if _training(each) == _training(row)]
        deaths = 1 + sum(each.get(DIED, False) for each in alike)
        row = {**row, DIED: True, "finished": _now(), "reason": f"its worker {row.get(WORKER, '')} died; run again"}
        if self.members.most_deaths is None or deaths < self.members.most_deaths:
            return row
        return {**row, "state": State.FAILED, "reason": f"{deaths} workers died of it; not run again"}

    def unfinished(self) -> list[Architecture]:
        """Candidates whose first training was cut short, has no result since and is not under way: to be run first."""
        known, under_way = self.known(), {key.identity for key in self.under_way()}
        left: dict[str, Architecture] = {}
        for trial in self.optuna.get_trials(deepcopy=False):
            if trial.user_attrs.get(ROLE) == TRAINING:
                row = trial.user_attrs[ROW]
                if self._is_first(row) and row["architecture"] not in known:
                    left[row["architecture"]] = Architecture.from_dict(trial.user_attrs[ARCHITECTURE])
        return [each for identity, each in left.items() if identity != BASELINE and identity not in under_way]


@contextmanager
def open_study(settings: SearchSettings, comparable: Mapping[str, Any]) -> Iterator[SearchStudy]:
    """Create the study, or continue it.

    Args:
        settings: What was asked for.
        comparable: What all trials of the study must share, beyond the settings: data, space, base.

    Figures of two kinds of devices are never mixed: where the study is of another kind, this one's are kept beside
    it, in a study of the same name, `@` and the kind.

    Raises:
        UserError: Another search holds the study, it was made with other settings, or its storage does not open.
    """
    _quiet_optuna()
    with ExitStack() as opened:
        storage, members = opened.enter_context(_members(settings))
        study = _create(storage, members, settings)
        kind = comparable.get(DEVICE_KIND)
        if kind is not None and not _is_of(study, kind):
            opened.pop_all().close()
            settings = settings.model_copy(update={"study": f"{settings.study}@{_slug(kind)}"})
            storage, members = opened.enter_context(_members(settings))
            study = _create(storage, members, settings)
        with members.turn():
            _check_same(study, settings, comparable)
            checked_record(study)
        yield SearchStudy(study, storage, settings, members)


def _create(storage: RDBStorage, members: Members, settings: SearchSettings) -> optuna.Study:
    with members.turn():
        return optuna.create_study(
            study_name=settings.study,
            storage=storage,
            directions=[objective.direction for objective in settings.objectives],
            sampler=optuna.samplers.RandomSampler(seed=settings.seed),  # until what candidates cost is known
            load_if_exists=True,
        )


def _is_of(study: optuna.Study, kind: str) -> bool:
    """Whether a study's figures are of this kind of device, or it has none yet."""
    before = study.user_attrs.get(SETTINGS, {}).get(DEVICE_KIND, kind)
    return before == kind or (before == "cpu" and kind.startswith("cpu"))  # from before the CPU's name was kept


def _slug(kind: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", kind.lower()).strip("-")[:40]


@contextmanager
def continue_study(settings: SearchSettings) -> Iterator[SearchStudy]:
    """Open a study that exists, to add trainings that no sampler asked for.

    Args:
        settings: The study's own, as its record has them.

    Raises:
        UserError: Another program holds the study, or its storage does not open.
    """
    _quiet_optuna()
    with _members(settings) as (storage, members):
        study = optuna.load_study(study_name=settings.study, storage=storage)
        checked_record(study)
        yield SearchStudy(study, storage, settings, members)


@contextmanager
def _members(settings: SearchSettings) -> Iterator[tuple[RDBStorage, Members]]:
    """The storage, and who writes to it: this search alone, or one of many."""
    if not is_server(settings.storage_url):
        with _locked(settings):
            yield open_storage(settings.storage_url), Alone()
        return
    _make_folder(settings)
    storage = open_storage(settings.storage_url)
    assert isinstance(storage, PatientStorage), "a server's"
    members = OneOfMany(storage, settings.study, settings.worker_timeout_s)
    try:
        yield storage, members
    finally:
        members.close()


def _make_folder(settings: SearchSettings) -> None:
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{settings.folder}: cannot be made ({error.strerror}); choose another --results folder"
        ) from error


@contextmanager
def _locked(settings: SearchSettings) -> Iterator[None]:
    """While nobody else writes to the study."""
    _make_folder(settings)
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
        if name != DEVICE_KIND and before.get(name) != value:
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


def _key(row: Mapping[str, Any]) -> Key:
    return Key(row["architecture"], row["epochs"], row["seed"])


def _training(row: Mapping[str, Any]) -> tuple[Key, int]:
    """What is trained: in an ablation from one of several bases."""
    return _key(row), row.get("base_seed", 0)


def _pair(row: Mapping[str, Any]) -> tuple[object, ...]:
    """What a candidate and its control have in common."""
    by_coco = str(row.get("evaluator", "")).startswith("COCOeval")
    return row.get("base_seed", 0), row["seed"], row["epochs"], by_coco


def _is_timed(row: Mapping[str, Any]) -> bool:
    return not math.isnan(row.get("latency_ratio", math.nan))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
