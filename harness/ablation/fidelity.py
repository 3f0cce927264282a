"""Does a short training rank architectures as a long one does? The trainings that answer it.

A cohort of architectures, drawn at random from search spaces, is trained by every schedule of a plan. Each finished
training is a row of a CSV that is written whole after each, so that the study resumes and can be committed;
`harness.analysis.fidelity` draws the conclusions.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any, Self

import pandas as pd
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.architecture import BASELINE, Architecture
from harness.common.errors import UserError, sentence
from harness.common.machine import environment
from harness.common.resources import search_space_folder
from harness.common.yaml_file import kind_of, line_of, read_yaml
from harness.detectors import index_map, insert
from harness.jobs.base import CommonBase, base_schedule, common_base
from harness.jobs.executors import Children
from harness.jobs.setting import Setting, data_environment, data_notes, prepare
from harness.jobs.trial import train_base
from harness.record.rates import with_default_rates
from harness.record.settings import COMPARABLE, SearchSettings
from harness.record.state import Failure, State
from harness.training.accuracy import Accuracy, Schedule, Training
from harness.training.child import Report

TRAININGS = "trainings.csv"
COLUMNS = ("schedule", "seed", "architecture", "space", "blocks", "state", "reason", "map50_95", "cpu_seconds")
"""Columns of the file of that name: one row a training."""
_DEFAULTS = SearchSettings()


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rung(_Model):
    """A schedule, the seeds it is run with, and on how many architectures of the cohort."""

    name: str
    epochs: int = Field(ge=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    learning_rate: float = Field(default=_DEFAULTS.learning_rate, gt=0)
    block_rate_factor: float = Field(default=_DEFAULTS.block_rate_factor, gt=0)
    averaged_tail: float = Field(default=0.3, ge=0, le=1)
    from_scratch: bool = False
    architectures: int | None = Field(default=None, ge=2)

    _rates = model_validator(mode="before")(with_default_rates)


class FidelityPlan(_Model):
    """What is trained: the base, the cohort, one long and several short schedules."""

    name: str
    base: str
    data: str
    allow_unusable: bool = False
    allow_val_in_train: bool = False
    imgsz: int
    batch: int = Field(ge=1)
    base_epochs: int = Field(ge=1)
    seed: Annotated[int, Field(ge=0)] = 0
    cohort: dict[str, Annotated[int, Field(ge=1)]] = Field(min_length=1)
    long: Rung
    short: tuple[Rung, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [rung.name for rung in self.rungs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two schedules are called '{name}'")
        for rung in self.short:
            for seed in set(rung.seeds) & set(self.long.seeds):
                raise ValueError(f"seed {seed} of schedule '{rung.name}' is the long one's, too; give it another")
        for rung in self.rungs:
            if len(set(rung.seeds)) < len(rung.seeds):
                raise ValueError(f"schedule '{rung.name}' names a seed twice")
        if self.long.architectures is not None:
            raise ValueError("the long schedule trains the whole cohort; leave its `architectures` out")
        return self

    @property
    def rungs(self) -> tuple[Rung, ...]:
        """All schedules in the order of training: what a search does by default, the long one, the others."""
        return (self.short[0], self.long, *self.short[1:])


@dataclass(frozen=True, kw_only=True)
class _Member:
    """One architecture of the cohort; the baseline is the first."""

    architecture: Architecture
    identity: str
    space: str
    setting: Setting


_Job = tuple[Rung, int, _Member]
"""A schedule, a seed and an architecture: one training."""


def load_plan(spec: str) -> FidelityPlan:
    """Read a plan: a YAML file, or the name of one that ships with clo-nas.

    Raises:
        UserError: There is none, or it is wrong.
    """
    path = Path(spec)
    if not path.is_file():
        path = search_space_folder() / "fidelity" / f"{spec.removesuffix('.yaml')}.yaml"
    try:
        data, tree = read_yaml(path)
        if not isinstance(data, dict) or not {"cohort", "long", "short"} & set(data):
            raise UserError(f"fidelity plan {path}: this is {kind_of(data)}; a plan has cohort, long and short")
        return FidelityPlan.model_validate(data)
    except OSError as error:
        names = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "none"
        raise UserError(
            f"fidelity plan {spec}: no such file, and none ships under that name; there are: {names}"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}, line {line_of(tree, first['loc'])}: {sentence(first)}") from error


def study_setting(plan: FidelityPlan, command: list[str]) -> dict[str, Any]:
    """What a study was made with, for its record: plan, base, data, machine."""
    setting = _setting(plan, next(iter(plan.cohort)))
    return {
        "plan": plan.model_dump(mode="json"),
        "base_fingerprint": setting.base.fingerprint,
        "data_fingerprint": setting.data.fingerprint,
        "environment": environment(
            device="cpu", data_fingerprint=setting.data.fingerprint, command=command, seeds=plan.short[0].seeds
        )
        | data_environment(setting.data),
    }


def check_same(now: Mapping[str, Any], before: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on with a study whose finished trainings another plan, base or data made.

    Schedules, seeds and spaces may be added, or left out.

    Raises:
        UserError: Something differs.
    """
    schedules = [{rung["name"]: rung for rung in (s["plan"]["long"], *s["plan"]["short"])} for s in (now, before)]
    decide = (*COMPARABLE, "averaged_tail", "seed")
    of_plan = [name for name in decide if name in now["plan"] and name != "base"]  # of a base counts what it is
    differing = [
        *(name for name in ("base_fingerprint", "data_fingerprint") if now[name] != before[name]),
        *(name for name in of_plan if now["plan"][name] != before["plan"][name]),
        *(
            f"schedule '{name}'"
            for name, rung in schedules[0].items()
            if name in schedules[1] and any(rung[key] != schedules[1][name][key] for key in decide if key in rung)
        ),
    ]
    if differing:
        raise UserError(f"{folder} was begun with another {', '.join(differing)}; name another --out, or move it away")


def run_fidelity(
    plan: FidelityPlan,
    folder: Path,
    *,
    workers: int | None,
    say: Callable[[str], None],
    after_each: Callable[[pd.DataFrame], object] = lambda _: None,
) -> pd.DataFrame:
    """Train what the folder does not have yet, on the CPU with one thread each.

    Args:
        plan: What to train.
        folder: Where `trainings.csv` is, or will be.
        workers: Trainings at once; None is one a core.
        say: Told of each finished training.
        after_each: Given all rows whenever as many trainings as the cohort has members are done.

    Returns:
        The rows of this plan; `COLUMNS`.

    Raises:
        UserError: The plan cannot be run, or another program is at work in the folder.
        KeyboardInterrupt: Ctrl-C; what had ended is in the file.
    """
    members = list(_cohort(plan))
    setting = members[0].setting
    for note in data_notes(setting.data, plan.imgsz, plan.batch):
        say(note)
    base = common_base(
        setting.base,
        setting.data,
        base_schedule(_schedule(plan, plan.short[0]), plan.base_epochs),
        seed=plan.seed,
        device="cpu",
        threads=1,
        loader_workers=0,
        on_progress=lambda _: None,
    )
    jobs = [
        (rung, seed, member)
        for rung in plan.rungs
        for seed in rung.seeds
        for member in members[: rung.architectures and rung.architectures + 1]
    ]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            rows = _Rows(folder / TRAININGS, {_key(*job) for job in jobs})
            waiting = deque(job for job in jobs if _key(*job) not in rows.done)
            _train_all(
                plan,
                base,
                waiting,
                rows,
                folder,
                workers or setting.workers,
                say,
                lambda: after_each(rows.frame()),
                len(members),
            )
    except Timeout as error:
        raise UserError(f"{folder}: another program is at work there; wait for it, or name another --out") from error
    return rows.frame()


def _train_all(
    plan: FidelityPlan,
    base: CommonBase,
    waiting: deque[_Job],
    rows: _Rows,
    folder: Path,
    workers: int,
    say: Callable[[str], None],
    after: Callable[[], object],
    every: int,
) -> None:
    """Keep all workers at work; each result is written down before anything else."""
    total, number = len(waiting), 0
    running: dict[int, _Job] = {}
    with Children[int, tuple[Accuracy, float]](log=folder / "trainings.log") as children:
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    key, job = total - len(waiting), waiting.popleft()
                    running[key] = job
                    children.start(key, _timed, _training(plan, *job, base))
                key, result = children.next()
                row = _row(running.pop(key), result)
                rows.add(row)
                number += 1
                if number % every == 0:
                    after()
                value = f"mAP50-95 {row['map50_95']:.4f}" if row["state"] == State.COMPLETE else row["reason"]
                say(f"{number} of {total}: {row['schedule']}, seed {row['seed']}, {row['architecture']}: {value}")
        except (KeyboardInterrupt, UserError):
            for key, result in children.ended():
                rows.add(_row(running.pop(key), result))
            raise


def _row(job: _Job, result: tuple[Accuracy, float] | Failure) -> dict[str, Any]:
    rung, seed, member = job
    return {
        "schedule": rung.name, "seed": seed, "architecture": member.identity, "space": member.space,
        "blocks": member.architecture.describe(), **_outcome(result),
    }  # fmt: skip


def _key(rung: Rung, seed: int, member: _Member) -> tuple[str, int, str]:
    return rung.name, seed, member.identity


def _timed(training: Training, report: Report) -> tuple[Accuracy, float]:
    """In the child: train, pausing as a search's trainings do, and say how much CPU time that took."""
    started = time.process_time()
    accuracy = train_base(training, report)
    return accuracy, time.process_time() - started


def _outcome(result: tuple[Accuracy, float] | Failure) -> dict[str, Any]:
    if isinstance(result, Failure):
        return {"state": str(result.state), "reason": result.reason, "map50_95": None, "cpu_seconds": None}
    accuracy, cpu_seconds = result
    return {
        "state": str(State.COMPLETE), "reason": "", "map50_95": accuracy.map50_95, "cpu_seconds": round(cpu_seconds, 1)
    }  # fmt: skip


def _cohort(plan: FidelityPlan) -> Iterator[_Member]:
    """The baseline, then architectures of the plan's spaces in turns, none twice."""
    drawn = []
    for space, count in plan.cohort.items():
        setting = _setting(plan, space)
        rng = random.Random(f"{plan.seed}-{space}")
        members: dict[str, _Member] = {}
        while len(members) < min(count, setting.space.size):
            architecture = setting.space.draw(rng)
            identity = setting.space.identity(architecture)
            members[identity] = _Member(architecture=architecture, identity=identity, space=space, setting=setting)
        drawn.append(list(members.values()))
    bare = Architecture(base=drawn[0][0].setting.base.name)
    yield _Member(architecture=bare, identity=BASELINE, space="", setting=drawn[0][0].setting)
    seen = set()
    for member in (one for turn in zip_longest(*drawn) for one in turn if one):
        if member.identity not in seen:
            seen.add(member.identity)
            yield member


def _setting(plan: FidelityPlan, space: str) -> Setting:
    return prepare(
        SearchSettings(
            base=plan.base,
            data=plan.data,
            space=space,
            imgsz=plan.imgsz,
            batch=plan.batch,
            device="cpu",
            allow_unusable=plan.allow_unusable,
            allow_val_in_train=plan.allow_val_in_train,
        )
    )


def _schedule(plan: FidelityPlan, rung: Rung) -> Schedule:
    return Schedule(
        epochs=rung.epochs,
        batch=plan.batch,
        imgsz=plan.imgsz,
        learning_rate=rung.learning_rate,
        block_rate_factor=rung.block_rate_factor,
        averaged_tail=rung.averaged_tail,
    )


def _training(plan: FidelityPlan, rung: Rung, seed: int, member: _Member, base: CommonBase) -> Training:
    setting = member.setting
    return Training(
        config=insert(setting.base, member.architecture, sites=setting.sites, classes=setting.classes),
        base_config=setting.base.config,
        base_weights=None if rung.from_scratch else base.weights,
        layers=index_map(setting.base, member.architecture, setting.sites),
        data=str(setting.data.path),
        data_fingerprint=setting.data.fingerprint,
        classes=setting.classes,
        schedule=_schedule(plan, rung),
        seed=seed,
        device="cpu",
        threads=1,
    )


def planned_rows(path: Path, plan: object) -> pd.DataFrame:
    """Return the finished trainings of a study's schedules, seeds and spaces, without drawing its cohort again.

    Args:
        path: Of `trainings.csv`.
        plan: The setting's `plan`.

    Raises:
        UserError: One of the two is not as clo-nas writes it.
    """
    try:
        planned = FidelityPlan.model_validate(plan)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path.parent / 'setting.json'}: plan.{where}: {first['msg']}") from error
    rows = _read_trainings(path)
    schedules = {(rung.name, seed) for rung in planned.rungs for seed in rung.seeds}
    is_planned = [pair in schedules for pair in zip(rows["schedule"], rows["seed"], strict=True)]
    of_cohort = rows["space"].isin(planned.cohort) | rows["architecture"].eq(BASELINE)
    return rows[pd.Series(is_planned, index=rows.index) & of_cohort & rows["state"].eq(State.COMPLETE)]


def _read_trainings(path: Path) -> pd.DataFrame:
    try:
        found = pd.read_csv(path, keep_default_na=False, na_values={"map50_95": "", "cpu_seconds": ""})
    except ValueError as error:  # pandas' own, and what is no text
        raise UserError(f"{path}: not a table of trainings ({' '.join(str(error).split())})") from error
    if tuple(found.columns) != COLUMNS:
        raise UserError(f"{path}: its columns are not {', '.join(COLUMNS)}; move the file away or name another folder")
    return found


class _Rows:
    """The CSV of finished trainings, replaced whole by each new row; failures are tried again.

    Args:
        path: The file.
        wanted: Schedule, seed and architecture of the plan's trainings; others stay in the file and count for nothing.
    """

    def __init__(self, path: Path, wanted: set[tuple[str, int, str]]) -> None:
        self._wanted = wanted
        self._path = path
        old = _read_trainings(path) if path.is_file() else pd.DataFrame(columns=list(COLUMNS))
        self._rows: list[Any] = old[old.state == State.COMPLETE].to_dict("records")
        self.done = {(row["schedule"], row["seed"], row["architecture"]) for row in self._rows}

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        part = self._path.with_suffix(".part")
        pd.DataFrame(self._rows, columns=list(COLUMNS)).to_csv(part, index=False)
        part.replace(self._path)

    def frame(self) -> pd.DataFrame:
        """Those that are wanted."""
        rows = [row for row in self._rows if (row["schedule"], row["seed"], row["architecture"]) in self._wanted]
        return pd.DataFrame(rows, columns=list(COLUMNS))
